"""Luo's sizes against the area of a Gaussian's level set."""

import math

import numpy as np
import pytest

from erfscope_engine.metrics import measure_map


def level_radius(share: float) -> float:
    """Radius in sigma at which a Gaussian has fallen to this share of its centre."""
    return math.sqrt(2 * math.log(1 / share))


@pytest.mark.parametrize(
    ("rank", "sigma", "unit_ball"), [(1, 100.0, 2.0), (2, 20.0, math.pi), (3, 6.0, 4 / 3 * math.pi)]
)
def test_size_is_the_side_of_the_gaussians_level_set(gaussian, centered, rank, sigma, unit_ball):
    shape = [int(8 * sigma)] * rank
    erf = measure_map(gaussian(shape, sigma), centered(shape)).erf
    side = unit_ball ** (1 / rank) * sigma
    assert erf.size == pytest.approx(side * level_radius(1 - 0.9545), rel=0.01)
    assert erf.size_1sigma == pytest.approx(side * level_radius(1 - 0.6827), rel=0.02)
    assert erf.ratio == pytest.approx(erf.size / shape[0])


def test_anisotropic_size_is_the_ellipses(gaussian, centered):
    erf = measure_map(gaussian((160, 320), (15, 40)), centered((160, 320))).erf
    area = math.pi * 15 * 40 * level_radius(1 - 0.9545) ** 2
    assert erf.size == pytest.approx(math.sqrt(area), rel=0.005)


def test_threshold_is_strict_and_refers_to_the_centre(centered):
    m = np.array([0.0455, 0.0456, 1.0, 0.3173, 0.3174, 10.0, 0.4550])
    erf = measure_map(m, centered((7,), center=(2,))).erf
    assert erf.size == np.count_nonzero(m > (1 - 0.9545))
    assert erf.size_1sigma == np.count_nonzero(m > (1 - 0.6827))
    assert erf.size_peak == np.count_nonzero(m > (1 - 0.9545) * 10)


def test_centre_between_pixels_is_interpolated(centered):
    # the centre's value is 0.5 · (1 + 0.2) = 0.6, so the threshold of 1 sigma is 0.19: 0.195 is above it
    erf = measure_map(np.array([0.185, 1.0, 0.2, 0.195]), centered((4,), center=(1.5,))).erf
    assert erf.size_1sigma == 3


def test_centre_outside_the_input_reads_the_nearest_pixel(centered):
    m = np.array([1.0, 0.5, 0.25, 0.1])
    geometry = centered((4,), center=(-3.0,), trf=[(-8, 3)])
    erf = measure_map(m, geometry).erf
    assert erf.size_1sigma == 2
    assert erf.ratio == pytest.approx(4 / 11)
    assert erf.ratio_clipped == pytest.approx(4 / 3)


def test_a_centre_of_zero_leaves_only_the_peak_size(centered):
    erf = measure_map(np.array([1.0, 0.0, 1.0]), centered((3,))).erf
    assert (erf.size, erf.size_1sigma, erf.ratio, erf.ratio_clipped) == (None,) * 4
    assert erf.size_peak == 2


def test_a_box_beside_the_input_has_no_clipped_ratio(centered):
    geometry = centered((4,), center=(-3.0,), trf=[(-5, 0)])
    assert measure_map(np.ones(4), geometry).erf.ratio_clipped is None
