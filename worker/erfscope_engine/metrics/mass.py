"""Mass areas: the smallest box around the centre, and the smallest set of pixels, that hold a share.

Both read the linear map, so that no scale of the gradient changes them. The box grows continuously (a pixel
that it covers in part counts in part): an integer side would not move under resampling, and its standard
error would be 0.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.ndimage import map_coordinates

from erfscope_contract.flat import SHARES
from erfscope_contract.result import MassArea
from erfscope_engine.metrics.patch import Array, Patch

# Rounding of sums over up to 10^6 pixels; without it a share that is met exactly would be missed by one ulp.
SLACK = 1e-12
SIDE_TOLERANCE = 1e-9
SECTIONS = np.linspace(0.0, 1.0, 65)


def mass_areas(patch: Patch, shares: Sequence[str] = SHARES) -> dict[str, MassArea]:
    """Areas by share. Sides in pixels (geometric mean of the box's sides), ratio = clipped box / input."""
    if patch.empty:
        return {share: MassArea(side=None, ratio=None, pixels=0) for share in shares}
    wanted = np.array([float(share) for share in shares])
    sides = box_sides(patch, wanted)
    counts = np.ceil(pixel_counts(patch, wanted)).astype(int)
    return {
        share: MassArea(side=float(side), ratio=_clipped_ratio(patch, float(side)), pixels=int(count))
        for share, side, count in zip(shares, sides, counts, strict=True)
    }


def pixel_counts(patch: Patch, shares: Array) -> Array:
    """How many of the largest pixels hold each share, the last one counted in part."""
    ordered = patch.descending
    cumulative = patch.accumulated
    wanted = shares * cumulative[-1] * (1 - SLACK)
    last = np.searchsorted(cumulative, wanted)
    return np.asarray(last + 1 - (cumulative[last] - wanted) / ordered[last], dtype=np.float64)


def box_sides(patch: Patch, shares: Array) -> Array:
    """Smallest real side, for each share, of the box around the projected centre in the input's proportions.

    The mass grows monotonically with the side, so each round narrows the bracket 64-fold at once for all
    shares.
    """
    table = summed_area(patch.values)
    wanted = (shares * table.flat[-1] * (1 - SLACK))[:, None]
    low = np.zeros(len(shares))
    high = np.full(len(shares), _covering_side(patch))
    while np.any(high - low > SIDE_TOLERANCE + SLACK * high):
        grid = low[:, None] + (high - low)[:, None] * SECTIONS
        enough = _mass_within(patch, table, grid) >= wanted
        enough[:, -1] = True  # the widest box holds everything but for rounding
        first = np.maximum(enough.argmax(axis=1), 1)
        rows = np.arange(len(shares))
        low, high = grid[rows, first - 1], grid[rows, first]
    return high


def summed_area(values: Array) -> Array:
    """Table of one more entry per axis: entry (i, j, …) is the sum of values[:i, :j, …]."""
    table = np.zeros([n + 1 for n in values.shape])
    inner = table[(slice(1, None),) * values.ndim]
    inner[...] = values
    for axis in range(values.ndim):
        np.cumsum(inner, axis=axis, out=inner)
    return table


def box_mass(table: Array, low: Array, high: Array) -> Array:
    """Mass between real corners (rank, …) in table coordinates.

    Exact for a map that is constant in each pixel: its integral is multilinear between the table's entries.
    Beyond the table it stays constant.
    """
    total = np.zeros(low.shape[1:])
    for corner in product((0, 1), repeat=table.ndim):
        at = np.array(corner).reshape(-1, *[1] * (low.ndim - 1))
        point = np.where(at == 1, high, low)
        sign = (-1) ** (table.ndim - sum(corner))
        total += sign * map_coordinates(table, point, order=1, mode="nearest", prefilter=False)
    return total


def _mass_within(patch: Patch, table: Array, sides: Array) -> Array:
    """Mass of the boxes of these sides around the projected centre."""
    column = (-1, *[1] * sides.ndim)
    half = sides / 2 * proportions(patch).reshape(column)
    center = (np.subtract(patch.geometry.center, patch.origin) + 0.5).reshape(column)
    return box_mass(table, center - half, center + half)


def proportions(patch: Patch) -> Array:
    """Sides of the box of geometric mean 1 that has the input's proportions."""
    return np.array(patch.geometry.shape) / patch.geometry.input_side


def _covering_side(patch: Patch) -> float:
    """Side of the smallest box around the centre that covers the whole patch."""
    start = np.array(patch.origin) - 0.5
    stop = start + patch.values.shape
    center = np.array(patch.geometry.center)
    reach = np.maximum(center - start, stop - center)
    return float((2 * reach / proportions(patch)).max())


def _clipped_ratio(patch: Patch, side: float) -> float:
    """Box clipped to the input / input."""
    half = side / 2 * proportions(patch)
    center, shape = np.array(patch.geometry.center), np.array(patch.geometry.shape)
    length = np.minimum(center + half, shape - 0.5) - np.maximum(center - half, -0.5)
    return float(np.prod(np.maximum(length, 0.0) / shape))
