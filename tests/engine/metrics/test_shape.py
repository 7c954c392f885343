"""Offset, border, effective pixels, entropy and gridding against closed forms."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from erfscope_engine.metrics import measure_map
from erfscope_engine.metrics.border import box_probability


def test_uniform_set_of_pixels(centered):
    m = np.zeros((12, 12))
    m[3:5, 4:9] = 7
    shape = measure_map(m, centered((12, 12), center=(5, 5))).shape
    assert shape.participation == pytest.approx(10)
    assert shape.entropy == pytest.approx(math.log(10))
    assert shape.offset == pytest.approx([-1.5, 1.0])
    assert shape.anisotropy == pytest.approx(math.sqrt(24 / 3))


def test_gaussian_participation_and_entropy(gaussian, centered):
    shape = measure_map(gaussian((200, 200), 12.0), centered((200, 200))).shape
    assert shape.participation == pytest.approx(4 * math.pi * 12**2, rel=1e-6)
    assert shape.entropy == pytest.approx(1 + math.log(2 * math.pi * 12**2), rel=1e-6)


@pytest.mark.parametrize(("center", "outside"), [((-0.5, 50.0), 0.5), ((-0.5, -0.5), 0.75), ((50, 50), 0.0)])
def test_border_cuts_the_part_that_is_not_seen(gaussian, centered, center, outside):
    m = gaussian((101, 101), 8.0, center)
    shape = measure_map(m, centered((101, 101), center)).shape
    assert shape.border_mass == pytest.approx(outside, abs=2e-3)


def test_a_border_far_away_cuts_nothing_not_even_rounding(gaussian, centered):
    for sigma in np.linspace(3.0, 6.0, 13):
        assert measure_map(gaussian((101, 101), sigma), centered((101, 101))).shape.border_mass == 0


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_box_probability_is_the_normal_distributions(rank):
    root = np.array([[2.0, 0, 0], [0.7, 1.5, 0], [-0.4, 0.9, 1.1]])[:rank, :rank]
    low, high = np.array([-1.0, -0.5, -3.0])[:rank], np.array([2.0, 1.5, 0.4])[:rank]
    normal = multivariate_normal(np.zeros(rank), root @ root.T, seed=0)
    expected = normal.cdf(high, lower_limit=low)
    assert box_probability(low, high, root @ root.T) == pytest.approx(expected, abs=2e-4)


def comb(n: int, period: int, axes: str) -> np.ndarray:
    y, x = np.mgrid[:n, :n] - n // 2
    masks = {
        "both": (y % period == 0) & (x % period == 0),
        "x": (x % period == 0),
        "checkerboard": (x + y) % period == 0,
    }
    return masks[axes].astype(float)


@pytest.mark.parametrize("period", [2, 3, 4, 16])
@pytest.mark.parametrize("axes", ["both", "x", "checkerboard"])
def test_strict_lattices_score_one(gaussian, centered, period, axes):
    m = gaussian((257, 257), 30.0) * comb(257, period, axes)
    shape = measure_map(m, centered((257, 257), stride=16)).shape
    assert shape.lattice == pytest.approx(1, abs=0.02)
    assert max(shape.lattice_frequency) * period == pytest.approx(round(max(shape.lattice_frequency) * period))


def test_a_half_filled_lattice_scores_in_between(gaussian, centered):
    m = gaussian((129, 129), 15.0) * (1 + comb(129, 2, "x"))
    # the comb's amplitude is 1/2 on a mean of 3/2
    assert measure_map(m, centered((129, 129))).shape.lattice == pytest.approx(1 / 9, rel=0.02)


@pytest.mark.parametrize("stride", [1, 8, 32, None])
@pytest.mark.parametrize("sigma", [0.8, 2.0, 10.0, (4, 25)])
def test_smooth_maps_score_zero(gaussian, centered, sigma, stride):
    shape = measure_map(gaussian((151, 201), sigma), centered((151, 201), stride=stride)).shape
    assert shape.lattice == pytest.approx(0, abs=5e-3)


def test_dilated_kernel_is_a_lattice_and_its_box_is_not(centered):
    m = np.zeros((21, 21))
    m[8:13:2, 8:13:2] = 1
    assert measure_map(m, centered((21, 21))).shape.lattice == pytest.approx(1)
    m[8:13, 8:13] = 1
    assert measure_map(m, centered((21, 21))).shape.lattice < 0.05


def test_one_pixel_is_too_narrow_for_a_lattice(centered):
    m = np.zeros((9, 9))
    m[4, 4] = 1
    assert measure_map(m, centered((9, 9), stride=4)).shape.lattice is None
