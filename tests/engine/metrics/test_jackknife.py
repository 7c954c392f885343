"""Standard errors against classical ones, and under resampling."""

import numpy as np
import pytest

from erfscope_engine.metrics import Geometry, flat_scalars, standard_errors


def equal_mass_groups(count: int, n: int = 15) -> np.ndarray:
    groups = np.random.default_rng(3).random((count, n))
    return groups / groups.sum(axis=1, keepdims=True)


def test_of_a_mean_is_the_classical_standard_error(centered):
    # the centre of mass is linear in maps of equal mass, so the jackknife must give s / √G exactly
    groups = equal_mass_groups(8)
    errors = standard_errors(groups, np.ones(8), centered((15,)))
    offsets = groups @ (np.arange(15) - 7)
    assert errors["offset_x"] == pytest.approx(offsets.std(ddof=1) / np.sqrt(8), rel=1e-9)


def test_unequal_groups_weigh_by_their_samples(centered):
    # the pseudo-values of a linear scalar are the groups' own: mean of (x - mean)² s / (1 - s), s the shares
    groups, weights = equal_mass_groups(4), np.array([4, 1, 2, 3])
    errors = standard_errors(groups, weights, centered((15,)))
    shares, offsets = weights / 10, groups @ (np.arange(15) - 7)
    squares = (offsets - shares @ offsets) ** 2 * shares / (1 - shares)
    assert errors["offset_x"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-9)


def test_covers_the_truth(gaussian, centered):
    """±1.96 errors cover the truth in most of 60 repeats (0.95 ± 0.03; of only 8 groups less)."""
    envelope, geometry = gaussian((25, 25), 4.0), centered((25, 25))
    rng = np.random.default_rng(11)
    names, inside = ["mass_50_side", "sigma_1", "r50", "erf_size", "offset_x"], []
    truth = flat_scalars(envelope, geometry)
    for _ in range(60):
        groups = np.abs(rng.normal(size=(8, 4, 25, 25))).mean(axis=1) * envelope
        value = flat_scalars(groups.mean(axis=0), geometry)
        error = standard_errors(groups, np.full(8, 4), geometry)
        inside.append([abs(value[n] - truth[n]) <= 1.96 * error[n] for n in names])
    assert (np.mean(inside, axis=0) > 0.78).all()


def test_finish_is_applied_to_every_mean(gaussian, centered):
    geometry, rng = centered((21, 21)), np.random.default_rng(2)
    squares = (rng.normal(size=(6, 21, 21)) * gaussian((21, 21), 3.0)) ** 2
    rms, squared = (standard_errors(squares, np.ones(6), geometry, *f) for f in ([np.sqrt], []))
    direct = flat_scalars(np.sqrt(squares.mean(0)), geometry)["sigma_1"]
    without = [flat_scalars(np.sqrt(np.delete(squares, g, 0).mean(0)), geometry)["sigma_1"] for g in range(6)]
    assert rms["sigma_1"] == pytest.approx(np.std(without) * np.sqrt(5), rel=1e-9)
    assert rms["sigma_1"] != squared["sigma_1"]
    assert rms["sigma_1"] < direct


def test_signed_groups_take_their_absolute_value(centered):
    groups = np.random.default_rng(4).normal(size=(5, 31))
    errors = standard_errors(groups, np.ones(5), centered((31,)), finish=np.abs)
    assert errors["sigma_1"] > 0


def test_names_are_those_of_the_scalars(gaussian, centered):
    geometry = centered((9, 9))
    m = gaussian((9, 9), 2.0)
    assert list(standard_errors(np.stack([m, m, m]), [1, 1, 1], geometry)) == list(flat_scalars(m, geometry))


def test_equal_groups_have_no_error(gaussian, centered):
    m = gaussian((17, 17), (2.0, 3.0))
    errors = standard_errors(np.stack([m] * 4), [1] * 4, centered((17, 17)))
    assert all(error == pytest.approx(0, abs=1e-6) for error in errors.values())


@pytest.mark.parametrize("weights", [[3, 0], [0, 0]])
def test_fewer_than_two_groups_have_none(weights, centered):
    errors = standard_errors(np.ones((2, 5)), weights, centered((5,)))
    assert set(errors.values()) == {None}


def test_what_hangs_on_one_group_has_none(centered):
    groups = np.zeros((3, 5))
    groups[1] = 1.0
    errors = standard_errors(groups, [1, 1, 1], centered((5,)))
    assert errors["mass_50_side"] is None


def test_an_axis_without_direction_wraps(centered):
    # first axes a little to both sides of the vertical: angles near +π/2 and -π/2 are neighbours
    y, x = np.mgrid[:41, :41] - 20.0
    tilt = [0.02, -0.02, 0.03, -0.03]
    groups = np.stack([np.exp(-0.5 * (((x - a * y) / 2) ** 2 + (y / 6) ** 2)) for a in tilt])
    assert standard_errors(groups, [1] * 4, centered((41, 41)))["theta"] < 0.05


def test_shape_of_the_groups_is_checked(centered):
    geometry: Geometry = centered((5,))
    with pytest.raises(ValueError, match="expected"):
        standard_errors(np.ones((2, 6)), [1, 1], geometry)
