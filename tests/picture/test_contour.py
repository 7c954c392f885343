"""Mass levels and the lines around them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from erfscope_picture.contour import SHARES, chained, mass_level, segments, traced
from erfscope_picture.scene import contour_lines
from erfscope_picture.smoothing import block_mean, smoothed

PLANE = (slice(None), slice(None))


@pytest.mark.parametrize("share", SHARES)
def test_level_holds_the_share_to_a_pixel(share):
    values = np.random.default_rng(1).gamma(0.7, size=(60, 70))
    level = mass_level(values, share)
    inside = np.sort(values[values > level])
    assert inside.sum() >= share * values.sum()
    assert inside[1:].sum() < share * values.sum()


def test_level_of_a_flat_map_holds_all_of_it():
    assert (np.ones((5, 5)) > mass_level(np.ones((5, 5)), 0.5)).all()


def area(line):
    y, x = line[:-1].T
    following = np.roll(line[:-1], -1, axis=0)
    return float((y * following[:, 1] - x * following[:, 0]).sum() / 2)


def inside_by_lines(plane, level):
    """Which pixel centres the lines enclose, by the parity of crossings to the left of each."""
    crossings = np.zeros(plane.shape, dtype=int)
    for line in chained(*segments(plane, level)):
        for (y0, x0), (y1, x1) in pairwise(line):
            low, high = sorted((y0, y1))
            for row in range(max(int(np.ceil(low)), 0), min(int(np.ceil(high)), plane.shape[0])):
                x = x0 + (row - y0) / (y1 - y0) * (x1 - x0)
                crossings[row, max(int(np.floor(x)) + 1, 0) :] += 1
    return crossings % 2 == 1


@settings(max_examples=60, deadline=None)
@given(
    values=arrays.arrays(np.int64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 5)),
    level=st.sampled_from([0.37, 1.41, 2.73]),
)
def test_lines_enclose_exactly_the_pixels_above(values, level):
    plane = values.astype(np.float64)
    np.testing.assert_array_equal(inside_by_lines(plane, level), plane > level)


def test_lines_are_closed_and_round():
    y, x = np.mgrid[:101, :101] - 50
    (line,) = chained(*segments(np.maximum(40.0 - np.hypot(y, x), 0), 10.0))
    np.testing.assert_array_equal(line[0], line[-1])
    np.testing.assert_allclose(np.hypot(*(line - 50).T), 30, atol=0.05)
    assert abs(area(line)) == pytest.approx(np.pi * 900, rel=0.005)


def test_a_smooth_map_is_traced_as_it_is():
    y, x = np.mgrid[:101, :101] - 50
    tracing = traced(np.exp(-(y**2 + x**2) / 200), [PLANE], 80)
    assert tracing.sigma == 0
    for share in SHARES:
        (line,) = tracing.lines(share, PLANE)
        # A Gaussian of variance 100 holds t of its mass within sqrt(-200 log(1 - t)).
        expected = np.sqrt(-200 * np.log(1 - share))
        np.testing.assert_allclose(np.hypot(*(line - 50).T), expected, atol=0.6)


@pytest.mark.parametrize("kind", ["speckled", "plateau"])
def test_smoothed_lines_hold_the_shares_of_the_map_itself(kind):
    rng = np.random.default_rng(5)
    values = rng.exponential(size=(60, 60)) ** 3
    if kind == "plateau":
        values = np.pad(values[:24, :24], 18)
    tracing = traced(values, [(slice(None), slice(None))], 60.0)
    assert tracing.sigma > 0
    for share in SHARES:
        inside = tracing.values > tracing.levels[share]
        nearest = values[inside & (tracing.values == tracing.values[inside].min())].sum()
        assert share <= values[inside].sum() / values.sum() <= share + nearest / values.sum() + 1e-12


def test_a_ring_is_not_smoothed_away():
    y, x = np.mgrid[:101, :101] - 50
    distance = np.hypot(y, x)
    tracing = traced(np.exp(-(((distance - 35) / 8) ** 2)), [PLANE], 90)
    assert tracing.sigma == 0
    assert len(tracing.lines(0.5, PLANE)) == 2


def test_a_lattice_gets_one_line_per_share():
    y, x = np.mgrid[:201, :201] - 100
    bell = np.exp(-(y**2 + x**2) / (2 * 30**2))
    tracing = traced(bell * (y % 8 == 0) * (x % 8 == 0), [PLANE], 160)
    assert tracing.sigma >= 3
    assert len(tracing.lines(0.5, PLANE)) == 1


def test_a_small_lattice_has_no_lines_around_its_single_pixels():
    y, x = np.mgrid[:64, :64] - 32
    bell = np.exp(-(y**2 + x**2) / (2 * 3**2)) * (np.abs(y) <= 6) * (np.abs(x) <= 6)
    tracing = traced(bell * (y % 2 == 0) * (x % 2 == 0), [PLANE], 13)
    assert tracing.is_scattered
    assert tracing.lines(0.5, PLANE) == []
    assert not traced(bell, [PLANE], 13).is_scattered


def test_large_maps_are_traced_on_blocks_in_their_own_pixels():
    y, x = np.mgrid[:1500, :1500] - 700
    tracing = traced(np.exp(-(y**2 + x**2) / (2 * 100**2)), [PLANE], 600)
    assert tracing.block == 3
    (line,) = tracing.lines(0.5, PLANE)
    np.testing.assert_allclose(np.hypot(*(line - 700).T), np.sqrt(-2e4 * np.log(0.5)), atol=1.5)


def test_a_zero_map_has_no_lines():
    assert traced(np.zeros((5, 5)), [PLANE], 5) is None


@pytest.mark.parametrize("sigma", [0, 1, 5])
def test_smoothing_keeps_the_mass(sigma):
    values = np.random.default_rng(2).random((9, 30, 4))
    assert smoothed(values, sigma).sum() == pytest.approx(values.sum())


def test_smoothing_widens_by_its_variance():
    line = np.zeros(201)
    line[100] = 1
    at = np.arange(201) - 100
    assert (smoothed(line, 5) * at**2).sum() == pytest.approx(25, rel=0.03)  # cut at 3 sigma


def test_block_means_with_a_shorter_last_block():
    values = np.arange(10.0).reshape(2, 5)
    np.testing.assert_allclose(block_mean(values, 2), [[3.0, 5.0, 6.5]])


def test_no_line_leaves_the_trf_box():
    """Smoothing carries mass over the edge of the box, and interpolation half a pixel; nothing is there."""
    values = np.zeros((61, 61))
    y, x = np.mgrid[:61, :61] - 30
    lattice = (slice(10, 51, 4), slice(10, 51, 4))
    values[lattice] = np.exp(-(y**2 + x**2) / (2 * 20**2))[lattice]
    tracing = traced(values, [PLANE], 41)
    assert tracing.sigma > 0
    assert min(line.min() for share in SHARES for line in tracing.lines(share, PLANE)) < 9.5
    lines = [line for line, _ in contour_lines(tracing, PLANE, ((10, 51), (12, 49)))]
    assert {(line[:, 0].min() >= 9.5, line[:, 0].max() <= 50.5) for line in lines} == {(True, True)}
    assert {(line[:, 1].min() >= 11.5, line[:, 1].max() <= 48.5) for line in lines} == {(True, True)}
