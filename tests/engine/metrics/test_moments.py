"""Moments against closed forms."""

import math

import numpy as np
import pytest

from erfscope_engine.metrics import measure_map


def rotated(theta: float, major: float = 12.0, minor: float = 5.0, n: int = 129) -> np.ndarray:
    """A Gaussian whose first axis is turned by theta from the last axis towards growing y."""
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    u, v = np.cos(theta) * x + np.sin(theta) * y, -np.sin(theta) * x + np.cos(theta) * y
    return np.exp(-0.5 * ((u / major) ** 2 + (v / minor) ** 2))


@pytest.mark.parametrize("theta", [0.0, 0.3, math.pi / 4, 1.2, math.pi / 2, -0.4, -1.4])
def test_rotated_gaussian(centered, theta):
    fit = measure_map(rotated(theta), centered((129, 129))).gaussian
    assert fit.sigma == pytest.approx([12, 5], rel=1e-4)
    assert fit.fit_sigma == pytest.approx([12, 5], rel=1e-3)
    assert math.sin(fit.theta - theta) == pytest.approx(0, abs=1e-6)  # equal but for half turns
    assert -math.pi / 2 < fit.theta <= math.pi / 2
    assert fit.r2 == pytest.approx(1, abs=1e-6)


def test_binomial_coefficients_have_the_known_variance(centered):
    n = 40  # layers of a ones kernel of 2: variance n / 4, excess kurtosis -2 / n
    m = np.array([math.comb(n, k) for k in range(n + 1)], dtype=float)
    fit = measure_map(m, centered((n + 1,))).gaussian
    assert fit.sigma == pytest.approx([math.sqrt(n / 4)], rel=1e-12)
    assert fit.excess_kurtosis == pytest.approx([-2 / n], rel=1e-9)
    assert fit.theta is None


@pytest.mark.parametrize("width", [2, 5, 16])
def test_uniform_map(centered, width):
    m = np.zeros((20, 20))
    m[2 : 2 + width, 3 : 3 + width] = 1
    fit = measure_map(m, centered((20, 20))).gaussian
    assert fit.sigma_axis == pytest.approx([math.sqrt((width**2 - 1) / 12)] * 2, rel=1e-12)
    assert fit.excess_kurtosis == pytest.approx([-1.2 * (width**2 + 1) / (width**2 - 1)] * 2)
    assert fit.theta is None  # no axis is the first


def test_three_axes(gaussian, centered):
    fit = measure_map(gaussian((41, 41, 61), (3, 5, 8)), centered((41, 41, 61))).gaussian
    assert fit.sigma == pytest.approx([8, 5, 3], rel=2e-2)
    assert fit.sigma_axis == pytest.approx([3, 5, 8], rel=2e-2)
    assert fit.theta == pytest.approx(0, abs=1e-6)
    assert fit.fit_sigma == pytest.approx([8, 5, 3], rel=2e-2)


def test_one_row_has_no_width_across(centered):
    m = np.zeros((9, 31))
    m[6] = np.exp(-0.5 * ((np.arange(31) - 15) / 3) ** 2)
    metrics = measure_map(m, centered((9, 31)))
    assert metrics.gaussian.sigma == pytest.approx([3, 0], rel=1e-4)
    assert metrics.gaussian.fit_sigma == pytest.approx([3, 0], rel=1e-4)
    assert metrics.gaussian.excess_kurtosis[0] is None
    assert metrics.shape.anisotropy is None
    assert metrics.shape.offset == pytest.approx([2, 0], abs=1e-9)
