"""Luo's ERF size: how many pixels are above a share of the centre's value.

Luo, Li, Urtasun, Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NIPS 2016, section 3: a pixel belongs to the ERF when its value is above 1 - 95.45 % (two sigma) of the
centre's.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import map_coordinates

from erfscope_contract.result import Erf
from erfscope_contract.roots import root
from erfscope_engine.metrics.edges import reaches_border
from erfscope_engine.metrics.patch import Patch

TWO_SIGMA = 1 - 0.9545
ONE_SIGMA = 1 - 0.6827
TINY = 1e-300

Count = Callable[[Patch, float], float]


def luo_size(patch: Patch) -> Erf:
    """Size N**(1/d), pixels, of the N pixels strictly above the threshold; None where the reference is 0."""
    measured = sizes(patch, pixels_above)
    limited = [name for name, level in levels(patch).items() if level > 0 and reaches_border(patch, level)]
    return measured.model_copy(update={"limited": limited})


def levels(patch: Patch) -> dict[str, float]:
    """The levels above which pixels are counted, by the flat names of the sizes."""
    center, peak = center_value(patch), float(patch.values.max(initial=0.0))
    return {
        "erf_size": TWO_SIGMA * center,
        "erf_size_1sigma": ONE_SIGMA * center,
        "erf_size_peak": TWO_SIGMA * peak,
    }


def sizes(patch: Patch, count: Count) -> Erf:
    """The sizes that a way to count pixels above a level gives."""
    level, geometry = levels(patch), patch.geometry
    size = _side(patch, count, level["erf_size"])
    return Erf(
        size=size,
        ratio=_ratio(size, geometry.trf_side),
        ratio_clipped=_ratio(size, geometry.trf_side_clipped),
        size_1sigma=_side(patch, count, level["erf_size_1sigma"]),
        size_peak=_side(patch, count, level["erf_size_peak"]),
    )


def center_value(patch: Patch) -> float:
    """The map at the projected centre, interpolated linearly between pixels.

    A centre outside the input is moved to the nearest point between the centres of its outermost pixels.
    """
    if patch.empty:
        return 0.0
    point = np.subtract(patch.geometry.nearest_center, patch.origin)[:, None]
    # grid-constant: beyond the patch the map is zero, and the step down to it is interpolated as well.
    return float(map_coordinates(patch.values, point, order=1, mode="grid-constant", prefilter=False)[0])


def pixels_above(patch: Patch, level: float) -> float:
    """Number of pixels strictly above the level."""
    return float(patch.above(level))


def pixels_about(patch: Patch, level: float) -> float:
    """Number of pixels above a level that is drawn out into a ramp: from a quarter below it to a quarter above.

    A count of whole pixels jumps; how much it would vary is told by the pixels near the level.
    """
    top, bottom = patch.above(1.25 * level), patch.above(0.75 * level)
    return top + (patch.sum_of(top, bottom) / level - 0.75 * (bottom - top)) / 0.5


def pixels_around(patch: Patch, level: float) -> float:
    """Mean number of pixels above a level, over levels from level / e to level · e (evenly in their logarithm).

    On a smooth map it grows with every layer, where a count of whole pixels stays and jumps in turn.
    """
    heights = np.log(np.maximum(patch.values / level, TINY))
    return float(np.clip((heights + 1) / 2, 0.0, 1.0).sum())


def _side(patch: Patch, count: Count, level: float) -> float | None:
    if level <= 0:
        return None
    return root(count(patch, level), patch.geometry.rank)


def _ratio(size: float | None, side: float) -> float | None:
    return None if size is None or side == 0 else size / side
