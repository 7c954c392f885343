"""Mass areas against closed forms and a naive recomputation pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from erfscope_engine.metrics import Geometry, measure_map
from erfscope_engine.metrics.mass import mass_areas
from erfscope_engine.metrics.patch import cut

SHARES = ("0.20", "0.30", "0.50", "0.99")


def naive_mass(m: np.ndarray, geometry: Geometry, side: float) -> float:
    """Mass of the box of this side, by the overlap of each pixel with it."""
    total = m.astype(float)
    mean_side = math.prod(m.shape) ** (1 / m.ndim)
    for axis, (n, c) in enumerate(zip(m.shape, geometry.center, strict=True)):
        half = side / 2 * n / mean_side
        pixel = np.arange(n)
        overlap = np.minimum(pixel + 0.5, c + half) - np.maximum(pixel - 0.5, c - half)
        total = total * np.clip(overlap, 0, 1).reshape(-1, *[1] * (m.ndim - 1 - axis))
    return float(total.sum())


@pytest.mark.parametrize("shape", [(40,), (40, 40), (20, 60), (12, 12, 12), (6, 12, 24)])
def test_uniform_map_gives_the_share_itself(centered, shape):
    areas = measure_map(np.ones(shape), centered(shape)).mass
    side = math.prod(shape) ** (1 / len(shape))
    for share in SHARES:
        t = float(share)
        assert areas[share].side == pytest.approx(side * t ** (1 / len(shape)), abs=1e-6)
        assert areas[share].ratio == pytest.approx(t, abs=1e-7)
        assert areas[share].pixels == math.ceil(t * math.prod(shape) * (1 - 1e-9))


def test_uniform_box_around_a_centre_between_pixels(centered):
    m = np.zeros((32, 32))
    m[10:16, 10:16] = 1  # spans [9.5, 15.5], its centre lies between pixels 12 and 13
    areas = measure_map(m, centered((32, 32), center=(12.5, 12.5))).mass
    assert areas["0.50"].side == pytest.approx(6 * math.sqrt(0.5), abs=1e-6)
    assert areas["0.99"].ratio == pytest.approx(36 * 0.99 / 32**2, abs=1e-7)


def test_centre_at_the_border_clips_the_box(centered):
    areas = measure_map(np.ones(10), centered((10,), center=(0.0,))).mass
    # half the box is outside but for half a pixel: s / 2 + 1 / 2 pixels count
    assert areas["0.50"].side == pytest.approx(9.0, abs=1e-6)
    assert areas["0.50"].ratio == pytest.approx(0.5, abs=1e-7)


def test_gaussian_sides_follow_the_error_function(gaussian, centered):
    sigma = 40.0
    side = measure_map(gaussian((512, 512), sigma), centered((512, 512))).mass["0.50"].side
    assert erf(side / 2 / sigma / math.sqrt(2)) ** 2 == pytest.approx(0.5, abs=1e-4)


def test_the_smallest_side_is_taken_on_a_plateau(centered):
    m = np.array([1.0, 0, 0, 2.0, 0, 0, 1.0])  # half the mass from side 1 to side 5
    assert measure_map(m, centered((7,))).mass["0.50"].side == pytest.approx(1.0, abs=1e-6)


def test_pixels_are_the_fewest(centered):
    areas = measure_map(np.array([1.0, 4, 2, 3]), centered((4,))).mass
    assert [areas[s].pixels for s in SHARES] == [1, 1, 2, 4]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(-1.2, 1.2),
    power=st.floats(0, 8),
)
def test_the_box_holds_the_share_and_a_smaller_one_does_not(shape, seed, shift, power):
    m = np.random.default_rng(seed).random(shape) ** power
    geometry = Geometry(
        center=tuple((n - 1) / 2 + shift * n for n in shape),
        trf_box=tuple((0, n) for n in shape),
        shape=tuple(shape),
        stride=(None,) * len(shape),
    )
    for share, area in mass_areas(cut(m, geometry)).items():
        wanted = float(share) * m.sum()
        assert naive_mass(m, geometry, area.side + 1e-6) >= wanted * (1 - 1e-9)
        assert naive_mass(m, geometry, area.side - 1e-6) <= wanted * (1 + 1e-9)
