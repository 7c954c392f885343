"""Convolutions and dense layers with their bias (and ReLU) in one pass, by oneDNN, on a CPU in float32.

Otherwise the bias is a pass over the result, and the ReLU another, which is seen where channels are few: 16 → 64
channels of 256² pixels, batch 4, took 28 ms by `addmm` and `relu_`, and 9.5 ms in one pass (1 thread).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

aten = torch.ops.aten
Convolve = Callable[[Tensor, bool], Tensor]  # the input, and whether a ReLU follows
Dense = Callable[[Tensor], Tensor]
FUSED, DENSE = "_convolution_pointwise", "_linear_pointwise"  # of torch.ops.mkldnn: torch may be built without
FEW = 512  # channels that are summed over: beyond them oneDNN's copy of the weights takes longer than it saves


def is_fused(weight: Tensor) -> bool:
    """Whether oneDNN takes a convolution with these weights, over two or three axes of space."""
    return weight.dim() in (4, 5) and _takes(weight, FUSED)


def _takes(weight: Tensor, operator: str) -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    fits = weight.device.type == "cpu" and weight.dtype == torch.float32
    return fits and bool(available) and hasattr(torch.ops.mkldnn, operator)


def convolve_with(
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    layout: torch.memory_format,
) -> Convolve:
    """The convolution with these weights, which lie in memory as its inputs do (`layout`)."""
    if is_fused(weight) and layout != torch.contiguous_format:
        operator = getattr(torch.ops.mkldnn, FUSED)
        return lambda x, relu: operator(
            x, weight, bias, padding, stride, dilation, groups, "relu" if relu else "none", [], None
        )

    def in_passes(x: Tensor, relu: bool) -> Tensor:
        result: Tensor = aten.convolution(x, weight, bias, stride, padding, dilation, False, [0] * len(stride), groups)
        return result.relu_() if relu else result

    return in_passes


def dense_with(matrix: Tensor, bias: Tensor) -> Dense:
    """Rows times a matrix, plus a bias: in one pass where the matrix is a transposed weight of few rows."""
    weight = matrix.t()
    if _takes(matrix, DENSE) and len(matrix) <= FEW and bias.dim() == 1 and weight.is_contiguous():
        operator = getattr(torch.ops.mkldnn, DENSE)
        return lambda rows: operator(rows, weight, bias, "none", [], None)
    return lambda rows: torch.addmm(bias, rows, matrix)
