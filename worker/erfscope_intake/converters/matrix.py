"""Matrix products."""

import string

import torch
from torch import Tensor

from erfscope_intake.converters.elementwise import aligned
from erfscope_intake.converters.table import MICROSOFT, Node, broadcast, converts, within_limit


@converts("MatMul")
def matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Matrix product with numpy's broadcasting."""
    if a.ndim > 1 and b.ndim > 1:
        batch = broadcast(a.shape[:-2], b.shape[:-2])
        within_limit([*batch, a.shape[-2], b.shape[-1]], a.dtype)
    if a.dtype != b.dtype:
        a, b = aligned(node, a, b.to(a.dtype)) if a.ndim == b.ndim == 0 else (a, b.to(a.dtype))
    return torch.matmul(a, b)


@converts("Gemm")
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """alpha · A B + beta · C, each factor perhaps transposed."""
    a = a.T if node.int("transA", 0) else a
    b = b.T if node.int("transB", 0) else b
    alpha, beta = node.float("alpha", 1.0), node.float("beta", 1.0)
    within_limit([a.shape[0], b.shape[1]], a.dtype)
    if c is not None and a.is_floating_point() and alpha == beta == 1 and c.ndim == 1:
        return torch.addmm(c, a, b)
    y = torch.matmul(a, b)
    y = y if alpha == 1 else y * (alpha if a.is_floating_point() else int(alpha))
    if c is None or beta == 0:
        return y
    return y + (c if beta == 1 else c * (beta if a.is_floating_point() else int(beta)))


@converts("FusedMatMul", domain=MICROSOFT)
def fused_matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """alpha · A B, each factor perhaps transposed."""
    a = a.transpose(-1, -2) if node.int("transA", 0) else a
    b = b.transpose(-1, -2) if node.int("transB", 0) else b
    return torch.matmul(a, b) * node.float("alpha", 1.0)


@converts("Einsum")
def einsum(node: Node, *factors: Tensor) -> Tensor:
    """Einstein summation; every output extent comes from an input's."""
    equation = node.text("equation", "").replace(" ", "")
    allowed = set(string.ascii_letters + ",.->")
    if not set(equation) <= allowed:
        raise ValueError(f"the equation {equation[:80]!r} cannot be read")
    return torch.einsum(equation, *factors)


@converts("Det")
def det(_node: Node, x: Tensor) -> Tensor:
    """Determinant of the last two axes."""
    determinant: Tensor = torch.linalg.det(x)
    return determinant
