"""Quantised operators in floating point: steps keep their scale and saturation, but nothing is rounded.

Rounding has no useful gradient; without it the network is the one that was quantised, and the note of the
result says so. Saturation stays: quantisers often fold a ReLU into it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from erfscope_intake.converters.activation import leaky_relu
from erfscope_intake.converters.convolution import conv
from erfscope_intake.converters.pooling import average_pool
from erfscope_intake.converters.table import MICROSOFT, Node, axis_of, converts

RANGES = {torch.uint8: (0, 255), torch.int8: (-128, 127), torch.int16: (-32768, 32767)}
BY_NUMBER = {2: (0, 255), 3: (-128, 127), 4: (0, 65535), 5: (-32768, 32767), 21: (0, 15), 22: (-8, 7)}


def _along(vector: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point, ready to meet x: one number, one per slice, or one per block of slices."""
    if vector.numel() == 1:
        return vector.reshape(())
    axis = axis_of(axis, x.ndim)
    if block or vector.ndim == x.ndim:
        times = block or x.shape[axis] // vector.shape[axis]
        return vector.repeat_interleave(times, axis).narrow(axis, 0, x.shape[axis])
    return vector.reshape(-1, *(1,) * (x.ndim - 1 - axis))


def _dequantised(node: Node, q: Tensor, scale: Tensor, zero: Tensor | None, axis: int, block: int = 0) -> Tensor:
    real = torch.float32 if node.constant else node.dtype
    wide = _along(scale.to(real), q, axis, block)
    return (q.to(real) if zero is None else q.to(real) - _along(zero.to(real), q, axis, block)) * wide


def _quantised(
    node: Node, x: Tensor, scale: Tensor, zero: Tensor | None, axis: int, block: int = 0, kind: int = 0
) -> Tensor:
    steps = x / _along(scale.to(x.dtype), x, axis, block)
    bounds = (BY_NUMBER.get(kind) if kind else None) or RANGES.get(zero.dtype if zero is not None else torch.uint8)
    steps = steps if zero is None else steps + _along(zero.to(x.dtype), x, axis, block)
    return steps if bounds is None else torch.clamp(steps, *bounds)


@converts("QuantizeLinear", reads=(2,))
@converts("QuantizeLinear", domain=MICROSOFT, reads=(2,))
def quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """x in steps of its scale, saturated, not rounded."""
    x = x if x.is_floating_point() else x.to(node.dtype)
    kind = node.int("output_dtype", 0)
    return _quantised(node, x, scale, zero, node.int("axis", 1), node.int("block_size", 0), kind)


@converts("DequantizeLinear")
@converts("DequantizeLinear", domain=MICROSOFT)
def dequantize(node: Node, q: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Steps back to values."""
    return _dequantised(node, q, scale, zero, node.int("axis", 1), node.int("block_size", 0))


@converts("DynamicQuantizeLinear")
def dynamic_quantize(node: Node, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x in 255 steps of its own range, not rounded; followed, steps of 1, which come to the same.

    The range of the whole tensor must not get on the tape: unrounded it cancels, and every field would be global.
    """
    if not node.constant:
        zero = torch.zeros((), dtype=x.dtype, device=x.device)
        return x, zero + 1, zero
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    low, high = torch.minimum(x.amin(), zero), torch.maximum(x.amax(), zero)
    scale = (high - low) / 255
    point = torch.clamp(torch.round(-low / scale), 0, 255)
    return x / scale + point, scale, point


@converts("QLinearConv", reads=(7,))
def qlinear_conv(
    node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor, w: Tensor, w_scale: Tensor, w_zero: Tensor,
    y_scale: Tensor, y_zero: Tensor, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Convolution of what the steps stand for."""
    real = _dequantised(node, x, x_scale, x_zero, 1)
    weight = _dequantised(node, w, w_scale, w_zero, 0)
    offset = None if bias is None else bias.to(real.dtype) * (x_scale * w_scale).to(real.dtype).reshape(-1)
    return _quantised(node, conv(node, real, weight.to(real.dtype), offset), y_scale, y_zero, 1)


@converts("QLinearMatMul", reads=(7,))
def qlinear_matmul(
    node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
    y_scale: Tensor, y_zero: Tensor,
) -> Tensor:  # fmt: skip
    """Matrix product of what the steps stand for."""
    left = _dequantised(node, a, a_scale, a_zero, a.ndim - 2)
    right = _dequantised(node, b, b_scale, b_zero, b.ndim - 1)
    return _quantised(node, torch.matmul(left, right), y_scale, y_zero, a.ndim - 2)


def _centred(node: Node, q: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    real = torch.float64 if node.constant else node.dtype
    return q.to(real) if zero is None else q.to(real) - _along(zero.to(real), q, axis, 0)


@converts("ConvInteger")
def conv_integer(
    node: Node, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    """Convolution of steps less their zero points."""
    y = conv(node, _centred(node, x, x_zero, 1), _centred(node, w, w_zero, 0))
    return y.to(torch.int32) if node.constant else y


@converts("MatMulInteger")
def matmul_integer(
    node: Node, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    """Matrix product of steps less their zero points."""
    y = torch.matmul(_centred(node, a, a_zero, a.ndim - 2), _centred(node, b, b_zero, b.ndim - 1))
    return y.to(torch.int32) if node.constant else y


@converts("QGemm", domain=MICROSOFT, reads=(8,))
def qgemm(
    node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
    bias: Tensor | None = None, y_scale: Tensor | None = None, y_zero: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """alpha · A B + C of what the steps stand for; values, not steps, where no scale of the output is given."""
    turned = bool(node.int("transB", 0))
    left, right = _dequantised(node, a, a_scale, a_zero, 1), _dequantised(node, b, b_scale, b_zero, 0 if turned else 1)
    y = torch.matmul(left.T if node.int("transA", 0) else left, right.T if turned else right)
    alpha = node.float("alpha", 1.0)
    y = y if alpha == 1 else y * alpha
    if bias is not None:
        y = y + bias.to(y.dtype) * (alpha * a_scale * b_scale).to(y.dtype)
    return y if y_scale is None else _quantised(node, y, y_scale, y_zero, 1)


@converts("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(
    node: Node, a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor,
    a_zero: Tensor | None = None, b_zero: Tensor | None = None, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Matrix product of what the steps stand for, as values."""
    left, right = _dequantised(node, a, a_scale, a_zero, a.ndim - 2), _dequantised(node, b, b_scale, b_zero, b.ndim - 1)
    y = torch.matmul(left, right)
    return y if bias is None else y + bias


@converts("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(
    node: Node, a: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Matrix product with quantised weights; quantising the left side comes to nothing without rounding."""
    y = torch.matmul(a, _dequantised(node, b, b_scale, b_zero, b.ndim - 1))
    return y if bias is None else y + bias


def _qlinear_binary(operator: str) -> None:
    @converts(operator, domain=MICROSOFT, reads=(7,))
    def binary(
        node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
        y_scale: Tensor, y_zero: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Sum or product of what the steps stand for."""
        left, right = _dequantised(node, a, a_scale, a_zero, 1), _dequantised(node, b, b_scale, b_zero, 1)
        y = left + right if operator == "QLinearAdd" else left * right
        return _quantised(node, y, y_scale, y_zero, 1)


_qlinear_binary("QLinearAdd")
_qlinear_binary("QLinearMul")


@converts("QLinearGlobalAveragePool", domain=MICROSOFT, reads=(4,))
def qlinear_global_average_pool(
    node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor
) -> Tensor:
    """Mean over the plane of what the steps stand for."""
    axes = list(range(1, x.ndim - 1)) if node.int("channels_last", 0) else list(range(2, x.ndim))
    real = _dequantised(node, x, x_scale, x_zero, 1).mean(axes, keepdim=True)
    return _quantised(node, real, y_scale, y_zero, 1)


def _qlinear(name: str, function: Callable[[Node, Tensor], Tensor]) -> None:
    @converts(name, domain=MICROSOFT, reads=(4,))
    def unary(
        node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor | None = None
    ) -> Tensor:
        """A function of what the steps stand for."""
        return _quantised(node, function(node, _dequantised(node, x, x_scale, x_zero, 1)), y_scale, y_zero, 1)


_qlinear("QLinearLeakyRelu", leaky_relu)
_qlinear("QLinearSigmoid", lambda _node, x: torch.sigmoid(x))
_qlinear("QLinearAveragePool", average_pool)
_qlinear("QLinearSoftmax", lambda node, x: torch.softmax(x, node.int("axis", -1)))


@converts("QLinearConcat", domain=MICROSOFT, reads=(1,))
def qlinear_concat(node: Node, y_scale: Tensor, y_zero: Tensor, *parts: Tensor) -> Tensor:
    """Side by side, what the steps stand for; parts come as (x, scale, zero) each."""
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    real = [_dequantised(node, x, scale, zero, 1) for x, scale, zero in triples]
    return _quantised(node, torch.cat(real, node.int("axis", 0)), y_scale, y_zero, 1)
