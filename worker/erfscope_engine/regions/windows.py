"""Region rules of sliding windows: convolutions, poolings, padding, unfold."""

from collections.abc import Sequence
from typing import Any

from erfscope_engine.regions.interval import Interval, Region, transposed, whole, windowed
from erfscope_engine.regions.table import Call, Needs, rule
from erfscope_engine.tape import Ref


def per_axis(value: Any, rank: int, default: int | None = None) -> list[int]:
    """An argument that may be one number, one per axis, or empty (its default)."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if not values:
        assert default is not None
        values = [default]
    return values * rank if len(values) == 1 else values


@rule("convolution", "cudnn_convolution", "mkldnn_convolution")
def convolution(call: Call, region: Region) -> Needs:
    """Channels by group; space by the window."""
    x, weight = call.arg("input"), call.arg("weight")
    kernel = call.shape(weight)[2:]
    rank = len(kernel)
    stride, padding = per_axis(call.arg("stride"), rank), per_axis(call.arg("padding"), rank)
    dilation, groups = per_axis(call.arg("dilation"), rank), call.arg("groups")
    look = transposed if call.arg("transposed") else windowed
    if isinstance(x, Ref):
        space = tuple(
            whole(n) if i.wide else look(i, k, s, p, d)
            for i, n, k, s, p, d in zip(region[2:], call.shape(x)[2:], kernel, stride, padding, dilation, strict=True)
        )
        channels = _grouped(region[1], call.out_shape[1], call.shape(x)[1], groups)
        yield x, (region[0], channels, *space)
    for other in (weight, call.arg("bias")):  # weights that depend on the input: all of them
        if isinstance(other, Ref):
            yield other, tuple(whole(n) for n in call.shape(other))


def leaves_holes(call: Call) -> bool:
    """Whether a transposed convolution gives outputs that read nothing: its taps do not meet every phase of its stride.

    Regions are intervals: what reads such outputs with gaps of its own may need less than the interval says.
    """
    if call.entry.op.overloadpacket.__name__ != "convolution" or not call.arg("transposed"):
        return False
    kernel = call.shape(call.arg("weight"))[2:]
    stride, dilation = (per_axis(call.arg(name), len(kernel)) for name in ("stride", "dilation"))
    return any(len({d * n % s for n in range(k)}) < s for k, s, d in zip(kernel, stride, dilation, strict=True))


def _grouped(channels: Interval, out: int, into: int, groups: int) -> Interval:
    inside = channels.clip(out)
    first, last = inside.lo * groups // out, (inside.hi - 1) * groups // out
    width = into // groups
    return Interval(first * width, (last + 1) * width)


@rule(
    "max_pool1d", "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "max_pool3d",
    "max_pool1d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
)  # fmt: skip
def pooling(call: Call, region: Region) -> Needs:
    """A window per spatial axis, everything else by itself."""
    names = [a.name for a in call.entry.op._schema.arguments]
    x = call.arg(names[0])
    rank = _pool_rank(call)
    kernel = per_axis(call.arg("kernel_size"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel
    padding = per_axis(call.arg("padding"), rank)
    dilation = per_axis(call.arg("dilation"), rank) if "dilation" in names else [1] * rank
    extents = call.shape(x)[-rank:]
    space = [
        whole(n) if i.wide else windowed(i, k, s, p, d)
        for i, n, k, s, p, d in zip(region[-rank:], extents, kernel, stride, padding, dilation, strict=True)
    ]
    yield x, (*region[:-rank], *space)


def _pool_rank(call: Call) -> int:
    name = call.entry.op.overloadpacket.__name__
    return int(name[name.index("pool") + 4])


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pooling(call: Call, region: Region) -> Needs:
    """Output i reads [floor(i·n/m), ceil((i+1)·n/m)); one output reads everything."""
    x = call.arg("self")
    rank = _pool_rank(call)
    into, out = call.shape(x)[-rank:], call.out_shape[-rank:]
    space = [_adaptive(i, n, m) for i, n, m in zip(region[-rank:], into, out, strict=True)]
    yield x, (*region[:-rank], *space)


def _adaptive(i: Interval, n: int, m: int) -> Interval:
    if i.wide or m == 1:
        return whole(n)
    return Interval(i.lo * n // m, -(-i.hi * n // m))


@rule("constant_pad_nd")
def constant_pad(call: Call, region: Region) -> Needs:
    """Padding moves the origin; what lies in the border reads beyond it, unclipped."""
    x = call.arg("self")
    yield x, _unpad(region, call.arg("pad"), call.shape(x))


@rule(
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d",
)  # fmt: skip
def mirrored_pad(call: Call, region: Region) -> Needs:
    """As constant padding; the border's mirror images lie inside and are near the border."""
    x = call.arg("self")
    shape = call.shape(x)
    pad = call.arg("padding")
    moved = _unpad(region, pad, shape)
    mirrored = "reflection" in call.entry.op.overloadpacket.__name__
    look = _reflect if mirrored else _replicate
    yield x, tuple(i if i.wide else look(i, n) for i, n in zip(moved, shape, strict=True))


def _unpad(region: Region, pad: Sequence[int], shape: tuple[int, ...]) -> Region:
    before = [0] * len(region)
    for k in range(len(pad) // 2):
        before[-1 - k] = pad[2 * k]
    return tuple(whole(n) if i.wide else i.shift(-b) for i, b, n in zip(region, before, shape, strict=True))


def _reflect(i: Interval, n: int) -> Interval:
    """Positions that stick out are read at their mirror image: the hull takes those in."""
    lo, hi = i.lo, i.hi
    if lo >= 0 and hi <= n:
        return i
    if lo < 0:
        hi = max(hi, min(-lo + 1, n))
    if i.hi > n:
        lo = min(lo, max(2 * (n - 1) - (i.hi - 1), 0))
    return Interval(lo, hi)


def _replicate(i: Interval, n: int) -> Interval:
    """Positions beyond the border are copies of the border's pixel."""
    return i if i.hi > 0 and i.lo < n else Interval(min(i.lo, n - 1), max(i.hi, 1))


@rule("unfold")
def unfold(call: Call, region: Region) -> Needs:
    """Tensor.unfold: windows along one axis become a new last axis."""
    x, axis = call.arg("self"), call.arg("dimension")
    shape = call.shape(x)
    axis %= len(shape)
    size, step = call.arg("size"), call.arg("step")
    window, offset = region[axis], region[-1]
    if window.wide:
        kept = whole(shape[axis])
    else:
        inside = offset.clip(size)
        kept = Interval(window.lo * step + inside.lo, (window.hi - 1) * step + inside.hi)
    yield x, tuple(kept if k == axis else i for k, i in enumerate(region[:-1]))
