"""Region rules of operators that only move elements: views, slices, joins, permutations, resampled indices."""

from math import prod
from typing import Any

import torch

from erfscope_engine.regions.interval import Interval, Region, whole, whole_region
from erfscope_engine.regions.table import Call, Needs, broadcast, pointwise, rule
from erfscope_engine.regions.views import regroup
from erfscope_engine.tape import Ref


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "_reshape_copy", "flatten", "unflatten")
def view(call: Call, region: Region) -> Needs:
    """Axes that are kept apart keep their intervals; merged and split ones go through the flat index."""
    (ref,) = call.entry.refs
    yield ref, regroup(region, call.out_shape, call.shape(ref))


@rule("squeeze", "unsqueeze", "squeeze_copy", "unsqueeze_copy")
def squeeze(call: Call, region: Region) -> Needs:
    """Axes of one position come or go."""
    (ref,) = call.entry.refs
    yield ref, regroup(region, call.out_shape, call.shape(ref))


@rule(
    "clone", "detach", "alias", "contiguous", "_to_copy", "lift_fresh", "lift_fresh_copy", "dropout",
    "native_dropout", "hardswish", "prelu", "_prelu_kernel", "rsub", "floor_divide", "log_sigmoid_forward",
    "rrelu_with_noise", "triu", "tril", "where", "masked_fill", "fill",
)  # fmt: skip
def same(call: Call, region: Region) -> Needs:
    """Element by element, though torch does not tag it so; a chosen branch depends on its condition too."""
    return pointwise(call, region)


@rule("permute", "permute_copy")
def permute(call: Call, region: Region) -> Needs:
    """Axes change places."""
    x = call.arg("self")
    back: list[Any] = [None] * len(region)
    for position, axis in enumerate(call.arg("dims")):
        back[axis] = region[position]
    yield x, tuple(back)


@rule("transpose", "transpose_copy", "t")
def transpose(call: Call, region: Region) -> Needs:
    """Two axes change places."""
    (ref,) = call.entry.refs
    back = list(region)
    if call.entry.op.overloadpacket.__name__ == "t":
        back.reverse()
    else:
        a, b = call.arg("dim0"), call.arg("dim1")
        back[a], back[b] = back[b], back[a]
    yield ref, tuple(back)


@rule("expand", "expand_copy")
def expand(call: Call, region: Region) -> Needs:
    """Broadcasting by name."""
    (ref,) = call.entry.refs
    yield ref, broadcast(region, call.shape(ref))


@rule("slice", "slice_copy")
def slicing(call: Call, region: Region) -> Needs:
    """Every step-th position from a start."""
    x = call.arg("self")
    axis, start, _, step = _slice_of(call, call.shape(x))
    yield x, _with(region, axis, _strided(region[axis], start, step, call.shape(x)[axis]))


def _slice_of(call: Call, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    axis = call.arg("dim") % len(shape)
    start, stop, _ = slice(call.arg("start"), call.arg("end")).indices(shape[axis])
    return axis, start, stop, call.arg("step") or 1


def _strided(i: Interval, start: int, step: int, extent: int) -> Interval:
    if i.wide:
        return whole(extent)
    return Interval(i.lo * step + start, (i.hi - 1) * step + start + 1)


def _with(region: Region, axis: int, interval: Interval) -> Region:
    return (*region[:axis], interval, *region[axis + 1 :])


@rule("slice_scatter")
def slice_scatter(call: Call, region: Region) -> Needs:
    """The source inside the slice, the base elsewhere."""
    base, source = call.arg("self"), call.arg("src")
    if isinstance(base, Ref):
        yield base, region
    if isinstance(source, Ref):
        shape = call.shape(source)
        axis, start, _, step = _slice_of(call, call.out_shape)
        i = region[axis]
        inner = Interval(-(-(i.lo - start) // step), (i.hi - 1 - start) // step + 1)
        if i.wide:
            inner = whole(shape[axis])
        if inner.hi > 0 and inner.lo < shape[axis] and inner.size > 0:
            yield source, _with(region, axis, inner)


@rule("select", "select_copy")
def select(call: Call, region: Region) -> Needs:
    """One position of an axis that goes."""
    x = call.arg("self")
    shape = call.shape(x)
    axis = call.arg("dim") % len(shape)
    index = call.arg("index") % shape[axis]
    yield x, (*region[:axis], Interval(index, index + 1), *region[axis:])


@rule("copy")
def copy(call: Call, region: Region) -> Needs:
    """The source's elements; of the base only the shape is used."""
    source = call.arg("src")
    if isinstance(source, Ref):
        yield source, broadcast(region, call.shape(source))


@rule("cat", "concat")
def concatenate(call: Call, region: Region) -> Needs:
    """Each part reads its share of the interval."""
    parts = list(call.arg("tensors"))
    axis = call.arg("dim") % len(call.out_shape)
    start = 0
    for part in parts:
        shape = call.shape(part)
        if len(shape) != len(region):
            continue  # torch lets an empty 1-D tensor be joined to anything
        moved = region[axis].shift(-start)
        start += shape[axis]
        if isinstance(part, Ref) and moved.hi > 0 and moved.lo < shape[axis]:
            yield part, _with(region, axis, whole(shape[axis]) if moved.wide else moved.clip(shape[axis]))


@rule("stack")
def stack(call: Call, region: Region) -> Needs:
    """Each part where the new axis selects it."""
    axis = call.arg("dim") % len(region)
    rest = (*region[:axis], *region[axis + 1 :])
    for position, part in enumerate(call.arg("tensors")):
        if isinstance(part, Ref) and region[axis].lo <= position < region[axis].hi:
            yield part, rest


@rule(
    "split",
    "split_with_sizes",
    "unsafe_split",
    "chunk",
    "unsafe_chunk",
    "split_copy",
    "split_with_sizes_copy",
    "tensor_split",
)
def split(call: Call, region: Region) -> Needs:
    """Output k starts where the earlier ones end."""
    (x,) = call.entry.refs
    axis = call.arg("dim") % len(region)
    before = [call.tape.values[i].shape[axis] for i in call.entry.outputs[: call.out] if i is not None]
    i = region[axis]
    yield x, _with(region, axis, whole(call.shape(x)[axis]) if i.wide else i.shift(sum(before)))


@rule("unbind", "unbind_copy")
def unbind(call: Call, region: Region) -> Needs:
    """Output k is position k."""
    x = call.arg("self")
    axis = call.arg("dim") % len(call.shape(x))
    yield x, (*region[:axis], Interval(call.out, call.out + 1), *region[axis:])


@rule("flip")
def flip(call: Call, region: Region) -> Needs:
    """Mirrored axes."""
    x = call.arg("self")
    shape = call.shape(x)
    axes = {axis % len(shape) for axis in call.arg("dims")}
    yield (
        x,
        tuple(_mirror(i, n) if k in axes else i for k, (i, n) in enumerate(zip(region, shape, strict=True))),
    )


def _mirror(i: Interval, n: int) -> Interval:
    return Interval(n - i.hi, n - i.lo, i.wide)


@rule("roll")
def roll(call: Call, region: Region) -> Needs:
    """A cyclic shift: an interval that wraps reads from both ends."""
    x = call.arg("self")
    shape = call.shape(x)
    if not call.arg("dims"):
        yield x, whole_region(shape)
        return
    back = list(region)
    for shift, axis in zip(call.arg("shifts"), call.arg("dims"), strict=True):
        n, moved = shape[axis], region[axis].clip(shape[axis]).shift(-shift)
        around = moved.shift(-(moved.lo // n) * n)
        back[axis] = whole(n) if region[axis].wide else around if around.hi <= n else Interval(0, n)
    yield x, tuple(back)


@rule("repeat")
def repeat(call: Call, region: Region) -> Needs:
    """Copies side by side: an interval inside one copy stays that interval."""
    x = call.arg("self")
    shape = call.shape(x)
    aligned = region[len(region) - len(shape) :]
    yield x, tuple(_inside_copy(i, n) for i, n in zip(aligned, shape, strict=True))


def _inside_copy(i: Interval, n: int) -> Interval:
    if i.wide:
        return whole(n)
    if i.lo // n == (i.hi - 1) // n:
        return i.shift(-(i.lo // n) * n)
    return whole(n)


@rule("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle")
def pixel_shuffle(call: Call, region: Region) -> Needs:
    """Depth to space and back; channels are taken whole."""
    x = call.arg("self")
    shape = call.shape(x)
    name = call.entry.op.overloadpacket.__name__
    if "channel" in name:
        axis = 1
        yield x, _with(region, axis, Interval(0, shape[axis]))
        return
    up = name == "pixel_shuffle"
    factor = call.arg("upscale_factor" if up else "downscale_factor")
    look = _shrunk if up else _grown
    space = [whole(n) if i.wide else look(i, factor) for i, n in zip(region[-2:], shape[-2:], strict=True)]
    yield x, (*region[:-3], Interval(0, shape[-3]), *space)


def _shrunk(i: Interval, factor: int) -> Interval:
    return Interval(i.lo // factor, (i.hi - 1) // factor + 1)


def _grown(i: Interval, factor: int) -> Interval:
    return Interval(i.lo * factor, i.hi * factor)


@rule("index_select")
def index_select(call: Call, region: Region) -> Needs:
    """Positions named by a constant."""
    x, index = call.arg("self"), call.arg("index")
    axis = call.arg("dim") % len(region)
    if isinstance(x, Ref):
        yield x, _with(region, axis, _looked_up(index, region[axis], call.shape(x)[axis]))
    if isinstance(index, Ref):
        yield index, (region[axis],)


@rule("index", "_unsafe_index")
def index(call: Call, region: Region) -> Needs:
    """x[:, a, :, b]: one constant index on one axis is looked up, several take their axes whole."""
    x, indices = call.arg("self"), list(call.arg("indices"))
    for item in indices:
        if isinstance(item, Ref):
            yield item, whole_region(call.shape(item))
    if isinstance(x, Ref):
        yield x, _indexed(call, region, call.shape(x), indices)


def _indexed(call: Call, region: Region, shape: tuple[int, ...], indices: list[Any]) -> Region:
    axes = [axis for axis, item in enumerate(indices) if item is not None]
    ranks = [len(call.shape(indices[axis])) for axis in axes]
    if any(isinstance(indices[axis], Ref) or indices[axis].dtype == torch.bool for axis in axes):
        return whole_region(shape)
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if adjacent else 0
    rank = max(ranks)
    rest = iter((*region[:first], *region[first + rank :]))
    box = region[first : first + rank]
    return tuple(_gathered(indices[axis], box, n) if axis in axes else next(rest) for axis, n in enumerate(shape))


def _gathered(item: Any, box: Region, n: int) -> Interval:
    """Hull of the looked-up positions over a box of the (broadcast) index tensor."""
    if any(i.wide for i in box) and item.numel() > 1:
        return whole(n)
    aligned = broadcast(box, tuple(item.shape))
    if len(aligned) == 1:
        return _looked_up(item, aligned[0], n)
    return _named(item, aligned, n)


def _looked_up(item: Any, i: Interval, n: int) -> Interval:
    if isinstance(item, Ref) or i.wide:
        return whole(n)
    extents = [extent for extent, _ in i.parts]
    if extents and prod(extents) == item.numel():  # windows by index: offsets and places, merged into one axis
        return _named(item.reshape(extents), tuple(part for _, part in i.parts), n)
    return _named(item.reshape(-1), (i,), n)


def _named(item: Any, box: Region, n: int) -> Interval:
    """Hull of the positions that a box of an index tensor names, in an axis of `n`."""
    for axis, i in enumerate(box):
        inside = i.clip(item.shape[axis])
        item = item.narrow(axis, inside.lo, inside.size)
    item = torch.where(item < 0, item + n, item)
    return Interval(int(item.min()), int(item.max()) + 1)


@rule("gather")
def gather(call: Call, region: Region) -> Needs:
    """The gathered axis whole, the others by themselves."""
    x, axis = call.arg("self"), call.arg("dim")
    shape = call.shape(x)
    if isinstance(x, Ref):
        yield x, _with(region, axis % len(shape), whole(shape[axis]))
    item = call.arg("index")
    if isinstance(item, Ref):
        yield item, region


@rule(
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "index_put",
    "_unsafe_index_put",
    "masked_scatter",
    "index_add",
    "index_copy",
)
def scatter(call: Call, region: Region) -> Needs:
    """The base by itself; what is written may come from anywhere in the source."""
    base = call.entry.args[0]
    for ref in call.entry.refs:
        yield ref, region if ref is base else whole_region(call.shape(ref))


@rule("select_scatter")
def select_scatter(call: Call, region: Region) -> Needs:
    """The source where the axis selects it, the base elsewhere."""
    axis = call.arg("dim") % len(region)
    for ref in call.entry.refs:
        yield ref, region if ref is call.entry.args[0] else (*region[:axis], *region[axis + 1 :])


@rule("glu")
def gated(call: Call, region: Region) -> Needs:
    """Two halves of one axis, multiplied."""
    x = call.arg("self")
    shape = call.shape(x)
    axis = call.arg("dim") % len(shape)
    i = region[axis]
    yield x, _with(region, axis, whole(shape[axis]) if i.wide else Interval(i.lo, i.hi + shape[axis] // 2))
