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
