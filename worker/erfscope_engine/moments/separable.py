"""Poolings and resizings: a matrix per axis, found by the operator's own answer to unit impulses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box
from erfscope_engine.execution.step import Step
from erfscope_engine.moments.rule import Case, ref_of
from erfscope_engine.moments.state import Moments
from erfscope_engine.recording.tape import Call

AVERAGED = "terms of fixed averages (pooling, interpolation) count as uncorrelated"
IMPULSES = 256  # rows of the identity that are pushed through at once
FAR_BELOW = -1e10  # stands for the -inf around a max pooling
Alone = Callable[[Tensor, int], Tensor]  # the operator along one axis: (n, length) and the axis → (n, length out)


@dataclass(frozen=True)
class Axis:
    """The dense weights (out, in) of the box along one axis of the tensor."""

    axis: int
    weights: Tensor


def axes_of(case: Case, alone: Alone, rank: int) -> tuple[Box, list[Axis]]:
    """What the box reads, and the operator's weights per spatial axis."""
    (ref,) = case.part.site.refs
    shape, read = case.part.shape(ref), case.part.read(ref)
    assert read is not None  # what reads nothing has no moments to pass on
    axes = []
    for k in range(rank):
        axis = len(shape) - rank + k
        (lo, hi), (first, last) = case.box[axis], read[axis]
        parts = []
        for start in range(first, last, IMPULSES):
            stop = min(start + IMPULSES, last)
            impulses = torch.zeros(stop - start, shape[axis], dtype=torch.float64)
            impulses[torch.arange(stop - start), torch.arange(start, stop)] = 1
            parts.append(alone(impulses, k)[:, lo:hi].t().contiguous())
        axes.append(Axis(axis, torch.cat(parts, 1)))
    return read, axes


def applied(x: Tensor, axes: Sequence[Axis], *, back: bool = False) -> Tensor:
    """Every axis' matrix, or its transpose."""
    for each in axes:
        weights = each.weights.to(x)
        x = torch.tensordot(x, weights, dims=([each.axis], [0 if back else 1])).movedim(-1, each.axis)
    return x


def squared(axes: Sequence[Axis]) -> list[Axis]:
    """The same with weights squared."""
    return [Axis(each.axis, each.weights.square()) for each in axes]


def averaging(case: Case, alone: Alone, rank: int, factor: float = 1.0) -> Step:
    """A linear operator that is a product over its axes, times a factor."""
    read, axes = axes_of(case, alone, rank)
    squares = squared(axes)

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        mean = None if x.mean is None else applied(x.mean, axes) * factor
        return [Moments(mean, applied(x.variance, squares) * factor**2)], True

    return Step(
        ((ref_of(case, _data(case.call)).index, read),),
        ((case.call.outputs[0], case.box),),
        forward,
        lambda kept, grads: [None if g is None else applied(g, squares, back=True) * factor**2 for g in grads],
        note=AVERAGED,
    )


def _data(call: Call) -> str:
    """The name of an operator's first argument."""
    return str(call.op._schema.arguments[0].name)


def placed(rows: Tensor, k: int, rank: int) -> Tensor:
    """(n, length) as (n, 1, …, length, …): alone on axis k of the space."""
    return rows.view(len(rows), 1, *[rows.shape[1] if i == k else 1 for i in range(rank)])


def one_of(value: int, k: int, rank: int, other: int) -> list[int]:
    """An option that has `value` on axis k and `other` elsewhere."""
    return [value if i == k else other for i in range(rank)]
