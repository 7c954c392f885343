"""Mass by distance from the projected centre, and by axis."""

import math

import numpy as np

from erfscope.contract.result import Marginal, Radial
from erfscope_engine.metrics.mass import SLACK
from erfscope_engine.metrics.patch import Array, Patch

RADII = {"r50": 0.50, "r90": 0.90, "r99": 0.99}
EMPTY = 1e-9  # pixels in a bin, by rounding alone
MOST_BINS = 512  # of a curve in the answer; the radii themselves are read from bins of one pixel


def radial(patch: Patch) -> Radial:
    """Radii that hold 50, 90 and 99 % of the mass, the radial profile and the marginals.

    Bins are [k, k + 1) pixels from the centre; a pixel at distance r is spread over [r - 0.5, r + 0.5], and
    a radius is interpolated within its bin. Curves longer than 512 entries are binned more coarsely; bins
    without pixels are left out.
    """
    if patch.empty:
        return Radial(r50=None, r90=None, r99=None)
    distance = distances(patch).ravel()
    mass = _ring_sums(distance, patch.values.ravel())
    pixels = _ring_sums(distance, np.ones_like(distance))
    return Radial(**_radii(mass), **_curves(patch, pixels, mass), marginals=_marginals(patch))


def radii(patch: Patch) -> Radial:
    """The radii alone, for resampling."""
    if patch.empty:
        return Radial(r50=None, r90=None, r99=None)
    return Radial(**_radii(_ring_sums(distances(patch).ravel(), patch.values.ravel())))


def distances(patch: Patch) -> Array:
    """Distance of every pixel centre of the patch from the projected centre, pixels."""
    squares = [(x - c) ** 2 for x, c in zip(patch.coordinates, patch.geometry.center, strict=True)]
    total = squares[0]
    for square in squares[1:]:
        total = total[..., None] + square
    return np.sqrt(total)


def _ring_sums(distance: Array, weights: Array) -> Array:
    """Sum of the weights per bin, each spread over one pixel around its distance (none to below 0)."""
    edge = np.floor(distance + 0.5)
    outer = np.where(edge > 0, distance + 0.5 - edge, 1.0) * weights
    ring = edge.astype(np.intp)
    sums = np.bincount(ring, weights=outer)
    inner = np.bincount(ring, weights=weights - outer)[1:]
    sums[: len(inner)] += inner
    return sums.astype(np.float64, copy=False)


def _radii(mass: Array) -> dict[str, float]:
    cumulative = np.cumsum(mass)
    found = {}
    for name, share in RADII.items():
        wanted = share * cumulative[-1] * (1 - SLACK)
        last = int(np.searchsorted(cumulative, wanted))
        found[name] = float(last + 1 - (cumulative[last] - wanted) / mass[last])
    return found


def _curves(patch: Patch, pixels: Array, mass: Array) -> dict[str, list[float]]:
    """Bin centres, mean of the map (its maximum is 1) and share of the mass within each bin's centre."""
    width = math.ceil(len(mass) / MOST_BINS)
    edges = np.arange(0, len(mass), width)
    area, binned = np.add.reduceat(pixels, edges), np.add.reduceat(mass, edges)
    seen = area > EMPTY
    within = (np.cumsum(binned) - binned / 2) / mass.sum()
    profile = binned[seen] / area[seen] / patch.values.max()
    return {
        "radius": (edges + width / 2)[seen].tolist(),
        "profile": profile.tolist(),
        "cumulative": within[seen].tolist(),
    }


def _marginals(patch: Patch) -> list[Marginal]:
    def thin(x: Array, marginal: Array) -> Marginal:
        width = math.ceil(len(x) / MOST_BINS)
        share = np.add.reduceat(marginal, np.arange(0, len(x), width)) / patch.mass
        return Marginal(start=float(x[0]) + (width - 1) / 2, step=float(width), share=share.tolist())

    return [thin(x, marginal) for x, marginal in zip(patch.coordinates, patch.marginals, strict=True)]
