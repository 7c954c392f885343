"""What noise of a size's threshold adds to its error; a jackknife of pixel counts misses it where the profile is flat.

A size counts the pixels above a share of the centre's value. Where the profile is flat near that share (a plateau), a
little noise of the centre moves the level across all of it. The jackknife counts pixels near the level in part (a ramp
of a quarter to each side), so that it tells slopes, but a plateau within the ramp it takes for a gentle slope: of a
plateau at the level itself it told a seventh of the scatter (measured over seeds).
"""

from collections.abc import Iterator, Mapping
from math import log

import numpy as np

from erfscope_contract.roots import root
from erfscope_engine.metrics.luo import ONE_SIGMA, TWO_SIGMA, center_value
from erfscope_engine.metrics.patch import Patch

BAND = 2.0  # pixels from level / BAND to level · BAND stand for the profile near the level
STEPS = np.linspace(-2.5, 2.5, 21)  # standard errors of the level
SHARES = np.exp(-(STEPS**2) / 2) / np.exp(-(STEPS**2) / 2).sum()  # how likely each is
LEVELS: Mapping[str, tuple[str, float]] = {
    "erf_size": ("center", TWO_SIGMA),
    "erf_size_1sigma": ("center", ONE_SIGMA),
    "erf_size_peak": ("peak", TWO_SIGMA),
}


def log_levels(patch: Patch) -> dict[str, float | None]:
    """For each size the logarithm of its level over the mean of the pixels near it; None where there are none.

    What scales the whole map, level and pixels alike, cancels.
    """
    return {name: _log_level(patch, level) for name, level in _levels(patch)}


def spread(patch: Patch, name: str, error: float) -> float:
    """How far a size of a map is off, pixels (root mean square), where its level's logarithm has this error."""
    level = dict(_levels(patch))[name]
    counts = [patch.above(float(one)) for one in level * np.exp(error * STEPS)]
    sizes = np.array([root(float(count), patch.geometry.rank) for count in counts])
    return float(np.sqrt(SHARES @ (sizes - sizes[len(sizes) // 2]) ** 2))


def _levels(patch: Patch) -> Iterator[tuple[str, float]]:
    references = {"center": center_value(patch), "peak": float(patch.values.max(initial=0.0))}
    for name, (reference, share) in LEVELS.items():
        yield name, share * references[reference]


def _log_level(patch: Patch, level: float) -> float | None:
    if level <= 0:
        return None
    low, high = patch.above(level / BAND), patch.above(level * BAND, strictly=False)
    return log(level * (low - high) / patch.sum_of(high, low)) if low > high else None
