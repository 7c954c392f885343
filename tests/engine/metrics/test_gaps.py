"""Errors of boxes' sides on maps with a gap where the share is reached: against the scatter over seeds."""

import numpy as np
import pytest

from erfscope_engine.metrics import flat_scalars, standard_errors

SIDE, SEEDS, SAMPLES = 41, 24, 8


def ringed(seed: int, inner: float) -> np.ndarray:
    """Maps of samples: a disc with nearly that share of the mass, nothing around it, and a ring far out."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    disc, ring = radius < 4, np.abs(radius - 14) < 2
    parts = [inner * disc / disc.sum(), (1 - inner) * ring / ring.sum()]
    return sum(rng.normal(1, 0.1, size=(SAMPLES, 1, 1)) * part for part in parts)  # type: ignore[return-value]


@pytest.mark.parametrize("inner", [0.49, 0.5, 0.51])
def test_the_error_of_a_side_is_its_scatter_over_seeds(inner, centered):
    geometry = centered((SIDE, SIDE))
    sides, errors, ratios = [], [], []
    for seed in range(SEEDS):
        maps = ringed(seed, inner)
        sides.append(flat_scalars(maps.mean(0), geometry)["mass_50_side"])
        error = standard_errors(maps, np.ones(SAMPLES), geometry, briefly=True)
        errors.append(error["mass_50_side"])
        ratios.append(error["mass_50_ratio"])
    scatter = np.std(sides, ddof=1)
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / scatter < 4
    inside = np.abs(np.subtract(sides, np.mean(sides))) <= 2 * np.array(errors)
    assert inside.mean() > 0.6, "sides lie in two heaps, so that 0.95 cannot be had; without the gap's noise it is 0.4"
    assert min(ratios) > 0


def test_without_a_gap_it_is_the_jackknifes(centered):
    """A Gaussian whose width varies: the mass within a box tells the same as the side itself."""
    geometry = centered((SIDE, SIDE))
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    widths = rng.normal(5, 0.3, size=SAMPLES)
    maps = np.array([np.exp(-(x**2 + y**2) / (2 * w**2)) / w**2 for w in widths])
    error = standard_errors(maps, np.ones(SAMPLES), geometry, briefly=True)["mass_50_side"]
    sides = [flat_scalars(one, geometry)["mass_50_side"] for one in maps]
    assert error == pytest.approx(np.std(sides, ddof=1) / np.sqrt(SAMPLES), rel=0.2)
