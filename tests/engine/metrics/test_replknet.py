"""The script's area ratio against an independent recomputation, and its known faults."""

import math

import numpy as np
import pytest

from erfscope_contract.problem import ProblemError
from erfscope_engine.metrics import area_ratio, errors_by, score_map, smooth_ratio


def naive_ratio(raw: np.ndarray, t: float) -> float | None:
    """The description of the protocol with exact sums over a list of pixels."""
    h, w = raw.shape
    score = {(y, x): math.log10(raw[y, x] + 1) for y in range(h) for x in range(w)}
    total = math.fsum(score.values())
    for i in range(1, h // 2):
        inside = [s for (y, x), s in score.items() if abs(y - h // 2) <= i and abs(x - w // 2) <= i]
        if math.fsum(inside) / total > t:
            return (2 * i + 1) ** 2 / (h * w)
    return None


@pytest.mark.parametrize("n", [8, 9, 32, 33])
@pytest.mark.parametrize("peak", [1e-3, 1.0, 1e6])
def test_against_a_naive_recomputation(gaussian, n, peak):
    raw = peak * gaussian((n, n), n / 7) * np.random.default_rng(n).random((n, n))
    for t, r in area_ratio(raw).items():
        expected = naive_ratio(raw, float(t))
        assert r == (expected if expected is None else pytest.approx(expected, rel=1e-14))


def test_digits_are_those_of_the_scripts_order_of_operations():
    raw = np.zeros((49, 49))
    raw[20:29, 20:29] = 1.0
    found = area_ratio(raw)["0.50"]  # 49 of 81 pixels: side 7
    assert found == 7 / 49 * 7 / 49
    assert area_ratio(np.pad(raw, 3), shares=["0.50"])["0.50"] == 7 / 55 * 7 / 55


def test_depends_on_the_gradients_scale(gaussian):
    # the fault that the mass areas do not have (one Gaussian, peak 1e-3 → 1e9)
    m = gaussian((257, 257), 20.0)
    small, large = area_ratio(1e-3 * m)["0.50"], area_ratio(1e9 * m)["0.50"]
    assert large > 5 * small


def test_the_share_must_be_above_the_threshold():
    raw = np.zeros((16, 16))
    raw[7:10, 7:10] = 9.0  # 9 pixels inside side 3, 9 far outside: exactly half
    raw[0, :9] = 9.0
    assert area_ratio(raw)["0.50"] is None
    assert area_ratio(raw)["0.30"] == 3 / 16 * 3 / 16


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (64, 64)])
def test_nothing_found_is_no_value(shape):
    corner = np.zeros(shape)
    corner[0, 0] = 1
    for raw in (np.zeros(shape), corner):
        assert area_ratio(raw)["0.99"] is None


@pytest.mark.parametrize("shape", [(64, 20), (20, 64), (64, 21)])
def test_squares_stay_within_a_map_that_is_not_square(shape):
    found = area_ratio(np.ones(shape), shares=["0.05", "0.90"])
    assert found["0.05"] is not None
    assert found["0.90"] is None


def test_score_map_is_the_logarithm_over_its_maximum():
    assert score_map(np.array([[0.0, 9.0], [99.0, 999.0]])) == pytest.approx(np.array([[0, 1 / 3], [2 / 3, 1]]))
    assert score_map(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert score_map(np.ones((2, 2), np.float32)).dtype == np.float32


def test_other_ranks_are_refused():
    with pytest.raises(ProblemError) as refused:
        area_ratio(np.ones(8))
    assert refused.value.kind == "unsupported-feature"


def described(gradients: np.ndarray, t: float) -> float | None:
    """The protocol from its description, on gradients (samples, colours, h, w): nothing here is shared with ours."""
    averaged = np.maximum(gradients, 0).sum(axis=1).mean(axis=0)
    score = np.log10(averaged + 1)
    score = score / np.max(score)
    h, w = score.shape
    for i in range(1, h // 2):
        part = score[h // 2 - i : h // 2 + i + 1, w // 2 - i : w // 2 + i + 1]
        if np.sum(part) / np.sum(score) > t:
            side = i * 2 + 1
            return side / h * side / w
    return None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [6, 7, 40, 41, 64])
def test_bit_for_bit_the_description_on_the_same_gradients(n: int, dtype: type) -> None:
    rng = np.random.default_rng(n)
    y, x = np.mgrid[:n, :n]
    for peak in (1e-6, 1.0, 1e5):
        for width in (n / 12, n / 4, 10.0 * n):  # the widest holds 99 % in no square: no value
            envelope = np.exp(-((y - n // 2) ** 2 + (x - n // 2) ** 2) / 2 / width**2)
            gradients = (peak * envelope * rng.standard_normal((5, 3, n, n))).astype(dtype)
            averaged = np.maximum(gradients, 0).sum(axis=1).mean(axis=0)
            found = area_ratio(averaged)
            assert found == {t: described(gradients, float(t)) for t in ("0.20", "0.30", "0.50", "0.99")}
    assert found["0.99"] is None


def test_the_error_of_r_is_its_scatter_over_seeds():
    y, x = np.mgrid[:41, :41] - 20.0
    envelope = 100 * np.exp(-(y**2 + x**2) / 2 / 6**2)
    ratios, errors = [], []
    for seed in range(24):
        groups = envelope * np.abs(np.random.default_rng(seed).standard_normal((8, 41, 41)))
        ratios.append(smooth_ratio(groups.mean(0))["0.50"])
        errors.append(errors_by(smooth_ratio, groups, np.ones(8))["0.50"])
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / np.std(ratios, ddof=1) < 1.6
    assert errors_by(smooth_ratio, groups[:1], np.ones(1)) == {}


def test_a_smooth_r_lies_between_the_script_s_squares():
    y, x = np.mgrid[:41, :41] - 20.0
    for width in (3.0, 5.0, 8.0):
        raw = 10 * np.exp(-(y**2 + x**2) / 2 / width**2)
        smooth, script = smooth_ratio(raw), area_ratio(raw)
        for share in ("0.30", "0.50"):
            side, wide = (41 * np.sqrt(one[share]) for one in (smooth, script))
            assert wide - 2 <= side <= wide + 1e-9
