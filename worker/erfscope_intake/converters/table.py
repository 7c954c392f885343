"""The converter table: one row per ONNX operator of ours, and how a converter reads its node."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from erfscope_contract.problem import ProblemError

ONNX = ""
MICROSOFT = "com.microsoft"
CLASSICAL = "ai.onnx.ml"

T = TypeVar("T")

MAX_BYTES = 2**31
"""Largest tensor that an operator may make out of a few numbers (ConstantOfShape, Expand, Resize …)."""


@dataclass(frozen=True)
class Node:
    """What a converter knows of its node: no name, only meaning.

    `version` is the model's opset for the operator's domain, `outputs` how many outputs are wanted, `dtype`
    the floating type that this node computes in, `constant` whether none of its inputs depends on the
    measured input.
    """

    operator: str
    version: int
    attributes: Mapping[str, Any]
    outputs: int = 1
    dtype: torch.dtype = torch.float32
    constant: bool = False
    domain: str = ONNX

    def int(self, name: str, default: "Integer") -> "Integer":
        """An integer attribute."""
        return self._typed(name, int, default)

    def float(self, name: str, default: "Real") -> "Real":
        """A floating attribute."""
        value = self.attributes.get(name, default)
        return float(value if isinstance(value, int) else self._typed(name, float, float(default)))

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return self._typed(name, str, default)

    def ints(self, name: str, default: Sequence["Integer"]) -> list["Integer"]:
        """A list of integers."""
        return self._typed(name, list, list(default))

    def optional_ints(self, name: str) -> list["Integer"] | None:
        """A list of integers, or None where the attribute is absent."""
        return self.ints(name, ()) if name in self.attributes else None

    def _typed(self, name: str, kind: type[T], default: T) -> T:
        value = self.attributes.get(name, default)
        if not isinstance(value, kind):
            raise ProblemError("invalid-model", f"{self.operator}: attribute {name} has the wrong type.")
        return value


Integer = int  # the class above has methods of these names
Real = float
Converter = Callable[..., Any]
C = TypeVar("C", bound=Converter)


@dataclass(frozen=True)
class Row:
    """One operator of the table.

    `reads` are the inputs whose numbers decide shapes or indices: they stay in full precision, and a network in
    which they depend on the measured input cannot be followed there. `shape_only` operators look at their
    inputs' shape alone; `selects` ones have an output shape that depends on values.
    """

    operator: str
    function: Converter
    domain: str = ONNX
    since: int = 1
    reads: tuple[int, ...] = ()
    shape_only: bool = False
    selects: bool = False


TABLE: dict[tuple[str, str], Row] = {}


def converts(
    *operators: str,
    domain: str = ONNX,
    since: int = 1,
    reads: tuple[int, ...] = (),
    shape_only: bool = False,
    selects: bool = False,
) -> Callable[[C], C]:
    """Enter a function into the table for `operators`; it takes the Node and its inputs in order."""

    def enter(function: C) -> C:
        for operator in operators:
            TABLE[domain, operator] = Row(operator, function, domain, since, reads, shape_only, selects)
        return function

    return enter


def enter(operator: str, function: Callable[..., Any], **row: Any) -> None:
    """Enter a plain tensor function, one that needs nothing of its node."""
    converts(operator, **row)(lambda _node, *tensors: function(*tensors))


def numbers(tensor: Tensor | None) -> list[int]:
    """The integers in a tensor that is known not to depend on the input."""
    return [] if tensor is None else [int(value) for value in tensor.reshape(-1).tolist()]


def number(tensor: Tensor) -> float:
    """The only number in a tensor that is known not to depend on the input."""
    if tensor.numel() != 1:
        raise ValueError(f"one number is expected, not {tuple(tensor.shape)}")
    return float(tensor.reshape(()).item())


def broadcast(*shapes: Sequence[int]) -> list[int]:
    """The shape that `shapes` broadcast to."""
    return list(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call] # torch leaves it untyped


def within_limit(shape: Sequence[int], dtype: torch.dtype) -> list[int]:
    """`shape`, checked before anything of that size is made.

    Raises ProblemError("resource-limit") above MAX_BYTES, ProblemError("invalid-model") for a negative extent.
    """
    if any(extent < 0 for extent in shape):
        raise ProblemError("invalid-model", f"A tensor of shape {list(shape)} has a negative extent.")
    if math.prod(shape) * dtype.itemsize > MAX_BYTES:
        raise ProblemError(
            "resource-limit",
            f"A tensor of shape {list(shape)} would take more than {MAX_BYTES >> 20} MiB.",
            limit_bytes=MAX_BYTES,
        )
    return list(shape)


def axis_of(axis: int, rank: int) -> int:
    """A possibly negative axis as a position in [0, rank)."""
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is outside a tensor of rank {rank}")
    return axis % rank if rank else 0
