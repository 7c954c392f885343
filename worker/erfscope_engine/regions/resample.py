"""Region rules of resizing: nearest, linear, bicubic, area, grid sampling."""

from collections.abc import Callable
from fractions import Fraction
from math import floor

from erfscope_engine.regions.interval import Interval, Region, whole, whole_region
from erfscope_engine.regions.table import Call, Needs, rule

Look = Callable[[Interval, Fraction], Interval]


def _pitch(call: Call, axis: int, rank: int, into: int, out: int, align: bool) -> Fraction:
    """Input positions per output position, as the kernels compute it: a given scale factor wins over sizes."""
    if align:
        return Fraction(into - 1, out - 1) if out > 1 else Fraction(0)
    names = ["scales"] if rank == 1 else ["scales_d", "scales_h", "scales_w"][-rank:]
    given = call.arg(names[axis])
    return Fraction(into, out) if not given else Fraction(1) / Fraction(given).limit_denominator(10**6)


def _resample(call: Call, region: Region, look: Look, align: bool) -> Needs:
    x = call.arg(next(a.name for a in call.entry.op._schema.arguments))
    rank = int(call.entry.op.overloadpacket.__name__.rstrip("_aexct")[-2])
    into, out = call.shape(x)[-rank:], call.out_shape[-rank:]
    space = [
        whole(n) if i.wide else look(i, _pitch(call, k, rank, n, m, align))
        for k, (i, n, m) in enumerate(zip(region[-rank:], into, out, strict=True))
    ]
    yield x, (*region[:-rank], *space)


@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def nearest(call: Call, region: Region) -> Needs:
    """Output i reads floor(i·pitch)."""
    return _resample(call, region, lambda i, s: Interval(floor(i.lo * s), floor((i.hi - 1) * s) + 1), False)


@rule("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
def nearest_exact(call: Call, region: Region) -> Needs:
    """Output i reads floor((i + 1/2)·pitch)."""
    half = Fraction(1, 2)
    return _resample(call, region, lambda i, s: Interval(floor((i.lo + half) * s), floor((i.hi - half) * s) + 1), False)


def _taps(before: int, after: int, align: bool) -> Look:
    """Kernels that read `before` taps at or below the source coordinate and `after` above it."""
    half = Fraction(0) if align else Fraction(1, 2)

    def look(i: Interval, pitch: Fraction) -> Interval:
        first, last = (i.lo + half) * pitch - half, (i.hi - 1 + half) * pitch - half
        whole_step = last.denominator == 1  # on a sample the taps above have weight zero
        above = 0 if whole_step and after == 1 else after
        return Interval(floor(first) - (before - 1), floor(last) + above + 1)

    return look


@rule("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def linear(call: Call, region: Region) -> Needs:
    """Two taps per axis."""
    align = bool(call.arg("align_corners"))
    return _resample(call, region, _taps(1, 1, align), align)


@rule("upsample_bicubic2d")
def bicubic(call: Call, region: Region) -> Needs:
    """Four taps per axis."""
    align = bool(call.arg("align_corners"))
    return _resample(call, region, _taps(2, 2, align), align)


@rule("grid_sampler_2d", "grid_sampler_3d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")
def sampled(call: Call, region: Region) -> Needs:
    """Sampling at computed places: all of the input's space; of a grid (N, y, x, 2) the place itself."""
    for ref in call.entry.refs:
        shape = call.shape(ref)
        if ref is call.entry.args[0]:
            yield ref, (region[0], region[1], *whole_region(shape[2:]))
        else:
            yield ref, (region[0], *region[2:], whole(shape[-1]))
