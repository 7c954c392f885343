"""Tiles along one axis: where they start, what they read, what they keep. Whole numbers only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, prod

from erfscope_contract.tiles import TileGrid

Range = tuple[int, int]


@dataclass(frozen=True)
class AxisTiles:
    """Tiles along one input axis, in pixels.

    A tile of `tile` pixels starts at a multiple of `alignment`, `step` pixels behind the one before it. An inner one is
    right but for `before` pixels at its start and `after` pixels at its end. Where the axis is not cut, the one tile is
    as long as the image.
    """

    tile: int
    alignment: int
    before: int
    after: int
    step: int
    is_cut: bool = True

    @property
    def crop(self) -> Range:
        """The part of an inner tile that is right; at least `step` pixels, so that neighbours meet or overlap."""
        return self.before, self.tile - self.after

    def reads(self, image: int) -> list[Range]:
        """What each tile of an image reads; the last one is shorter where the image is no multiple of the alignment."""
        if image <= self.tile:
            return [(0, image)]
        last = round_up(image - self.tile, self.alignment)
        starts = [*range(0, last, self.step), last]
        return [(start, min(start + self.tile, image)) for start in starts]

    def keeps(self, image: int) -> list[Range]:
        """The parts of the image for which each tile counts: they meet, and nothing is left out."""
        starts = [start for start, _ in self.reads(image)]
        edges = [0, *(start + self.before for start in starts[1:]), image]
        return list(pairwise(edges))

    def halo(self, share: float) -> Range:
        """A share of the halo at the start and at the end of a tile, rounded up to pixels."""
        return ceil(share * self.before), ceil(share * self.after)

    def with_halo(self, halo: Range) -> "AxisTiles":
        """The same tiles cut with another halo; their step is 0 where nothing is left."""
        if not self.is_cut:
            return self
        before, after = halo
        step = max(self.tile - before - after, 0) // self.alignment * self.alignment
        return replace(self, before=before, after=after, step=step)

    def right(self, reads: Range, image: int, halo: Range) -> Range:
        """What of the image a tile keeps with a halo: its crop, and what lies between that and the image's border."""
        (start, stop), (before, after) = reads, halo
        return 0 if start == 0 else start + before, image if stop == image else stop - after


def fitted(tile: int, alignment: int, lead: int, stop: int) -> AxisTiles | None:
    """Tiles that are right from `lead` to `stop`; None where that holds no step of one alignment."""
    step = (stop - lead) // alignment * alignment
    return AxisTiles(tile, alignment, lead, tile - stop, step) if step > 0 else None


def uncut(extent: int, alignment: int) -> AxisTiles:
    """One tile for all of an axis."""
    return AxisTiles(extent, alignment, 0, 0, extent, is_cut=False)


def smallest(alignment: int, lead: int, tail: int) -> int:
    """The smallest tile that keeps anything, a multiple of the alignment; such tiles end with `tail` wrong pixels."""
    return round_up(lead + tail + alignment, alignment)


def nearest(tile: int, alignment: int) -> list[int]:
    """The multiples of the alignment around a size that is none, the smaller one first."""
    below = tile // alignment * alignment
    return [size for size in (below, below + alignment) if size > 0]


def grid_of(axes: Sequence[AxisTiles], image: Sequence[int]) -> TileGrid:
    """All tiles of an image."""
    reads = [axis.reads(extent) for axis, extent in zip(axes, image, strict=True)]
    keeps = [axis.keeps(extent) for axis, extent in zip(axes, image, strict=True)]
    return TileGrid(image=list(image), tiles=reads, keeps=keeps, count=prod(map(len, reads)))


def round_up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple
