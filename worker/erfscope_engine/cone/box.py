"""Boxes: the part of a tensor that the cone keeps, one clipped [lo, hi) per axis."""

from collections.abc import Sequence

from torch import Tensor

from erfscope_engine.regions.interval import Interval, Region

Box = tuple[tuple[int, int], ...]


def full(shape: Sequence[int]) -> Box:
    """The whole tensor."""
    return tuple((0, n) for n in shape)


def clipped(region: Region, shape: Sequence[int]) -> Box:
    """The part of a region that lies inside a tensor; an interval beside it keeps the nearest position."""
    inside = (i.clip(n) for i, n in zip(region, shape, strict=True))
    return tuple((i.lo, i.hi) for i in inside)


def region_of(box: Box) -> Region:
    """A box as the region rules take it."""
    return tuple(Interval(lo, hi) for lo, hi in box)


def hull(a: Box | None, b: Box) -> Box:
    """The smallest box that holds both."""
    if a is None:
        return b
    return tuple((min(x[0], y[0]), max(x[1], y[1])) for x, y in zip(a, b, strict=True))


def lengths(box: Box) -> tuple[int, ...]:
    """Positions per axis."""
    return tuple(hi - lo for lo, hi in box)


def cut(tensor: Tensor, own: Box, wanted: Box) -> Tensor:
    """The part `wanted` of a tensor that holds `own` (a view)."""
    for axis, ((lo, hi), (first, last)) in enumerate(zip(own, wanted, strict=True)):
        if (lo, hi) != (first, last):
            tensor = tensor.narrow(axis, first - lo, last - first)
    return tensor


def cropped_axes(box: Box, shape: Sequence[int]) -> set[int]:
    """The axes of which a box does not hold everything."""
    return {axis for axis, ((lo, hi), n) in enumerate(zip(box, shape, strict=True)) if (lo, hi) != (0, n)}
