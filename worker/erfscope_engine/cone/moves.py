"""Operators that move elements, on boxes: views that keep the cut axes apart, slices, joins, padding, resizing."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.cone.box import Box, clipped, cropped_axes, lengths, region_of
from erfscope_engine.cone.step import Step, kernel
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.regions.views import blocks
from erfscope_engine.tape import Ref

aten = torch.ops.aten
Map = Callable[[Tensor], Tensor]


def _linear(call: Call, box: Box, read: Box, there: Map, back: Map) -> Step:
    """A step that is a linear map of one argument, with its transpose."""
    (ref,) = {ref.index for ref in call.entry.refs}
    return Step(
        ((ref, read),),
        tuple((index if k == call.out else None, box) for k, index in enumerate(call.entry.outputs)),
        lambda inputs: ([there(inputs[0])] * len(call.entry.outputs), True),
        lambda kept, grads: [back(next(g for g in grads if g is not None))],
    )


@kernel("copy")
def copy(call: Call, box: Box) -> Step | None:
    """The source's elements, broadcast (torch has no derivative for it)."""
    source = call.arg("src")
    if not isinstance(source, Ref):
        return None
    read = {ref.index: clipped(region, call.shape(ref)) for ref, region in needs(call, region_of(box))}[source.index]
    size, before = lengths(box), lengths(read)
    return Step(
        ((source.index, read),),
        ((call.entry.outputs[0], box),),
        lambda inputs: ([inputs[0].expand(size)], True),
        lambda kept, grads: [None if grads[0] is None else grads[0].sum_to_size(before)],
    )


@kernel("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze")
def view(call: Call, box: Box) -> Step | None:
    """Axes that stay apart may be cut; merged and split ones must be whole."""
    ref = call.entry.refs[0]
    shape, cut_axes = call.shape(ref), cropped_axes(box, call.out_shape)
    read: list[tuple[int, int]] = []
    for new, old in blocks(call.out_shape, shape):
        if new.stop - new.start == old.stop - old.start == 1:
            read.append(box[new.start])
        elif cut_axes.intersection(range(new.start, new.stop)):
            return None
        else:
            read += [(0, n) for n in shape[old]]
    size, before = lengths(box), lengths(tuple(read))
    return _linear(call, box, tuple(read), lambda x: x.reshape(size), lambda g: g.reshape(before))


@kernel("slice")
def slicing(call: Call, box: Box) -> Step | None:
    """A slice of step 1 is nothing but the box."""
    return _same_elements(call, box) if (call.arg("step") or 1) == 1 else None


@kernel("split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk")
def split(call: Call, box: Box) -> Step | None:
    """Each part is nothing but its box."""
    return _same_elements(call, box)


def _same_elements(call: Call, box: Box) -> Step:
    ((ref, region),) = needs(call, region_of(box))
    return _linear(call, box, clipped(region, call.shape(ref)), lambda x: x, lambda g: g)


@kernel("cat")
def concatenate(call: Call, box: Box) -> Step | None:
    """Parts, cut alike on the other axes."""
    axis = call.arg("dim") % len(call.out_shape)
    parts = call.arg("tensors")
    if axis in cropped_axes(box, call.out_shape) or not all(isinstance(part, Ref) for part in parts):
        return None
    reads = tuple((part.index, (*box[:axis], (0, call.shape(part)[axis]), *box[axis + 1 :])) for part in parts)
    sizes = [call.shape(part)[axis] for part in parts]
    return Step(
        reads,
        ((call.entry.outputs[0], box),),
        lambda inputs: ([torch.cat(list(inputs), axis)], True),
        lambda kept, grads: list(torch.split_with_sizes(grads[0], sizes, axis)) if grads[0] is not None else [],
    )


@kernel("constant_pad_nd")
def constant_pad(call: Call, box: Box) -> Step | None:
    """What of the padding lies in the box."""
    ((ref, region),) = needs(call, region_of(box))
    shape = call.shape(ref)
    if any(i.hi <= 0 or i.lo >= n for i, n in zip(region, shape, strict=True)):
        return None
    edges = [(max(-i.lo, 0), max(i.hi - n, 0)) for i, n in zip(region, shape, strict=True)]
    flat = [p for pair in reversed(edges) for p in pair]
    value = call.arg("value") or 0
    return _linear(
        call,
        box,
        clipped(region, shape),
        (lambda x: F.pad(x, flat, value=value)) if any(flat) else (lambda x: x),
        (lambda g: F.pad(g, [-p for p in flat])) if any(flat) else (lambda g: g),
    )


@kernel(
    "reflection_pad2d",
    "replication_pad2d",
    "reflection_pad1d",
    "replication_pad1d",
    "reflection_pad3d",
    "replication_pad3d",
)
def mirrored_pad(call: Call, box: Box) -> Step | None:
    """Inside, padding only moves the origin; at a border the whole is taken."""
    ((ref, region),) = needs(call, region_of(box))
    shape = call.shape(ref)
    before = call.arg("padding")
    rank = len(before) // 2
    for k in range(rank):
        lo, hi = box[-1 - k]
        if lo < before[2 * k] or hi > before[2 * k] + shape[-1 - k]:
            return None
    return _linear(call, box, clipped(region, shape), lambda x: x, lambda g: g)


@kernel("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
        "upsample_trilinear3d")  # fmt: skip
def upsample(call: Call, box: Box) -> Step | None:
    """By whole factors, without aligned corners: the part is upsampled and the box cut out of it."""
    ((ref, region),) = needs(call, region_of(box))
    shape, name = call.shape(ref), call.entry.op.overloadpacket.__name__
    rank = len(shape) - 2
    factors = [m // n for n, m in zip(shape[2:], call.out_shape[2:], strict=True)]
    given = [call.arg(a.name) for a in call.entry.op._schema.arguments if a.name.startswith("scales")]
    exact = all(n * f == m for n, f, m in zip(shape[2:], factors, call.out_shape[2:], strict=True))
    agree = all(scale is None or scale == f for scale, f in zip(given, factors, strict=False))
    linear = "nearest" not in name
    if not exact or not agree or (linear and call.arg("align_corners")):
        return None
    read = clipped(region, shape)
    starts = [lo - f * first for (lo, _), (first, _), f in zip(box[2:], read[2:], factors, strict=True)]
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank] if linear else "nearest"
    spans = lengths(box)[2:]

    def grown(x: Tensor) -> Tensor:
        size = [n * f for n, f in zip(x.shape[2:], factors, strict=True)]
        out = F.interpolate(x, size=size, mode=mode, align_corners=False if linear else None)
        for axis, (start, span) in enumerate(zip(starts, spans, strict=True)):
            out = out.narrow(axis + 2, start, span)
        return out

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        with torch.enable_grad():
            leaf = inputs[0].detach().requires_grad_()
            out = grown(leaf)
        return [out.detach()], (out, leaf)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (g,) = torch.autograd.grad(kept[0], kept[1], grads[0], retain_graph=True)
        return [g]

    return Step(((ref.index, read),), ((call.entry.outputs[0], box),), forward, backward)
