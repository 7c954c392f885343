"""Radii and curves against closed forms."""

import math

import numpy as np
import pytest

from erfscope_engine.metrics import measure_map


@pytest.mark.parametrize("center", [(255, 255), (255.5, 255.5), (240.25, 260.75)])
def test_gaussian_radii(gaussian, centered, center):
    sigma = 30.0
    radial = measure_map(gaussian((512, 512), sigma, center), centered((512, 512), center)).radial
    for share, radius in [(0.5, radial.r50), (0.9, radial.r90), (0.99, radial.r99)]:
        assert radius == pytest.approx(sigma * math.sqrt(-2 * math.log(1 - share)), abs=0.05)
    assert np.interp(60, radial.radius, radial.profile) == pytest.approx(math.exp(-2), rel=0.02)
    assert np.interp(60, radial.radius, radial.cumulative) == pytest.approx(1 - math.exp(-2), rel=0.01)


def test_line_of_equal_pixels(centered):
    radial = measure_map(np.ones(101), centered((101,))).radial
    assert radial.r50 == pytest.approx(25.25, abs=0.5)
    assert radial.profile == pytest.approx([1.0] * 51)


def test_curves_of_long_inputs_stay_short(centered):
    radial = measure_map(np.ones(60_000), centered((60_000,))).radial
    assert len(radial.radius) == len(radial.profile) == len(radial.cumulative) <= 512
    assert radial.r50 == pytest.approx(15_000, abs=1)
    assert len(radial.marginals[0].share) <= 512
    assert sum(radial.marginals[0].share) == pytest.approx(1)


def test_marginals_say_where_they_start(centered):
    m = np.zeros((6, 8))
    m[2:4, 5] = [1, 3]
    y, x = measure_map(m, centered((6, 8))).radial.marginals
    assert (y.start, y.step, y.share) == (2, 1, [0.25, 0.75])
    assert (x.start, x.step, x.share) == (5, 1, [1.0])


def test_a_pixel_is_a_square(centered):
    """Its mass lies evenly on it: half within the circle of area 1/2, π/4 within the one that touches its sides."""
    m = np.zeros((9, 9))
    m[4, 4] = 1
    radial = measure_map(m, centered((9, 9))).radial
    assert radial.r50 == pytest.approx(math.sqrt(0.5 / math.pi), abs=0.005)
    assert radial.r90 == pytest.approx(0.558, abs=0.005)
    assert (radial.radius, radial.cumulative) == ([0.5], [pytest.approx(math.pi / 4, abs=0.005)])


def test_small_fields_have_no_bias(centered):
    """Five 3×3 boxes convolved, against the same pixels cut into 41 × 41 parts."""
    line = np.ones(1)
    for _ in range(5):
        line = np.convolve(line, np.ones(3))
    m = np.zeros((21, 21))
    m[5:16, 5:16] = np.outer(line, line)
    radial = measure_map(m, centered((21, 21))).radial
    offset = (np.arange(11 * 41) - (11 * 41 - 1) / 2) / 41
    fine = np.repeat(line, 41)
    distance = np.hypot.outer(offset, offset).ravel()
    order = np.argsort(distance)
    held = np.cumsum(np.outer(fine, fine).ravel()[order])
    exact = [distance[order][np.searchsorted(held, share * held[-1])] for share in (0.5, 0.9, 0.99)]
    assert [radial.r50, radial.r90, radial.r99] == pytest.approx(exact, abs=0.004)
    within = held[np.searchsorted(distance[order], 0.5)] / held[-1]
    assert radial.cumulative[0] == pytest.approx(within, abs=0.001)
