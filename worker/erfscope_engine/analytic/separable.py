"""Transfers of poolings and resizings: a matrix per axis, found by the operator's own answer to unit impulses."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.analytic.gaussian import larger
from erfscope_engine.analytic.moments import Moments
from erfscope_engine.analytic.transfer import Case, Transfer, ref_of, step_of, transfer
from erfscope_engine.cone.box import Box, clipped, region_of
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.regions.windows import per_axis

aten = torch.ops.aten
AVERAGED = "terms of fixed averages (pooling, interpolation) count as uncorrelated"
IMPULSES = 256  # rows of the identity that are pushed through at once
FAR_BELOW = -1e10  # stands for the -inf around a max pooling
Alone = Callable[[Tensor, int], Tensor]  # the operator along one axis: (n, length) and the axis → (n, length out)


@dataclass(frozen=True)
class Axis:
    """The dense weights (out, in) of the box along one axis of the tensor."""

    axis: int
    weights: Tensor


def _axes(case: Case, alone: Alone, rank: int) -> tuple[Box, list[Axis]]:
    """What the box reads, and the operator's weights per spatial axis."""
    ((ref, region),) = needs(case.call, region_of(case.box))
    shape = case.call.shape(ref)
    read = clipped(region, shape)
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


def _apply(x: Tensor, axes: Sequence[Axis], *, back: bool = False) -> Tensor:
    """Every axis' matrix, or its transpose."""
    for each in axes:
        weights = each.weights.to(x)
        x = torch.tensordot(x, weights, dims=([each.axis], [0 if back else 1])).movedim(-1, each.axis)
    return x


def _squared(axes: Sequence[Axis]) -> list[Axis]:
    return [Axis(each.axis, each.weights.square()) for each in axes]


def _averaging(case: Case, alone: Alone, rank: int, factor: float = 1.0) -> Transfer:
    """A linear operator that is a product over its axes, times a factor."""
    read, axes = _axes(case, alone, rank)
    squares = _squared(axes)

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        mean = None if x.mean is None else _apply(x.mean, axes) * factor
        return [Moments(mean, _apply(x.variance, squares) * factor**2)], True

    return Transfer(
        ((ref_of(case, _data(case.call)).index, read),),
        ((case.entry.outputs[0], case.box),),
        forward,
        lambda kept, grads: [None if g is None else _apply(g, squares, back=True) * factor**2 for g in grads],
        note=AVERAGED,
    )


def _data(call: Call) -> str:
    """The name of an operator's first argument."""
    return str(call.entry.op._schema.arguments[0].name)


def _placed(rows: Tensor, k: int, rank: int) -> Tensor:
    """(n, length) as (n, 1, …, length, …): alone on axis k of the space."""
    return rows.view(len(rows), 1, *[rows.shape[1] if i == k else 1 for i in range(rank)])


def _one(value: int, k: int, rank: int, other: int) -> list[int]:
    return [value if i == k else other for i in range(rank)]


@transfer("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(case: Case) -> Transfer:
    """Every tap has the share 1/n; what overlaps counts as uncorrelated."""
    call, rank = case.call, int(case.name[8])
    kernel, padding = per_axis(call.arg("kernel_size"), rank), per_axis(call.arg("padding"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel
    names = [a.name for a in case.entry.op._schema.arguments]
    divisor = call.arg("divisor_override") if "divisor_override" in names else None
    pool = getattr(torch.nn.functional, f"avg_pool{rank}d")

    def alone(rows: Tensor, k: int) -> Tensor:
        out = pool(
            _placed(rows, k, rank),
            _one(kernel[k], k, rank, 1),
            _one(stride[k], k, rank, 1),
            _one(padding[k], k, rank, 0),
            call.arg("ceil_mode"),
            True if divisor else call.arg("count_include_pad"),
        ).flatten(1)
        answer: Tensor = (out > 0).to(out.dtype) if divisor else out
        return answer

    return _averaging(case, alone, rank, 1 / divisor if divisor else 1.0)


@transfer("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def adaptive_average(case: Case) -> Transfer:
    """Windows of nearly equal size."""
    rank = int(case.name[18])
    out = case.call.out_shape[-rank:]
    pool = getattr(torch.nn.functional, f"adaptive_avg_pool{rank}d")
    return _averaging(case, lambda rows, k: pool(_placed(rows, k, rank), _one(out[k], k, rank, 1)).flatten(1), rank)


@transfer("mean")
def mean(case: Case) -> Transfer:
    """Over whole axes: each of n elements has the share 1/n."""
    step = step_of(case, case.entry)
    share = math.prod(case.call.out_shape) / math.prod(case.call.shape(ref_of(case, "self")))

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        outs, kept = step.forward([x.variance])
        means = [None] if x.mean is None else step.forward([x.mean])[0]
        return [Moments(means[0], outs[0] * share)], kept

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [None if g is None else g * share for g in step.backward(kept, grads)]

    return Transfer(step.reads, step.writes, forward, backward)


@transfer("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d")
def interpolated(case: Case) -> Transfer:
    """Interpolation weights squared; neighbours that share a source count as uncorrelated."""
    call, rank = case.call, len(case.call.out_shape) - 2
    out = call.out_shape[-rank:]
    names = [a.name for a in case.entry.op._schema.arguments if a.name.startswith("scales")]
    given = [call.arg(name) for name in names]

    def alone(rows: Tensor, k: int) -> Tensor:
        scales = [given[i] if i == k else None for i in range(rank)] if len(given) == rank else []
        x = _placed(rows, k, rank)
        answer: Tensor = case.entry.op(x, _one(out[k], k, rank, 1), call.arg("align_corners"), *scales)
        return answer.flatten(1)

    return _averaging(case, alone, rank)


@transfer("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d")
def maximum(case: Case) -> Transfer:
    """The largest is any of the n in the window with the share 1/n; moments after Clark, pair by pair."""
    if case.call.out != 0:
        case.refuse("the places of its maxima have no gradient")
    rank = len(case.call.out_shape) - 2
    if rank != int(case.name[case.name.index("pool") + 4]):
        case.refuse("it runs on an unbatched tensor")
    read, axes = _axes(case, _windows(case, rank), rank)
    shares = [Axis(each.axis, each.weights / each.weights.sum(1, keepdim=True).clamp_min(1)) for each in axes]

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        out = inputs[0]
        for each in axes:
            out = _largest(out, each)
        return [out], True

    return Transfer(
        ((ref_of(case, "self").index, read),),
        ((case.entry.outputs[0], case.box), *[(None, case.box)] * (len(case.entry.outputs) - 1)),
        forward,
        lambda kept, grads: [None if grads[0] is None else _apply(grads[0], shares, back=True)],
        note="every position of a max pooling's window is its largest equally often",
    )


def _windows(case: Case, rank: int) -> Alone:
    call = case.call
    if case.name.startswith("adaptive"):
        out = call.out_shape[-rank:]
        pool = getattr(torch.nn.functional, f"adaptive_max_pool{rank}d")
        return lambda rows, k: pool(_placed(rows, k, rank), _one(out[k], k, rank, 1)).flatten(1)
    kernel, padding = per_axis(call.arg("kernel_size"), rank), per_axis(call.arg("padding"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel
    dilation = per_axis(call.arg("dilation"), rank)
    pool = getattr(torch.nn.functional, f"max_pool{rank}d")
    return lambda rows, k: pool(
        _placed(rows, k, rank),
        _one(kernel[k], k, rank, 1),
        _one(stride[k], k, rank, 1),
        _one(padding[k], k, rank, 0),
        _one(dilation[k], k, rank, 1),
        call.arg("ceil_mode"),
    ).flatten(1)


def _largest(x: Moments, each: Axis) -> Moments:
    """The largest of each window along one axis, tap after tap."""
    taps = int((each.weights > 0).sum(1).max())
    order = torch.argsort((each.weights > 0).to(torch.int8), dim=1, descending=True, stable=True)[:, :taps]
    valid = torch.gather(each.weights > 0, 1, order)
    found: Moments | None = None
    shape = [-1 if k == each.axis else 1 for k in range(x.variance.dim())]
    for tap in range(taps):
        place, real = order[:, tap].to(x.variance.device), valid[:, tap].view(shape).to(x.variance.device)
        mean = x.dense_mean.index_select(each.axis, place).masked_fill(~real, FAR_BELOW)
        variance = x.variance.index_select(each.axis, place).masked_fill(~real, 0)
        next_one = Moments(mean, variance)
        found = next_one if found is None else larger(found, next_one)
    assert found is not None  # a window has a tap
    return found
