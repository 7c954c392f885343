"""Operators that make tensors out of attributes and numbers."""

from typing import Any

import torch
from torch import Tensor

from erfscope_intake.converters.table import Node, converts, number, numbers, within_limit


@converts("Constant")
def constant(node: Node) -> Tensor:
    """The value that the node carries."""
    attributes = dict(node.attributes)
    value = attributes.get("value")
    if isinstance(value, Tensor):
        return value
    kinds: dict[str, torch.dtype] = {
        "value_float": torch.float32, "value_floats": torch.float32,
        "value_int": torch.int64, "value_ints": torch.int64,
    }  # fmt: skip
    for name, kind in kinds.items():
        if name in attributes:
            return torch.tensor(attributes[name], dtype=kind)
    raise ValueError("a constant must be a dense tensor of numbers")


@converts("ConstantOfShape", reads=(0,))
def constant_of_shape(node: Node, shape: Tensor) -> Tensor:
    """One value everywhere; a view of it, so that nothing large is allocated."""
    value: Tensor = node.attributes.get("value", torch.zeros(1))
    return value.reshape(()).expand(within_limit(numbers(shape), value.dtype)).clone()


@converts("Range", reads=(0, 1, 2))
def range_(_node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """start, start + delta, … below the limit."""
    first, last, step = (_plain(value) for value in (start, limit, delta))
    if step == 0:
        raise ValueError("the step is zero")
    count = max(int(-((first - last) // step)), 0)
    within_limit([count], start.dtype)
    steps = torch.arange(count, device=start.device)
    return (start.reshape(()) + steps * delta.reshape(())).to(start.dtype)


def _plain(value: Tensor) -> Any:
    return number(value) if value.is_floating_point() else numbers(value)[0]


@converts("EyeLike", shape_only=True)
def eye_like(node: Node, x: Tensor) -> Tensor:
    """Ones on a diagonal."""
    from erfscope_intake.onnx_tensors import torch_type

    dtype = torch_type(node.int("dtype", 1)) if "dtype" in node.attributes else x.dtype
    rows = torch.arange(x.shape[0], device=x.device)[:, None] + node.int("k", 0)
    return (rows == torch.arange(x.shape[1], device=x.device)).to(dtype)


SEED = 0


def _drawn(operator: str, normal: bool) -> None:
    def draw(node: Node, shape: list[int]) -> Tensor:
        generator = torch.Generator().manual_seed(int(node.float("seed", SEED)))
        make = torch.randn if normal else torch.rand
        values = make(within_limit(shape, torch.float32), generator=generator)
        if normal:
            return values * node.float("scale", 1.0) + node.float("mean", 0.0)
        low, high = node.float("low", 0.0), node.float("high", 1.0)
        return values * (high - low) + low

    @converts(operator)
    def plain(node: Node) -> Tensor:
        """A random tensor, the same at every run."""
        return draw(node, node.ints("shape", ()))

    @converts(operator + "Like", shape_only=True)
    def like(node: Node, x: Tensor) -> Tensor:
        """A random tensor of the shape of another, the same at every run."""
        return draw(node, list(x.shape))


_drawn("RandomNormal", normal=True)
_drawn("RandomUniform", normal=False)
