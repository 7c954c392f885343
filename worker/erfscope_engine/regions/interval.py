"""Intervals: which positions along one axis of a tensor a unit needs, in unclipped coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Half-open [lo, hi); may stick out of the tensor, as a receptive field does at a border.

    `wide` says that an operator sees the axis' whole extent; it sticks from there on. In an axis that was merged from
    several, `parts` remembers the box (extent and interval, outermost first), so that splitting it again loses nothing.
    """

    lo: int
    hi: int
    wide: bool = False
    parts: "tuple[tuple[int, Interval], ...]" = ()

    @property
    def size(self) -> int:
        """Number of positions in the hull."""
        return self.hi - self.lo

    def shift(self, offset: int) -> "Interval":
        """The same interval in coordinates whose origin lies `offset` lower."""
        return Interval(self.lo + offset, self.hi + offset, self.wide)

    def clip(self, extent: int) -> "Interval":
        """The part inside [0, extent); never empty (the nearest position where nothing is left)."""
        lo = min(max(self.lo, 0), extent - 1)
        return Interval(lo, min(max(self.hi, lo + 1), extent), self.wide, self.parts)


Region = tuple[Interval, ...]


def whole(extent: int) -> Interval:
    """Everything, because the operator mixes the whole axis."""
    return Interval(0, extent, wide=extent > 1)


def whole_region(shape: Sequence[int]) -> Region:
    """Everything on every axis."""
    return tuple(whole(extent) for extent in shape)


def hull(a: Interval, b: Interval) -> Interval:
    """The smallest interval that holds both."""
    parts: tuple[tuple[int, Interval], ...] = ()
    if [n for n, _ in a.parts] == [n for n, _ in b.parts]:
        parts = tuple((n, hull(x, y)) for (n, x), (_, y) in zip(a.parts, b.parts, strict=True))
    return Interval(min(a.lo, b.lo), max(a.hi, b.hi), a.wide or b.wide, parts)


def hull_region(a: Region, b: Region) -> Region:
    """The hull, axis by axis."""
    return tuple(hull(x, y) for x, y in zip(a, b, strict=True))


def windowed(out: Interval, kernel: int, stride: int, padding: int, dilation: int) -> Interval:
    """What a sliding window reads to give `out` (convolution, pooling)."""
    return Interval(out.lo * stride - padding, (out.hi - 1) * stride - padding + dilation * (kernel - 1) + 1)


def transposed(out: Interval, kernel: int, stride: int, padding: int, dilation: int) -> Interval:
    """What a transposed convolution reads to give `out`: i·stride − padding + dilation·k = o for some tap k.

    Sources repeat with the stride, so the first and the last `stride` outputs hold the extremes.
    """
    ends = {*range(out.lo, min(out.hi, out.lo + stride)), *range(max(out.hi - stride, out.lo), out.hi)}
    found = [i for o in ends for i in _sources(o, kernel, stride, padding, dilation)]
    if not found:  # every position in `out` lies in a hole of the strided kernel
        lo = -(-(out.lo + padding) // stride)
        return Interval(lo, lo + 1)
    return Interval(min(found), max(found) + 1)


def _sources(o: int, kernel: int, stride: int, padding: int, dilation: int) -> list[int]:
    reached = (o + padding - dilation * k for k in range(kernel))
    return [n // stride for n in reached if n % stride == 0]
