"""What noise of the mass within a box adds to the error of the box's side; a jackknife of sides misses it at gaps.

The side is where the mass within the box reaches a share. Between the taps of dilated layers a map has rings with
hardly any mass, across which the side jumps when that mass varies a little. A jackknife either meets no jump, and
tells a fifth of the scatter over seeds, or meets one. The mass within a given box is smooth, so its error is known,
and the map itself tells which sides have that much more or less mass.
"""

from collections.abc import Mapping

import numpy as np

from erfscope_contract.flat import SHARES
from erfscope_engine.metrics.level import SHARES as LIKELY
from erfscope_engine.metrics.level import STEPS
from erfscope_engine.metrics.mass import box_sides, proportions
from erfscope_engine.metrics.patch import Array, Patch


def mass_within(patch: Patch, sides: Mapping[str, float]) -> dict[str, float]:
    """The share of the mass within the box of each side (by share) around the projected centre."""
    return {share: _within(patch, side) / patch.mass for share, side in sides.items()}


def spread_of_side(patch: Patch, share: str, error: float) -> float:
    """How far a side of a map is off, pixels (root mean square), where the mass within its box has this error."""
    wanted = np.clip(float(share) + error * STEPS, 1e-6, 1 - 1e-9)
    sides = box_sides(patch, wanted)
    return float(np.sqrt(LIKELY @ (sides - sides[len(sides) // 2]) ** 2))


def sides_of(patch: Patch) -> dict[str, float]:
    """Of the boxes with each share of the mass; none of a map that is zero."""
    if patch.empty:
        return {}
    return dict(zip(SHARES, map(float, box_sides(patch, np.array([float(share) for share in SHARES]))), strict=True))


def _within(patch: Patch, side: float) -> float:
    """Mass of a map that is constant in each pixel, within a box."""
    total: Array = patch.values
    places = zip(patch.geometry.center, patch.origin, patch.values.shape, proportions(patch), strict=True)
    for center, origin, extent, proportion in places:
        start, stop = center - origin - side / 2 * proportion, center - origin + side / 2 * proportion
        pixels = np.arange(extent)
        covered = np.clip(np.minimum(stop, pixels + 0.5) - np.maximum(start, pixels - 0.5), 0.0, 1.0)
        total = np.tensordot(covered, total, axes=1)  # the first axis goes
    return float(total)
