"""Errors of sizes on maps that are flat near the level above which pixels count: against the scatter over seeds."""

import numpy as np
import pytest

from erfscope_engine.metrics import flat_scalars, standard_errors

SIDE, BLOCK, SEEDS = 41, 6, 20
LEVEL = 0.0455


def plateau(height: float) -> np.ndarray:
    """A disc of 1 in the middle of a wide disc of that height."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    return np.where(radius < 4, 1.0, np.where(radius < 15, height, 0.0))


def drawn(seed: int, samples: int, noise: float, height: float) -> np.ndarray:
    """Maps of samples whose noise is common to blocks of pixels, and to the disc in the middle."""
    rng = np.random.default_rng(seed)
    blocks = rng.normal(1, noise, size=(samples, 7, 7)).repeat(BLOCK, 1).repeat(BLOCK, 2)[:, :SIDE, :SIDE]
    middle = rng.normal(1, noise, size=(samples, 1, 1))
    return np.where(plateau(0.0) == 1, middle, blocks) * plateau(height)


@pytest.mark.parametrize("height", [LEVEL, 1.03 * LEVEL])
@pytest.mark.parametrize("samples", [4, 16])
@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_the_error_of_a_size_is_its_scatter_over_seeds(height, samples, noise, centered):
    geometry = centered((SIDE, SIDE))
    sizes, errors, ratios = [], [], []
    for seed in range(SEEDS):
        maps = drawn(seed, samples, noise, height)
        sizes.append(flat_scalars(maps.mean(0), geometry)["erf_size"])
        error = standard_errors(maps, np.ones(samples), geometry, briefly=True)
        errors.append(error["erf_size"])
        ratios.append(error["erf_ratio"] / error["erf_size"])
    scatter = np.std(sizes, ddof=1)
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / scatter < 4, "too large where seeds hardly ever cross the level"
    inside = np.abs(np.subtract(sizes, np.mean(sizes))) <= 2 * np.array(errors)
    assert inside.mean() > 0.6, "sizes lie in two heaps here, so that the normal 0.95 cannot be had"
    assert ratios == pytest.approx([1 / SIDE] * SEEDS)


def test_where_the_profile_is_steep_the_noise_of_the_level_adds_nothing(centered):
    """A disc with an edge far from the level: whatever the level does, its pixels are the same ones."""
    geometry = centered((SIDE, SIDE))
    errors = standard_errors(drawn(0, 8, 0.1, 0.5), np.ones(8), geometry, briefly=True)
    assert errors["erf_size"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("depth", [1e-6, 1e-18, 1e-100])
def test_errors_of_a_size_below_the_rounding_of_the_largest_value(depth, centered):
    """The centre lies in a pit: what its size counts is lost in a sum that the peaks are in, and yet has an error."""
    geometry = centered((SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    within = np.where(radius < 8, depth * np.exp(-(radius**2) / 12), 0.0)
    peaks = np.where(np.abs(radius - 15) < 1, 1.0, 0.0)
    maps = [within * (1 + noise) + peaks for noise in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    errors, shallow = (
        standard_errors(np.array(each), np.ones(5), geometry, briefly=True)
        for each in (maps, [each / depth * (radius < 8) for each in maps])
    )
    assert np.isfinite(errors["erf_size"])
    assert errors["erf_size_1sigma"] == pytest.approx(shallow["erf_size_1sigma"], rel=0.3)
