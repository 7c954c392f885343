"""Power laws: the slope of exact laws, and errors that cover the truth."""

import math

import numpy as np
import pytest

from erfscope_contract.power_law import fit_power

X = (5, 10, 20, 40, 80)


@pytest.mark.parametrize("errors", [None, [0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 1, 1, 1, 1]])
def test_a_power_law_is_found_exactly(errors: list[float] | None) -> None:
    fit = fit_power(X, [3 * x**-0.43 for x in X], errors)
    assert fit.slope == pytest.approx(-0.43, abs=1e-12)
    assert math.exp(fit.intercept) == pytest.approx(3)
    assert fit.at([7]).tolist() == pytest.approx([3 * 7**-0.43])


def test_the_standard_error_covers_the_truth_as_often_as_it_should() -> None:
    draw, x, covered = np.random.default_rng(0), np.array(X, float), 0
    for _ in range(400):
        error = 0.05 * x**0.5
        fit = fit_power(X, (x**0.5 + error * draw.standard_normal(len(X))).tolist(), error.tolist())
        covered += abs(fit.slope - 0.5) < 1.96 * fit.slope_error
    assert covered / 400 > 0.93


def test_scatter_that_errors_do_not_explain_widens_the_slopes_error() -> None:
    y = [10.0, 10.5, 20.0, 20.5, 40.0]
    small, honest = (fit_power(X, y, [share * value for value in y]) for share in (1e-4, 0.2))
    assert small.slope_error > 100 * 1e-4 / np.std(np.log(X)) / math.sqrt(5)
    assert honest.slope_error == pytest.approx(0.2 / np.std(np.log(X)) / math.sqrt(5))


def test_a_precise_point_weighs_more() -> None:
    y = [5.0, 10.0, 20.0, 40.0, 160.0]
    assert fit_power(X, y, [0.01, 0.01, 0.01, 0.01, 100]).slope == pytest.approx(1, abs=0.01)
    assert fit_power(X, y).slope > 1.2


def test_two_points_have_a_slope_whose_error_is_theirs() -> None:
    assert math.isnan(fit_power([1, 2], [1, 2]).slope_error)
    assert fit_power([1, 2], [1, 2], [0.1, 0.2]).slope_error == pytest.approx(math.hypot(0.1, 0.1) / math.log(2))


@pytest.mark.parametrize(
    ("x", "y", "errors", "words"),
    [
        ([1, 1], [1, 2], None, "two different x"),
        ([0, 1], [1, 2], None, "positive"),
        ([1, 2], [1, math.nan], None, "finite values; y is"),
        ([1, 2], [1], None, "one length"),
        ([1, 2], [1, 2], [1, -1], "none negative"),
    ],
)
def test_what_has_no_power_law_is_refused(
    x: list[float], y: list[float], errors: list[float] | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        fit_power(x, y, errors)
