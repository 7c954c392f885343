"""Shapes of an operator's results: by torch's kernels for the meta device, without the detours of a fake tensor mode.

The mode asks for every call whether it is one of its special cases, and imports torch's compiler to do so; recording
ResNet-50 took 0.6 s by it, 0.15 s so (1 thread). Only calls that are certainly none of these cases take this way.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

from erfscope_engine.recording.arguments import leaves, mapped

SHAPED = {"bmm", "native_layer_norm", "_softmax", "_log_softmax", "cat", "mean", "sum", "clone",
          "_unsafe_view", "max_pool2d_with_indices", "avg_pool2d", "constant_pad_nd", "upsample_nearest2d",
          "upsample_bilinear2d", "native_group_norm", "roll", "stack"}  # fmt: skip


UNARY = {"relu", "silu", "gelu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "hardtanh", "leaky_relu", "elu"}
BINARY = {"add", "mul", "sub", "div"}
PRODUCTS = {"mm", "addmm"}


class NoShapesError(Exception):
    """The mode must be asked."""


def meta_shapes(mode: FakeTensorMode, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operator on fake tensors (and real ones) of one device. Raises NoShapesError where it is no plain case."""
    tensors = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    device = next((t.fake_device for t in tensors if isinstance(t, FakeTensor)), None)
    if func is torch.ops.aten.native_layer_norm.default and device is not None and _is_even(tensors, device):
        x, count = args[0], len(args[1])
        few = (*x.shape[: x.dim() - count], *(1,) * count)
        return tuple(fake(mode, shape, _contiguous(shape), x.dtype, device) for shape in (x.shape, few, few))
    simple = None if device is None or func.namespace != "aten" else _simple(func, args, kwargs, tensors, device)
    if device is not None and simple is not None:
        return fake(mode, simple, _contiguous(simple), tensors[0].dtype, device)
    if device is None or not _is_plain(func, args, kwargs, tensors, device):
        raise NoShapesError
    given, named = mapped(Tensor, lambda t: t if isinstance(t, FakeTensor) else _like(mode, t), (args, kwargs))
    try:
        with in_kernel_invocation_manager(mode):
            out = func(*given, **named)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise NoShapesError from error  # the mode says what is wrong, in its words
    return mapped(Tensor, lambda t: t if isinstance(t, FakeTensor) else FakeTensor(mode, t, device), out)


def _is_even(tensors: list[Tensor], device: torch.device) -> bool:
    """Whether all are contiguous and of one type, which statistics are kept in as well."""
    types = {(t.dtype, _device(t), t.layout, t.is_contiguous()) for t in tensors}
    return any(types == {(dtype, device, torch.strided, True)} for dtype in (torch.float32, torch.float64))


def _simple(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor], device: torch.device
) -> tuple[int, ...] | None:
    """The shape of a contiguous result of the operands' type, by our own rules; None for all other cases.

    torch's rules for these operators are written in Python, and import its compiler or a computer algebra system.
    """
    name, sized = func.overloadpacket.__name__, [t for t in tensors if t.dim()]
    alike = {(t.dtype, _device(t), t.layout) for t in sized} == {(tensors[0].dtype, device, torch.strided)}
    if not alike or not tensors[0].is_floating_point() or any(isinstance(each, complex) for each in args):
        return None
    if name in PRODUCTS and len(sized) == len(tensors) and all(t.dim() == 2 for t in tensors[-2:]):
        left, right = tensors[-2:]
        return (left.shape[0], right.shape[1]) if left.shape[1] == right.shape[0] else None
    if not all(t.is_contiguous() for t in sized):
        return None
    return _contiguous_shape(name, args, kwargs, tensors)


def _contiguous_shape(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]
) -> tuple[int, ...] | None:
    """The shape of a result of contiguous operands of one type."""
    sized = [t.shape for t in tensors if t.dim()]
    if name == "convolution" and len(args) == 9 and len(sized) == len(tensors):
        return _convolved(*args)
    if name in UNARY and len(tensors) == 1 and "out" not in kwargs:
        return tuple(tensors[0].shape)
    if name in BINARY and "rounding_mode" not in kwargs and not any(t.is_complex() for t in tensors):
        return _broadcast(sized)
    return None


def _broadcast(shapes: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
    """The shape of operands that are broadcast against each other; None where they do not fit."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    extents = [{n for n in column if n != 1} for column in zip(*padded, strict=True)]
    return None if any(len(each) > 1 for each in extents) else tuple(min(each, default=1) for each in extents)


def _is_plain(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor], device: torch.device
) -> bool:
    name = func.overloadpacket.__name__
    if kwargs.get("device") is not None or func.namespace != "aten":
        return False
    if any(t.layout != torch.strided or _device(t) != device or not t.dim() for t in tensors):
        return False  # a tensor without axes may be a Python number, which counts otherwise in a type
    return func.is_view or torch.Tag.pointwise in func.tags or name in SHAPED


def _convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, rest: Sequence[int], groups: int,
) -> tuple[int, ...]:  # fmt: skip
    """The shape of a convolution's result (torch's own rule imports a computer algebra system)."""
    rank = weight.dim() - 2
    options = (values * rank if len(values) == 1 else values for values in map(list, (stride, padding, dilation, rest)))
    spans = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + r if transposed else (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d, r in zip(x.shape[2:], weight.shape[2:], *options, strict=True)
    ]
    fits = x.shape[1] == (weight.shape[0] if transposed else weight.shape[1] * groups)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    if x.dim() != rank + 2 or not fits or min(spans) < 1 or (bias is not None and bias.shape != (channels,)):
        raise NoShapesError
    return (x.shape[0], channels, *spans)


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a contiguous tensor."""
    return tuple(prod(shape[k + 1 :]) for k in range(len(shape)))


def _device(tensor: Tensor) -> torch.device:
    return tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device


def _like(mode: FakeTensorMode, tensor: Tensor) -> FakeTensor:
    return fake(mode, tensor.shape, tensor.stride(), tensor.dtype, tensor.device)


def fake(
    mode: FakeTensorMode, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype, device: torch.device
) -> FakeTensor:
    """A fake tensor of this shape, with memory of its own."""
    with in_kernel_invocation_manager(mode):
        empty = torch.empty_strided(shape, strides, dtype=dtype, device="meta")
    return FakeTensor(mode, empty, device)
