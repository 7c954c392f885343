"""Attention as onnxruntime's optimizer writes it: whole blocks in one node, as plain products and softmax."""

import math

import torch
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import MICROSOFT, Node, converts

FILTER = -10_000.0


@converts("Attention", domain=MICROSOFT)
def fused_attention(
    node: Node, x: Tensor, weight: Tensor, offset: Tensor | None = None, mask: Tensor | None = None,
    past: Tensor | None = None, bias: Tensor | None = None, *_: Tensor | None,
) -> Tensor:  # fmt: skip
    """Projections to queries, keys and values (N, L, 3 · C), then attention."""
    _refuse(node, "a cache", past is not None)
    _refuse(node, "rotary positions", bool(node.int("do_rotary", 0)))
    projected = x @ weight if offset is None else x @ weight + offset
    sizes = node.ints("qkv_hidden_sizes", ()) or [weight.shape[1] // 3] * 3
    heads = node.int("num_heads", 1)
    q, k, v = (_heads(part, heads) for part in _parts(projected, sizes))
    return _attended(node, q, k, v, mask, bias)


@converts("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(
    node: Node, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, offset: Tensor | None = None,
    mask: Tensor | None = None, bias: Tensor | None = None, *past: Tensor | None,
) -> Tensor:  # fmt: skip
    """Attention of projected tokens: (N, L, C) each, packed along an axis of their own, or heads already apart."""
    _refuse(node, "a cache", any(one is not None for one in past))
    q, k, v = _unpacked(query, key, value)
    if offset is not None:
        sizes = [q.shape[-1], q.shape[-1], offset.numel() - 2 * q.shape[-1]]
        q, k, v = (x if x.ndim == 4 else x + part for x, part in zip((q, k, v), _parts(offset, sizes), strict=True))
    q, k, v = (x if x.ndim == 4 else _heads(x, node.int("num_heads", 1)) for x in (q, k, v))
    return _attended(node, q, k, v, mask, bias)


def _unpacked(query: Tensor, key: Tensor | None, value: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values; (N, L, heads, 3, D) are all of them, (N, L, heads, 2, D) keys and values."""
    if query.ndim == 5:
        return query.select(3, 0).flatten(2), query.select(3, 1).flatten(2), query.select(3, 2).flatten(2)
    if key is not None and key.ndim == 5:
        return query, key.select(3, 0).flatten(2), key.select(3, 1).flatten(2)
    if key is None or value is None:
        raise ProblemError("invalid-model", "keys and values are missing")
    return query, key, value


def _parts(x: Tensor, sizes: list[int]) -> list[Tensor]:
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    return [x[..., end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _attended(node: Node, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """(N, L, heads · D) of queries, keys and values of (N, heads, L, D)."""
    scale = math.sqrt(node.float("scale", 0.0) or 1 / math.sqrt(q.shape[-1]))
    scores = (q * scale) @ (k * scale).transpose(-1, -2)
    scores = scores if bias is None else scores + bias
    hidden = _hidden(node, mask, scores)
    scores = scores if hidden is None else scores.masked_fill(hidden, node.float("mask_filter_value", FILTER))
    if node.int("unidirectional", 0):
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(ahead, -math.inf)
    return (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)


def _hidden(node: Node, mask: Tensor | None, scores: Tensor) -> Tensor | None:
    """Which keys are hidden: a mask of zeros and ones, (N, keys) or (N, queries, keys)."""
    if mask is None:
        return None
    _refuse(node, "a mask of lengths", mask.ndim not in (2, 3))
    return (mask.reshape(mask.shape[0], 1, -1, scores.shape[-1])) == 0


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def _refuse(node: Node, what: str, given: bool) -> None:
    if given:
        raise ProblemError("unsupported-op", f"{node.operator} with {what} cannot be converted")
