"""The largest TRF of a layer's units: what they read repeats along each axis, and some phases read more than others."""

from collections.abc import Iterator, Sequence
from math import gcd

from erfscope_engine.layers import Layer, Place, Traced
from erfscope_engine.reaches import Reaches

MOST_PHASES = 64  # units that are walked; of longer periods evenly many


def phases(layer: Layer, periods: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Units near the centre, one for each phase of the longest period; `periods` in units, by coordinate."""
    count = max(periods)
    for k in range(min(count, MOST_PHASES)):
        shift = k if count <= MOST_PHASES else k * count // MOST_PHASES
        starts = (
            max(min(middle, extent - period), 0)
            for middle, extent, period in zip(layer.center, layer.grid, periods, strict=True)
        )
        yield tuple(
            min(start + shift % period, extent - 1)
            for start, extent, period in zip(starts, layer.grid, periods, strict=True)
        )


def largest_of(traced: Traced, layer: Layer, size: Sequence[int], reaches: Reaches) -> list[int]:
    """The largest TRF over the phases, pixels per input axis; empty where it is `size`, that of the centre unit.

    Of more than MOST_PHASES phases so many are looked at.
    """
    periods = [_period(traced, layer, position) for position in range(len(layer.grid))]
    if max(periods, default=1) == 1:
        return []
    extents = (reaches.extent(layer.value, Place(layer, unit).region) for unit in phases(layer, periods))
    boxes = [extent.box for extent in extents if extent is not None]
    sizes = zip(size, *([high - low for low, high in box] for box in boxes), strict=True)
    largest = [max(each) for each in sizes]
    return [] if largest == list(size) else largest


def _period(traced: Traced, layer: Layer, position: int) -> int:
    """Units along a coordinate after which what they read repeats; 1 where they do not lie evenly."""
    follows = layer.coordinates[position].follows
    axis = next(iter(follows)) if len(follows) == 1 else None
    if axis is None or layer.frame is None or axis not in layer.frame.seats:
        return 1
    seat, stride = layer.frame.seats[axis], layer.stride(axis)
    if seat.why or stride is None or stride <= 0:
        return 1
    parts = (stride / seat.step).numerator  # steps from one unit to the next
    return len(seat.windows) // gcd(len(seat.windows), parts)
