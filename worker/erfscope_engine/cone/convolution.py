"""Convolutions on boxes: bias, ReLU and a folded normalisation in one step; the ReLU's mask is its own output."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.cone.box import Box, clipped, full, lengths, region_of
from erfscope_engine.cone.step import Step, kernel
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.regions.windows import per_axis
from erfscope_engine.tape import Drawn, Ref

aten = torch.ops.aten


@kernel("convolution")
def convolution(call: Call, box: Box) -> Step | None:
    """A convolution whose weight is constant; what its box needs from beyond the border is padded."""
    return convolve(call, box, call.arg("weight"), call.arg("bias"))


def convolve(call: Call, box: Box, weight: Any, bias: Any) -> Step | None:
    """The step of a convolution with these parameters (a normalisation may be folded into them)."""
    if isinstance(weight, Drawn):
        made = _convolve(call, box, *_side_by_side(weight, bias), len(weight.values) * call.arg("groups"))
        # beside the image there is no step for the part, and the operator does not take weights of many draws
        return _draws_as_groups(made, weight) if made else convolve(call, full(call.out_shape), weight, bias)
    return _convolve(call, box, weight, bias, call.arg("groups"))


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
        (out,), kept = step.forward([fold(inputs[0])])
        return [unfold(out)], kept

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        assert grads[0] is not None
        (g,) = step.backward(kept, [fold(grads[0])])
        return [None if g is None else unfold(g)]

    return replace(step, forward=forward, backward=backward)


def _convolve(call: Call, box: Box, weight: Any, bias: Any, groups: int) -> Step | None:
    x = call.arg("input")
    if isinstance(weight, Ref) or isinstance(bias, Ref) or not isinstance(x, Ref):
        return None
    shape, rank = call.shape(x), weight.dim() - 2
    if len(shape) != rank + 2:
        return None
    box = ((0, call.out_shape[0]), (0, call.out_shape[1]), *box[2:])
    ((_, region),) = needs(call, region_of(box))
    read = clipped(region, shape)
    if any(i.hi <= 0 or i.lo >= n for i, n in zip(region[2:], shape[2:], strict=True)):
        return None
    stride, dilation = per_axis(call.arg("stride"), rank), per_axis(call.arg("dilation"), rank)
    if call.arg("transposed"):
        return _transposed(call, box, read, weight, bias, groups)
    low = [max(-i.lo, 0) for i in region[2:]]
    high = [max(i.hi - n, 0) for i, n in zip(region[2:], shape[2:], strict=True)]
    even = low == high
    drawn = groups != call.arg("groups")
    layout = torch.contiguous_format if drawn else channels_last(rank)
    weight = weight.contiguous(memory_format=layout)  # as activations lie, or every call copies it
    padding = low if even else [0] * rank
    borders = [p for pair in zip(reversed(low), reversed(high), strict=True) for p in pair]

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        given = inputs[0] if even else F.pad(inputs[0], borders)
        given = given.contiguous(memory_format=layout)
        out = aten.convolution(given, weight, bias, stride, padding, dilation, False, [0] * rank, groups)
        return [out], given  # going back, only its shape and layout are read

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        g, _, _ = aten.convolution_backward(
            grads[0], kept, weight, None, stride, padding, dilation, False, [0] * rank, groups, [True, False, False]
        )  # fmt: skip
        return [g if even else F.pad(g, [-p for p in borders])]

    return Step(((x.index, read),), ((call.entry.outputs[0], box),), forward, backward, fresh=True)


def channels_last(rank: int) -> torch.memory_format:
    """The layout that convolutions of `rank` spatial axes run fastest in."""
    return {2: torch.channels_last, 3: torch.channels_last_3d}.get(rank, torch.contiguous_format)


def _transposed(call: Call, box: Box, read: Box, weight: Tensor, bias: Tensor | None, groups: int) -> Step:
    """A transposed convolution of the part that reaches the box, then the box cut out of it."""
    x, rank = call.arg("input"), weight.dim() - 2
    stride, padding = per_axis(call.arg("stride"), rank), per_axis(call.arg("padding"), rank)
    dilation = per_axis(call.arg("dilation"), rank)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    first = [lo * s - p for (lo, _), s, p in zip(read[2:], stride, padding, strict=True)]
    size = [(hi - lo - 1) * s + r for (lo, hi), s, r in zip(read[2:], stride, reach, strict=True)]
    starts = [lo - f for (lo, _), f in zip(box[2:], first, strict=True)]
    spans = lengths(box)[2:]
    # where the box ends behind the last tap's reach (output padding) the result is the bias alone
    borders = [[max(-s, 0), max(s + n - m, 0)] for s, n, m in zip(starts, spans, size, strict=True)]
    flat = [p for pair in reversed(borders) for p in pair]
    none = [0] * rank
    empty = weight.new_empty(1)

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        (given,) = inputs
        out = aten.convolution(given, weight, None, stride, none, dilation, True, none, groups)
        out = _window(F.pad(out, flat) if any(flat) else out, starts, borders, spans)
        if bias is not None:
            out = out + bias.view(1, -1, *[1] * rank)
        return [out], (given.shape,)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (shape,) = kept
        g = grads[0]
        assert g is not None
        whole = g.new_zeros(*g.shape[:2], *[n + sum(b) for n, b in zip(size, borders, strict=True)])
        _window(whole, starts, borders, spans).copy_(g)
        whole = F.pad(whole, [-p for p in flat]) if any(flat) else whole
        found, _, _ = aten.convolution_backward(
            whole, empty.expand(shape), weight, None, stride, none, dilation, True, none, groups, [True, False, False]
        )
        return [found]

    return Step(((x.index, read),), ((call.entry.outputs[0], box),), forward, backward)


def _window(tensor: Tensor, starts: list[int], borders: list[list[int]], spans: tuple[int, ...]) -> Tensor:
    for axis, (start, border, span) in enumerate(zip(starts, borders, spans, strict=True)):
        tensor = tensor.narrow(axis + 2, start + border[0], span)
    return tensor
