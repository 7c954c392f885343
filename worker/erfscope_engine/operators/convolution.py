"""Convolutions: their geometry, and on a part bias, ReLU and a folded normalisation in one step."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.execution.box import Box, as_padding, beyond, clipped, full, is_beside, layout_of, lengths
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step, computed
from erfscope_engine.geometry.digits import Digit, Run
from erfscope_engine.geometry.frame import Frame, Link, Window, everything, reduced
from erfscope_engine.geometry.seats import Seats
from erfscope_engine.geometry.spans import Span
from erfscope_engine.moments.rule import Case
from erfscope_engine.moments.weighted import weighted
from erfscope_engine.operators.one_by_one import is_product, product_step
from erfscope_engine.operators.onednn import convolve_with
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.operators.windows import per_axis, scattering, sliding, spatial
from erfscope_engine.recording.tape import Call, Drawn, Ref

aten = torch.ops.aten


@operator("convolution", "cudnn_convolution", "mkldnn_convolution", "_slow_conv2d_forward", "slow_conv3d",
          "thnn_conv2d", "_conv_depthwise2d", "conv_depthwise3d")  # fmt: skip
def convolution(site: Site) -> Out:
    """Windows over space, all channels of a group; weights that depend on the input are read whole."""
    x, weight = site.call.args[0], site.arg("weight")
    kernel = site.shape(weight)[2:]
    rank = len(kernel)
    if not isinstance(x, Ref) or len(site.shape(x)) != rank + 2:
        return unknown(site)[0]  # type: ignore[return-value]
    transposed = site.option("transposed", False)
    window = scattering if transposed else sliding
    options = (per_axis(site.option(n, 1), rank) for n in ("stride", "padding", "dilation"))
    windows = [window(*o) for o in zip(kernel, *options, strict=True)]
    if site.masked and not transposed and has_dead_rim(site.call):
        windows = _without_dead_rim(site, weight, rank)
    axes, seats, links = spatial(site, x, windows)
    groups = site.option("groups", 1)
    axes[1], seats, more = _channels(site, x, seats, groups)
    links += more
    reads = [(x, links)]
    for other in dict.fromkeys((weight, site.arg("bias"))):
        if isinstance(other, Ref):
            reads.append((other, everything(site.frame(other).digits, site.name)))
    return out(Frame(tuple(axes), seats), *reads)


def has_dead_rim(call: Call) -> bool:
    """Whether outer rows or columns of a constant kernel are all 0, as in masked convolutions."""
    weight = call.arg("weight")
    if not isinstance(weight, Tensor) or weight.is_meta or all(n == 1 for n in weight.shape[2:]):
        return False
    if weight.numel() == 0 or not bool(weight.any()):
        return False
    return any(not bool(weight.select(k, end).any()) for k in range(2, weight.dim()) for end in (0, -1))


def _living(weight: Tensor) -> list[tuple[int, int]]:
    """By spatial axis: from the first to the last tap that is not 0 somewhere."""
    spans = []
    for k in range(2, weight.dim()):
        alive = (weight != 0).any(dim=[d for d in range(weight.dim()) if d != k]).nonzero()[:, 0]
        spans.append((int(alive[0]), int(alive[-1]) + 1))
    return spans


def _without_dead_rim(site: Site, weight: Tensor, rank: int) -> list[Window]:
    options = (per_axis(site.option(n, 1), rank) for n in ("stride", "padding", "dilation"))
    return [
        sliding(hi - lo, stride, padding - lo * dilation, dilation)
        for (lo, hi), stride, padding, dilation in zip(_living(weight), *options, strict=True)
    ]


def _channels(site: Site, x: Ref, seats: Seats, groups: int) -> tuple[Run, Seats, list[Link]]:
    """Channels of a depthwise convolution stay what they are; others read all of their group."""
    channels, into, from_ = site.frame(x).axes[1], site.out_shape()[1], site.shape(x)[1]
    if groups == into == from_:
        return channels, seats, []
    digit = Digit(into)
    if groups == 1:
        frame = Frame(site.frame(x).axes, seats)
        return (digit,), reduced(frame, channels, site.name), everything(channels, site.name)
    per_in, per_out = from_ // groups, into // groups

    def look(span: Span) -> Span:
        return Span(span.lo // per_out * per_in, ((span.hi - 1) // per_out + 1) * per_in, span.why)

    return (digit,), seats, [Link(channels, ((digit,),), look)]


@stepped("convolution")
def convolution_step(part: Part) -> Step | None:
    """A convolution whose weight is constant; what its box needs from beyond the border is padded."""
    weight, bias = part.arg("weight"), part.arg("bias")
    if isinstance(weight, Drawn):
        step = _convolve(part, *_side_by_side(weight, bias), len(weight.values) * part.arg("groups"))
        if step is None:  # beside the image there is no step for the part; the operator takes no weights of many draws
            every = replace(part, box=full(part.out_shape))
            step = _convolve(every, *_side_by_side(weight, bias), len(weight.values) * part.arg("groups"))
        return None if step is None else _draws_as_groups(step, weight)
    return _convolve(part, weight, bias, part.arg("groups"))


def _side_by_side(weight: Drawn, bias: Any) -> tuple[Tensor, Tensor | None]:
    """The weights of all draws as those of one convolution of more groups."""
    if bias is not None:
        bias = bias.values.flatten() if isinstance(bias, Drawn) else bias.repeat(len(weight.values))
    return weight.values.flatten(0, 1), bias


def _draws_as_groups(step: Step, weight: Drawn) -> Step:
    """Row n, of draw n % D, holds channels n % D · C and on of one row: a view, while channels come first."""
    draws = len(weight.values)

    def fold(x: Tensor) -> Tensor:
        return x.contiguous().view(len(x) // draws, -1, *x.shape[2:])

    def unfold(x: Tensor) -> Tensor:
        return x.contiguous().view(len(x) * draws, -1, *x.shape[2:])

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        (result,), kept = step.forward([fold(inputs[0])])
        return [unfold(result)], kept

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        assert grads[0] is not None
        (g,) = map(computed, step.backward(kept, [fold(grads[0])]))
        return [None if g is None else unfold(g)]

    return replace(step, forward=forward, backward=backward, rectified=None)


def _convolve(part: Part, weight: Any, bias: Any, groups: int) -> Step | None:
    x = part.arg("input")
    if isinstance(weight, Ref) or isinstance(bias, Ref) or not isinstance(x, Ref):
        return None
    shape, rank = part.shape(x), weight.dim() - 2
    if len(shape) != rank + 2 or weight.is_complex() or part.tape.values[x.index].dtype.is_complex:
        return None
    part = replace(part, box=((0, part.out_shape[0]), (0, part.out_shape[1]), *part.box[2:]))
    stride, dilation = per_axis(part.arg("stride"), rank), per_axis(part.arg("dilation"), rank)
    if part.arg("transposed"):
        need = part.need(x)
        if need is None or is_beside(need, shape):
            return None
        return _transposed(part, clipped((*full(shape)[:2], *need[2:]), shape), weight, bias, groups)
    windows = zip(part.box[2:], stride, per_axis(part.arg("padding"), rank), dilation, weight.shape[2:], strict=True)
    need = (*full(shape)[:2], *((lo * s - p, (hi - 1) * s - p + d * (k - 1) + 1) for (lo, hi), s, p, d, k in windows))
    if is_beside(need, shape):
        return None
    return _windows(part, x, need, weight, bias, groups, (stride, dilation))


def _windows(
    part: Part, x: Ref, need: Box, weight: Tensor, bias: Tensor | None, groups: int, steps: tuple[list[int], list[int]]
) -> Step:
    """A convolution of what its box needs, which may stick out of the image."""
    shape, rank, (stride, dilation) = part.shape(x), weight.dim() - 2, steps
    if is_product(weight, per_axis(part.arg("padding"), rank), groups):
        read, write = (x.index, clipped(need, shape)), (part.call.outputs[0], part.box)
        return product_step(read, write, weight, bias, stride)
    edges = beyond(need, shape)[2:]
    borders, none = as_padding(edges), [0] * rank
    even = _reaches_no_further(part, need, weight, steps, edges)
    drawn = groups != part.arg("groups")
    layout = torch.contiguous_format if drawn else layout_of(weight)
    weight = weight.contiguous(memory_format=layout)  # as activations lie, or every call copies it
    padding = [low for low, _ in edges] if even else none
    convolve = convolve_with(weight, bias, stride, padding, dilation, groups, layout)

    def forward(relu: bool, inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        given = inputs[0] if even else F.pad(inputs[0], borders)
        given = given.contiguous(memory_format=layout)
        return [convolve(given, relu)], given.shape

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        like = torch.empty(kept, dtype=weight.dtype, device=weight.device, memory_format=layout)  # never read
        g, _, _ = aten.convolution_backward(
            grads[0], like, weight, None, stride, padding, dilation, False, none, groups, [True, False, False]
        )
        return [g if even else F.pad(g, [-p for p in borders])]

    reads = ((x.index, clipped(need, shape)),)
    return Step(
        reads, ((part.call.outputs[0], part.box),), partial(forward, False), backward, any_format=True, fresh=True,
        rectified=partial(forward, True), keeps="nothing",
    )  # fmt: skip


def _reaches_no_further(
    part: Part, need: Box, weight: Tensor, steps: tuple[list[int], list[int]], edges: Sequence[tuple[int, int]]
) -> bool:
    """Whether as much border behind as before gives the same places: a stride often skips the last rows of a border.

    A copy with the border around it took 15 % of MobileNetV3-L's time at 512² (1 thread).
    """
    extents = lengths(clipped(need, part.shape(part.arg("input"))))[2:]
    return all(
        low >= high and (n + 2 * low - d * (k - 1) - 1) // s + 1 == places
        for (low, high), n, k, s, d, places in zip(
            edges, extents, weight.shape[2:], *steps, lengths(part.box)[2:], strict=True
        )
    )


def _transposed(part: Part, read: Box, weight: Tensor, bias: Tensor | None, groups: int) -> Step:
    """A transposed convolution of what reaches the box, then the box cut out of it."""
    x, rank, box = part.arg("input"), weight.dim() - 2, part.box
    stride, padding = per_axis(part.arg("stride"), rank), per_axis(part.arg("padding"), rank)
    dilation = per_axis(part.arg("dilation"), rank)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    first = [lo * s - p for (lo, _), s, p in zip(read[2:], stride, padding, strict=True)]
    size = [(hi - lo - 1) * s + r for (lo, hi), s, r in zip(read[2:], stride, reach, strict=True)]
    starts = [lo - f for (lo, _), f in zip(box[2:], first, strict=True)]
    spans = lengths(box)[2:]
    # where the box ends behind the last tap's reach (output padding) the result is the bias alone
    borders = [(max(-s, 0), max(s + n - m, 0)) for s, n, m in zip(starts, spans, size, strict=True)]
    flat, none, empty = as_padding(borders), [0] * rank, weight.new_empty(1)

    def window(tensor: Tensor) -> Tensor:
        for axis, (start, border, span) in enumerate(zip(starts, borders, spans, strict=True)):
            tensor = tensor.narrow(axis + 2, start + border[0], span)
        return tensor

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        result = aten.convolution(inputs[0], weight, None, stride, none, dilation, True, none, groups)
        result = window(F.pad(result, flat) if any(flat) else result)
        if bias is not None:
            result = result + bias.view(1, -1, *[1] * rank)
        return [result], (inputs[0].shape,)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (shape,), (g,) = kept, grads
        assert g is not None
        whole = g.new_zeros(*g.shape[:2], *[n + sum(b) for n, b in zip(size, borders, strict=True)])
        window(whole).copy_(g)
        whole = F.pad(whole, [-p for p in flat]) if any(flat) else whole
        back, _, _ = aten.convolution_backward(
            whole, empty.expand(shape), weight, None, stride, none, dilation, True, none, groups, [True, False, False]
        )
        return [back]

    return Step(((x.index, read),), ((part.call.outputs[0], box),), forward, backward, any_format=True, keeps="nothing")


@varied("convolution")
def convolution_variance(case: Case) -> Step:
    """Convolutions, transposed ones too."""
    return weighted(case, ("input", "weight"), "bias")
