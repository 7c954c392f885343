"""Mass by distance from the projected centre, and by axis."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from erfscope_contract.result import Marginal, Radial
from erfscope_engine.metrics.mass import SLACK
from erfscope_engine.metrics.patch import Array, Patch

RADII = {"r50": 0.50, "r90": 0.90, "r99": 0.99}
EMPTY = 1e-9  # pixels in a bin, by rounding alone
MOST_BINS = 512  # of a curve in the answer; the radii themselves are read from rings of a pixel at most
FINEST, FINE_PARTS = 16, 1 << 16  # a pixel is cut into so many parts per axis, a map into about so many in all


@dataclass(frozen=True)
class _Rings:
    """Mass and area by distance from the projected centre, in rings of width 1 / `cut`."""

    mass: Array
    area: Array
    cut: int


@dataclass(frozen=True)
class RingIndex:
    """Where the parts of every pixel lie: `spread` (rings, parts) says how much of a part is in which ring.

    `area` is that of each ring; `cut` parts per pixel and axis.
    """

    spread: sparse.csc_array
    area: Array
    cut: int

    @classmethod
    def of(cls, patch: Patch) -> Self:
        """For the pixels of a patch."""
        rank = patch.geometry.rank
        cut = int(min(max((FINE_PARTS / patch.values.size) ** (1 / rank), 1), FINEST))
        distance = cut * _distances(patch, cut).ravel()
        edge = np.floor(distance + 0.5)
        outer, share = edge.astype(np.intp), np.where(edge > 0, distance + 0.5 - edge, 1.0)
        spread = _spread(outer, share)
        return cls(spread, spread @ np.ones_like(share) / cut**rank, cut)

    def rings(self, patch: Patch) -> _Rings:
        """Mass and area of a map on these pixels."""
        mass, rank = patch.values, patch.geometry.rank
        if self.cut > 1:
            for axis in range(rank):
                mass = np.repeat(mass, self.cut, axis=axis)
        return _Rings(self.spread @ mass.ravel() / self.cut**rank, self.area, self.cut)


def radial(patch: Patch) -> Radial:
    """Radii that hold 50, 90 and 99 % of the mass, the radial profile and the marginals.

    The mass of a pixel lies evenly on its square, which is cut into parts where the map is small; a part of side w at
    distance r is spread over [r - w/2, r + w/2], and a radius is interpolated within its ring of width w. Curves have
    bins of a pixel, coarser ones where there would be more than 512; bins without pixels are left out.
    """
    if patch.empty:
        return Radial(r50=None, r90=None, r99=None)
    rings = RingIndex.of(patch).rings(patch)
    return Radial(**_radii(rings), **_curves(patch, rings), marginals=_marginals(patch))


def radii(patch: Patch, index: RingIndex | None = None) -> Radial:
    """The radii alone; `index` is that of the patch's pixels, where many maps are on the same."""
    if patch.empty:
        return Radial(r50=None, r90=None, r99=None)
    return Radial(**_radii((index or RingIndex.of(patch)).rings(patch)))


def _distances(patch: Patch, cut: int) -> Array:
    """Distance from the projected centre, pixels, of the middles of all pixels' parts, `cut` per pixel and axis."""
    inside = (np.arange(cut) + 0.5) / cut - 0.5
    squares = [
        (np.add.outer(x, inside).ravel() - c) ** 2
        for x, c in zip(patch.coordinates, patch.geometry.center, strict=True)
    ]
    total = squares[0]
    for square in squares[1:]:
        total = total[..., None] + square
    return np.sqrt(total)


def _spread(outer: npt.NDArray[np.intp], share: Array) -> sparse.csc_array:
    """Each part lies with `share` in its `outer` ring, and with the rest in the ring before (none in one below 0)."""
    rings = np.stack([np.maximum(outer - 1, 0), outer], axis=1)
    shares = np.stack([1 - share, share], axis=1)
    columns = np.arange(0, rings.size + 1, 2)
    return sparse.csc_array((shares.ravel(), rings.ravel(), columns), shape=(int(outer.max()) + 1, len(outer)))


def _radii(rings: _Rings) -> dict[str, float]:
    cumulative = np.cumsum(rings.mass)
    found = {}
    for name, share in RADII.items():
        wanted = share * cumulative[-1] * (1 - SLACK)
        last = int(np.searchsorted(cumulative, wanted))
        found[name] = float(last + 1 - (cumulative[last] - wanted) / rings.mass[last]) / rings.cut
    return found


def _curves(patch: Patch, rings: _Rings) -> dict[str, list[float]]:
    """Bin centres, mean of the map (its maximum is 1) and share of the mass within each bin's centre."""
    width = math.ceil(len(rings.mass) / rings.cut / MOST_BINS)
    edges = np.arange(0, len(rings.mass), width * rings.cut)
    area, binned = np.add.reduceat(rings.area, edges), np.add.reduceat(rings.mass, edges)
    seen = area > EMPTY
    radius = edges[seen] / rings.cut + width / 2
    held = np.concatenate([[0.0], np.cumsum(rings.mass)])
    profile = binned[seen] / area[seen] / patch.values.max()
    return {
        "radius": radius.tolist(),
        "profile": profile.tolist(),
        "cumulative": (np.interp(radius * rings.cut, np.arange(len(held)), held) / held[-1]).tolist(),
    }


def _marginals(patch: Patch) -> list[Marginal]:
    def thin(x: Array, marginal: Array) -> Marginal:
        width = math.ceil(len(x) / MOST_BINS)
        share = np.add.reduceat(marginal, np.arange(0, len(x), width)) / patch.mass
        return Marginal(start=float(x[0]) + (width - 1) / 2, step=float(width), share=share.tolist())

    return [thin(x, marginal) for x, marginal in zip(patch.coordinates, patch.marginals, strict=True)]
