"""Poolings: max by its indices, average by hand where no border is in the way."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.execution.box import as_padding, beyond, clipped, is_beside, lengths
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.frame import Frame, Window, everything, reduced
from erfscope_engine.geometry.spans import Span
from erfscope_engine.moments.gaussian import larger
from erfscope_engine.moments.rule import Case, ref_of
from erfscope_engine.moments.separable import FAR_BELOW, Alone, Axis, applied, averaging, axes_of, one_of, placed
from erfscope_engine.moments.state import Moments
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.operators.windows import per_axis, sliding, spatial

aten = torch.ops.aten


@operator("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices",
          "avg_pool1d", "avg_pool2d", "avg_pool3d")  # fmt: skip
def pooling(site: Site) -> Out:
    """Windows over space, channel by channel."""
    (ref,) = site.refs
    rank = _rank(site.name)
    kernel = per_axis(site.arg("kernel_size"), rank)
    stride = per_axis(site.arg("stride"), rank) if site.arg("stride") else kernel
    padding, dilation = per_axis(site.arg("padding"), rank), per_axis(site.option("dilation", 1), rank)
    windows = [sliding(*o) for o in zip(kernel, stride, padding, dilation, strict=True)]
    axes, seats, links = spatial(site, ref, windows)
    return out(Frame(tuple(axes), seats), (ref, links))


def _rank(name: str) -> int:
    return int(name[name.index("pool") + 4])


@operator("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
          "adaptive_avg_pool1d", "adaptive_max_pool1d", statistics="go")  # fmt: skip
def adaptive(site: Site) -> Out:
    """Windows of nearly equal size; one for all takes the whole axis."""
    (ref,) = site.refs
    rank = _rank(site.name)
    pairs = list(zip(site.shape(ref)[-rank:], site.out_shape()[-rank:], strict=True))
    axes, seats, links = spatial(site, ref, [_share_of(n, m) if m > 1 else None for n, m in pairs])
    for position, (_, m) in enumerate(pairs, start=len(axes) - rank):
        if m == 1:
            links += everything(axes[position], site.name)
            seats = reduced(Frame(tuple(axes), seats), axes[position], site.name)
            axes[position] = ()
    return out(Frame(tuple(axes), seats), (ref, links))


def _share_of(n: int, m: int) -> Window:
    scale = Fraction(n, m)
    return Window(scale, (scale - 1) / 2, lambda span: Span(span.lo * n // m, -(-span.hi * n // m), span.why))


def _options(part: Part, rank: int) -> tuple[list[int], list[int]]:
    """Kernel and stride."""
    kernel = per_axis(part.arg("kernel_size"), rank)
    return kernel, per_axis(part.arg("stride"), rank) if part.arg("stride") else kernel


@stepped("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool(part: Part) -> Step | None:
    """What sticks out of the image is -inf."""
    rank, (ref,) = _rank(part.name), part.site.refs
    box, shape = part.need(ref), part.shape(ref)
    if part.out != 0 or len(part.box) != rank + 2 or part.is_read(1) or box is None or is_beside(box, shape):
        return None
    borders = as_padding(beyond(box, shape)[-rank:])
    kernel, stride = _options(part, rank)
    dilation, none = per_axis(part.arg("dilation"), rank), [0] * rank
    pool = getattr(aten, f"max_pool{rank}d_with_indices")
    unpool = getattr(aten, f"max_pool{rank}d_with_indices_backward")

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        x = F.pad(inputs[0], borders, value=-torch.inf) if any(borders) else inputs[0]
        pooled, where = pool(x, kernel, stride, none, dilation)
        return [pooled, where], (x, where)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        x, where = kept
        g = unpool(grads[0], x, kernel, stride, none, dilation, False, where)
        return [F.pad(g, [-p for p in borders]) if any(borders) else g]

    return Step(((ref.index, clipped(box, shape)),), part.writes, forward, backward, any_format=True)


@stepped("avg_pool2d", "avg_pool3d")
def average_pool(part: Part) -> Step | None:
    """Inside the image only: at a border the divisor depends on the options."""
    rank, (ref,) = _rank(part.name), part.site.refs
    box, shape = part.need(ref), part.shape(ref)
    if len(part.box) != rank + 2 or box is None or any(map(any, beyond(box, shape))):
        return None
    kernel, stride = _options(part, rank)
    none, divisor = [0] * rank, part.arg("divisor_override")
    pool, unpool = getattr(aten, f"avg_pool{rank}d"), getattr(aten, f"avg_pool{rank}d_backward")

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [pool(inputs[0], kernel, stride, none, False, True, divisor)], inputs[0].new_empty(1)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [unpool(grads[0], kept.expand(lengths(box)), kernel, stride, none, False, True, divisor)]

    return Step(((ref.index, box),), part.writes, forward, backward, any_format=True, keeps="nothing")


@varied("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool_variance(case: Case) -> Step:
    """Every tap has the share 1/n; what overlaps counts as uncorrelated."""
    call, rank = case.call, int(case.name[8])
    kernel, padding = per_axis(call.arg("kernel_size"), rank), per_axis(call.arg("padding"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel
    names = [a.name for a in case.call.op._schema.arguments]
    divisor = call.arg("divisor_override") if "divisor_override" in names else None
    pool = getattr(torch.nn.functional, f"avg_pool{rank}d")

    def alone(rows: Tensor, k: int) -> Tensor:
        out = pool(
            placed(rows, k, rank),
            one_of(kernel[k], k, rank, 1),
            one_of(stride[k], k, rank, 1),
            one_of(padding[k], k, rank, 0),
            call.arg("ceil_mode"),
            True if divisor else call.arg("count_include_pad"),
        ).flatten(1)
        answer: Tensor = (out > 0).to(out.dtype) if divisor else out
        return answer

    return averaging(case, alone, rank, 1 / divisor if divisor else 1.0)


@varied("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def adaptive_average_variance(case: Case) -> Step:
    """Windows of nearly equal size."""
    rank = int(case.name[18])
    out = case.part.out_shape[-rank:]
    pool = getattr(torch.nn.functional, f"adaptive_avg_pool{rank}d")
    return averaging(case, lambda rows, k: pool(placed(rows, k, rank), one_of(out[k], k, rank, 1)).flatten(1), rank)


@varied("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d")
def max_pool_variance(case: Case) -> Step:
    """The largest is any of the n in the window with the share 1/n; moments after Clark, pair by pair."""
    if case.part.out != 0:
        case.refuse("the places of its maxima have no gradient")
    rank = len(case.part.out_shape) - 2
    if rank != int(case.name[case.name.index("pool") + 4]):
        case.refuse("it runs on an unbatched tensor")
    read, axes = axes_of(case, _windows(case, rank), rank)
    shares = [Axis(each.axis, each.weights / each.weights.sum(1, keepdim=True).clamp_min(1)) for each in axes]

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        out = inputs[0]
        for each in axes:
            out = _largest(out, each)
        return [out], True

    return Step(
        ((ref_of(case, "self").index, read),),
        ((case.call.outputs[0], case.box), *[(None, case.box)] * (len(case.call.outputs) - 1)),
        forward,
        lambda kept, grads: [None if grads[0] is None else applied(grads[0], shares, back=True)],
        note="every position of a max pooling's window is its largest equally often",
    )


def _windows(case: Case, rank: int) -> Alone:
    call = case.call
    if case.name.startswith("adaptive"):
        out = case.part.out_shape[-rank:]
        pool = getattr(torch.nn.functional, f"adaptive_max_pool{rank}d")
        return lambda rows, k: pool(placed(rows, k, rank), one_of(out[k], k, rank, 1)).flatten(1)
    kernel, padding = per_axis(call.arg("kernel_size"), rank), per_axis(call.arg("padding"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel
    dilation = per_axis(call.arg("dilation"), rank)
    pool = getattr(torch.nn.functional, f"max_pool{rank}d")
    return lambda rows, k: pool(
        placed(rows, k, rank),
        one_of(kernel[k], k, rank, 1),
        one_of(stride[k], k, rank, 1),
        one_of(padding[k], k, rank, 0),
        one_of(dilation[k], k, rank, 1),
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
