"""Sizes that the input limits: their pixels reach a border behind which the theoretical field continues."""

import numpy as np
import pytest

from erfscope_engine.metrics import Geometry, measure_map

ALL = ["erf_size", "erf_size_1sigma", "erf_size_peak"]


@pytest.mark.parametrize(
    ("sigma", "limited"),
    [
        (7.0, []),  # 4.55 % of the centre lies 17.4 px away, the border 20
        (9.0, ["erf_size", "erf_size_peak"]),  # 22.4 px, and 13.6 px for one sigma
        (14.0, ALL),
    ],
)
def test_a_gaussian_is_limited_where_its_level_set_meets_the_border(gaussian, centered, sigma, limited):
    geometry = centered((41, 41), trf=[(-50, 91)] * 2)
    assert measure_map(gaussian((41, 41), sigma), geometry).erf.limited == limited
    assert measure_map(gaussian((41, 41), sigma), centered((41, 41))).erf.limited == []


def test_a_field_of_three_quarters_of_a_wide_input_is_limited_by_its_height(gaussian, centered):
    m = gaussian((240, 320), (120.0, 45.0))
    erf = measure_map(m, centered((240, 320), trf=[(-100, 340), (0, 320)])).erf
    assert erf.limited == ALL
    assert erf.size < 0.9 * np.sqrt(240 * 320)
    assert measure_map(m, centered((240, 320), trf=[(0, 240), (-60, 380)])).erf.limited == []


@pytest.mark.parametrize(("first", "limited"), [(0, ALL), (1, ALL), (4, [])])
def test_lines_without_a_gradient_between_those_of_a_stride_are_no_end(centered, first, limited):
    m = np.zeros((32, 32))
    m[first:28:2, 4:28] = 1.0  # rows of a stride of 2
    assert measure_map(m, centered((32, 32), center=(first + 6, 16), trf=[(-9, 28), (4, 28)])).erf.limited == limited


def test_a_noisy_pixel_at_the_border_is_no_contact(gaussian, centered):
    m = gaussian((41, 41), 6.0)
    m[0, 3] = 0.5
    assert measure_map(m, centered((41, 41), trf=[(-50, 91)] * 2)).erf.limited == []


def test_signals_and_volumes(gaussian, centered):
    assert measure_map(gaussian((41,), 14.0), centered((41,), trf=[(-50, 91)])).erf.limited == ALL
    assert measure_map(gaussian((41,), 7.0), centered((41,), trf=[(-50, 91)])).erf.limited == []
    cube = centered((15, 15, 15), trf=[(0, 15), (0, 15), (-5, 20)])
    assert measure_map(gaussian((15, 15, 15), (2.0, 2.0, 6.0)), cube).erf.limited == ALL
    assert measure_map(gaussian((15, 15, 15), (6.0, 2.0, 2.0)), cube).erf.limited == []


def test_a_causal_field_ends_at_its_own_unit_also_where_that_is_the_last_of_the_input():
    past = np.zeros(32)
    past[16:] = 1.0
    geometry = Geometry((31.0,), ((0, 32),), (32,), (1.0,), beyond=((True, False),))
    assert measure_map(past, geometry).erf.limited == []
    assert measure_map(np.ones(32), geometry).erf.limited == ALL
