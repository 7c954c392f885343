"""Operators that move values without changing them: reshape, slice, pad, concat and their kin."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import Node, axis_of, broadcast, converts, numbers, within_limit


@converts("Shape", shape_only=True)
def shape(node: Node, x: Tensor) -> Tensor:
    """Extents of x, from `start` to `end`."""
    extents = list(x.shape)[node.int("start", 0) :]
    if "end" in node.attributes:
        extents = list(x.shape)[slice(node.int("start", 0), node.int("end", x.ndim))]
    return torch.tensor(extents, dtype=torch.int64, device=x.device)


@converts("Size", shape_only=True)
def size(_node: Node, x: Tensor) -> Tensor:
    """Number of elements."""
    return torch.tensor(x.numel(), dtype=torch.int64, device=x.device)


@converts("Identity")
def identity(_node: Node, x: Tensor) -> Tensor:
    """x itself."""
    return x


@converts("Dropout")
def dropout(node: Node, x: Tensor, *_: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """x itself: a receptive field is measured at inference."""
    if node.outputs == 1:
        return x
    return x, torch.ones(x.shape, dtype=torch.bool, device=x.device)


@converts("Reshape", reads=(1,))
def reshape(node: Node, x: Tensor, target: Tensor | None = None) -> Tensor:
    """0 keeps an extent (unless allowzero), -1 takes the rest."""
    wanted = node.ints("shape", ()) if target is None else numbers(target)
    if not node.int("allowzero", 0):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return x.reshape(wanted)


@converts("Flatten")
def flatten(node: Node, x: Tensor) -> Tensor:
    """To two axes, split before `axis`."""
    axis = node.int("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@converts("Squeeze", reads=(1,))
def squeeze(node: Node, x: Tensor, axes_input: Tensor | None = None) -> Tensor:
    """Without the given axes of extent 1, or without all of them."""
    axes = node.optional_ints("axes") if axes_input is None else numbers(axes_input)
    gone = {i for i, n in enumerate(x.shape) if n == 1} if axes is None else {axis_of(a, x.ndim) for a in axes}
    if any(x.shape[axis] != 1 for axis in gone):
        raise ValueError(f"axes {sorted(gone)} of {tuple(x.shape)} are not all of extent 1")
    return x.reshape([n for i, n in enumerate(x.shape) if i not in gone])


@converts("Unsqueeze", reads=(1,))
def unsqueeze(node: Node, x: Tensor, axes_input: Tensor | None = None) -> Tensor:
    """With new axes of extent 1 at the given places of the result."""
    axes = node.ints("axes", ()) if axes_input is None else numbers(axes_input)
    rank = x.ndim + len(axes)
    new = {axis_of(axis, rank) for axis in axes}
    if len(new) != len(axes):
        raise ValueError(f"axes {axes} name the same place twice")
    rest = iter(x.shape)
    return x.reshape([1 if i in new else next(rest) for i in range(rank)])


@converts("Transpose")
def transpose(node: Node, x: Tensor) -> Tensor:
    """Axes in the order `perm`, reversed by default."""
    order = node.ints("perm", ()) or range(x.ndim)[::-1]
    return x.permute(*order) if x.ndim else x


@converts("Concat")
def concat(node: Node, *parts: Tensor) -> Tensor:
    """Joined along an axis."""
    wide = [part for part in parts if part.shape != (0,)] or list(parts[:1])
    axis = node.int("axis", 1)
    extent = sum(part.shape[axis] for part in wide)
    within_limit([*wide[0].shape[:axis], extent, *wide[0].shape[axis:][1:]], wide[0].dtype)
    return torch.cat(wide, axis)


@converts("Split", reads=(1,))
def split(node: Node, x: Tensor, sizes_input: Tensor | None = None) -> tuple[Tensor, ...]:
    """Cut along an axis, into the given sizes or into equal parts (the last one smaller, from 18 on)."""
    axis = axis_of(node.int("axis", 0), x.ndim)
    sizes = node.ints("split", ()) if sizes_input is None else numbers(sizes_input)
    if not sizes:
        parts = node.int("num_outputs", node.outputs)
        each = -(-x.shape[axis] // parts)
        sizes = [min(each, max(x.shape[axis] - i * each, 0)) for i in range(parts)]
    return tuple(torch.split(x, sizes, axis))


@converts("Slice", reads=(1, 2, 3, 4))
def slice_(
    node: Node,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """Ranges along axes; a negative step flips first, for torch's slices only go forward."""
    first = node.ints("starts", ()) if starts is None else numbers(starts)
    last = node.ints("ends", ()) if ends is None else numbers(ends)
    named = node.ints("axes", ()) if axes is None else numbers(axes)
    stride = numbers(steps) or [1] * len(first)
    for start, end, axis, step in zip(first, last, named or range(len(first)), stride, strict=True):
        x = _slice_axis(x, axis_of(axis, x.ndim), start, end, step)
    return x


def _slice_axis(x: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
    taken = range(*slice(start, end, step).indices(x.shape[axis]))
    if step < 0 and end < -x.shape[axis]:  # Python reads such an end as a position; ONNX means "up to the first"
        taken = range(*slice(start, None, step).indices(x.shape[axis]))
    if taken == range(x.shape[axis]):
        return x
    if step < 0:
        low = taken[-1] if taken else 0
        return x[_at(axis, slice(low, low + (len(taken) - 1) * -step + 1 if taken else low, -step))].flip(axis)
    return x[_at(axis, slice(taken.start, max(taken.stop, taken.start), step))]


def _at(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)


@converts("Expand", reads=(1,))
def expand(_node: Node, x: Tensor, target: Tensor) -> Tensor:
    """Broadcast with a shape, in both directions."""
    return x.expand(within_limit(broadcast(x.shape, numbers(target)), x.dtype))


@converts("Tile", reads=(1, 2))
def tile(node: Node, x: Tensor, repeats: Tensor, axis: Tensor | None = None) -> Tensor:
    """Repeated along every axis (or, in version 1, along one)."""
    times = numbers(repeats)
    if node.version < 6 and axis is not None:
        times = [times[0] if i == numbers(axis)[0] else 1 for i in range(x.ndim)]
    within_limit([n * t for n, t in zip(x.shape, times, strict=True)], x.dtype)
    return x.repeat(times)


PAD_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@converts("Pad", reads=(1, 2, 3))
def pad(
    node: Node,
    x: Tensor,
    pads_input: Tensor | None = None,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    """Padded on any axes, by a constant, by reflection, by the edge or around; negative pads crop."""
    pads = node.ints("pads", node.ints("paddings", ())) if pads_input is None else numbers(pads_input)
    named = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in numbers(axes)]
    pairs = {axis: (pads[i], pads[i + len(named)]) for i, axis in enumerate(named)}
    full = [pairs.get(axis, (0, 0)) for axis in range(x.ndim)]
    within_limit([n + b + e for n, (b, e) in zip(x.shape, full, strict=True)], x.dtype)
    mode = node.text("mode", "constant")
    if mode == "constant":
        fill = value.reshape(-1)[0].item() if value is not None and value.numel() else node.float("value", 0.0)
        return F.pad(x, [amount for pair in reversed(full) for amount in pair], value=fill)
    if mode not in PAD_MODES:
        raise ProblemError("unsupported-op", f"Pad in mode {mode} cannot be converted.")
    for axis, (begin, end) in enumerate(full):
        if begin or end:
            x = _pad_axis(x, axis, begin, end, mode)
    return x


def _pad_axis(x: Tensor, axis: int, begin: int, end: int, mode: str) -> Tensor:
    """One axis, by joining pieces of x: what a unit needs stays visible on the tape."""
    n = x.shape[axis]
    where = [_source(i, n, mode) for i in range(-begin, n + end)]
    kept = x.narrow(axis, max(-begin, 0), n - max(-begin, 0) - max(-end, 0))
    pieces = []
    if begin > 0:
        pieces.append(_pick(x, axis, where[:begin]))
    pieces.append(kept)
    if end > 0:
        pieces.append(_pick(x, axis, where[-end:]))
    return torch.cat(pieces, axis) if len(pieces) > 1 else kept


def _pick(x: Tensor, axis: int, where: Sequence[int]) -> Tensor:
    return x.index_select(axis, torch.tensor(where, dtype=torch.int64, device=x.device))


def _source(i: int, n: int, mode: str) -> int:
    if mode == "edge":
        return min(max(i, 0), n - 1)
    if mode == "wrap" or n == 1:
        return i % n
    period = 2 * (n - 1)
    return n - 1 - abs(i % period - (n - 1))


@converts("DepthToSpace")
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    """Channels to blocks of pixels, depth first (DCR) or column first (CRD)."""
    block, (n, c, h, w) = node.int("blocksize", 1), x.shape
    depth = c // block**2
    if node.text("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    split_up = x.reshape(n, block, block, depth, h, w).permute(0, 3, 4, 1, 5, 2)
    return split_up.reshape(n, depth, h * block, w * block)


@converts("SpaceToDepth")
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    """Blocks of pixels to channels, depth first (DCR) or column first (CRD)."""
    block, (n, c, h, w) = node.int("blocksize", 1), x.shape
    order = (0, 1, 3, 5, 2, 4) if node.text("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    split_up = x.reshape(n, c, h // block, block, w // block, block).permute(order)
    return split_up.reshape(n, c * block**2, h // block, w // block)


@converts("ReverseSequence", reads=(1,))
def reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    """The first lengths[b] steps of each sequence the other way round."""
    batch, time = node.int("batch_axis", 1), node.int("time_axis", 0)
    parts = [
        torch.cat([one.narrow(time, 0, n).flip(time), one.narrow(time, n, x.shape[time] - n)], time)
        for one, n in zip(torch.split(x, 1, batch), numbers(lengths), strict=True)
    ]
    return torch.cat(parts, batch)


@converts("CenterCropPad", reads=(1,))
def center_crop_pad(node: Node, x: Tensor, target: Tensor) -> Tensor:
    """Cropped or zero-padded about the centre to the wanted extents."""
    for axis, want in zip(node.ints("axes", range(x.ndim)), numbers(target), strict=True):
        have = x.shape[axis]
        if want < have:
            x = x.narrow(axis, (have - want) // 2, want)
        elif want > have:
            before = (want - have) // 2
            spread = [0, 0] * (x.ndim - 1 - axis_of(axis, x.ndim)) + [before, want - have - before]
            within_limit([*x.shape[:axis], want], x.dtype)
            x = F.pad(x, spread)
    return x
