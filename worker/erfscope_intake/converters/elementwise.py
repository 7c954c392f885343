"""Element-wise operators: unary functions, arithmetic, comparison and logic, and selection."""

import math
from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import Node, broadcast, converts, enter, within_limit

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin, "Asinh": torch.asinh,
    "Atan": torch.atan, "Atanh": torch.atanh, "BitwiseNot": torch.bitwise_not, "Ceil": torch.ceil,
    "Cos": torch.cos, "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor,
    "IsNaN": torch.isnan, "Log": torch.log, "Neg": torch.neg, "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal, "Round": torch.round, "Sign": torch.sign, "Sin": torch.sin,
    "Sinh": torch.sinh, "Sqrt": torch.sqrt, "Tan": torch.tan,
}  # fmt: skip
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "And": torch.logical_and, "Or": torch.logical_or,
    "Xor": torch.logical_xor, "Equal": torch.eq, "Less": torch.lt, "LessOrEqual": torch.le,
    "Greater": torch.gt, "GreaterOrEqual": torch.ge, "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or, "BitwiseXor": torch.bitwise_xor,
}  # fmt: skip
VARIADIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Max": torch.maximum, "Min": torch.minimum, "Sum": torch.add,
}  # fmt: skip


def aligned(node: Node, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both operands ready for broadcasting, by the rule of the node's version.

    Before opset 7 `b` was lined up with `a` from `axis` on (attribute broadcast), later from the right.
    """
    if node.version < 7 and "axis" in node.attributes and node.domain == "":
        axis = node.int("axis", 0) % a.ndim
        b = b.reshape(b.shape + (1,) * (a.ndim - axis - b.ndim))
    if a.dtype != b.dtype and a.is_floating_point() and b.is_floating_point():
        common = torch.promote_types(a.dtype, b.dtype) if node.constant else node.dtype
        a, b = a.to(common), b.to(common)
    within_limit(broadcast(a.shape, b.shape), a.dtype)
    return a, b


def _enter_binary(operator: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    @converts(operator)
    def binary(node: Node, a: Tensor, b: Tensor) -> Tensor:
        return function(*aligned(node, a, b))


def _enter_variadic(operator: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    @converts(operator)
    def variadic(node: Node, *terms: Tensor) -> Tensor:
        return reduce(lambda a, b: function(*aligned(node, a, b)), terms)


for _name, _function in UNARY.items():
    enter(_name, _function)
for _name, _pair in BINARY.items():
    _enter_binary(_name, _pair)
for _name, _pair in VARIADIC.items():
    _enter_variadic(_name, _pair)


@converts("Mean")
def mean(node: Node, *terms: Tensor) -> Tensor:
    """Mean of broadcast inputs."""
    return reduce(lambda a, b: torch.add(*aligned(node, a, b)), terms) / len(terms)


@converts("Div")
def div(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Quotient; integers round towards zero."""
    a, b = aligned(node, a, b)
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


@converts("Pow")
def power(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """a ** b in the type of a; a constant exponent of one number becomes a plain scalar power."""
    if node.version < 7:
        a, b = aligned(node, a, b)
    within_limit(broadcast(a.shape, b.shape), a.dtype)
    if not a.is_floating_point() and b.is_floating_point():
        return torch.pow(a.to(b.dtype), b).to(a.dtype)
    return torch.pow(a, b).to(a.dtype)


@converts("Mod")
def mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Remainder with the sign of b, or with that of a where fmod is set."""
    return (torch.fmod if node.int("fmod", 0) else torch.remainder)(*aligned(node, a, b))


@converts("BitShift")
def bit_shift(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Shift to the left or right."""
    left = node.text("direction", "LEFT") == "LEFT"
    return (torch.bitwise_left_shift if left else torch.bitwise_right_shift)(a, b)


@converts("IsInf")
def is_inf(node: Node, x: Tensor) -> Tensor:
    """Where x is infinite, of the signs asked for."""
    positive, negative = node.int("detect_positive", 1), node.int("detect_negative", 1)
    return (torch.isposinf(x) & bool(positive)) | (torch.isneginf(x) & bool(negative))


@converts("Where")
def where(node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where the condition holds, b elsewhere."""
    a, b = aligned(node, a, b)
    within_limit(broadcast(condition.shape, a.shape, b.shape), a.dtype)
    return torch.where(condition.bool(), a, b)


@converts("Clip")
def clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clamp between bounds that are attributes (before 11) or tensors, perhaps computed ones."""
    if node.version < 11:
        least, most = node.float("min", -math.inf), node.float("max", math.inf)
        return torch.clamp(x, least if least > -math.inf else None, most) if least > -math.inf or most < math.inf else x
    if low is not None:
        x = torch.maximum(x, low.to(x.dtype)) if low.numel() == 1 and not node.constant else x.clamp(min=low)
    return x if high is None else torch.minimum(x, high.to(x.dtype))


@converts("CastLike", "Cast")
def cast(node: Node, x: Tensor, like: Tensor | None = None) -> Tensor:
    """Change the type; floating types mean the working type on everything that follows the input."""
    from erfscope_intake.onnx_tensors import torch_type

    wanted = like.dtype if like is not None else torch_type(node.int("to", 1))
    if wanted.is_floating_point and not node.constant:
        wanted = node.dtype
    if x.is_floating_point() and not wanted.is_floating_point and wanted is not torch.bool:
        x = torch.trunc(x)
    return x.to(wanted)


@converts("PRelu")
def prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """x where positive, slope · x elsewhere; before opset 7 the slope belongs to the channels."""
    if node.version < 7 and slope.ndim == 1 and x.ndim > 2:
        slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
    channels = [x.shape[1], *(1,) * (x.ndim - 2)] if x.ndim > 1 else []
    if x.is_floating_point() and (slope.numel() == 1 or list(slope.shape) == channels):
        return F.prelu(x, slope.reshape(-1))
    within_limit(broadcast(x.shape, slope.shape), x.dtype)
    return torch.where(x >= 0, x, slope * x)
