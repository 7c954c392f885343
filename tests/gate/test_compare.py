"""Bounds and drift as arithmetic."""

from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erfscope.gate.drift import Drift
from erfscope.gate.judge import Change, Value, broken_end, nearness, range_of, shown
from erfscope.gate.rules import Bound

numbers = st.floats(-1e6, 1e6)
errors = st.one_of(st.none(), st.floats(0, 1e3))


def change(
    now: float | None, base: float | None, allowed: str | float, *, se: tuple[float | None, float | None]
) -> Change:
    return Change("erf_size", Value(now, se[0]), Value(base, se[1]), Drift(max=allowed))


@given(now=numbers, base=numbers, allowed=st.floats(0, 1e6), first=errors, second=errors)
def test_drift_is_beyond_tolerance_and_beyond_noise(
    now: float, base: float, allowed: float, first: float | None, second: float | None
) -> None:
    expected = abs(now - base) > max(allowed, 2 * hypot(first or 0, second or 0))
    assert change(now, base, allowed, se=(first, second)).is_drift == expected


@pytest.mark.parametrize(
    ("now", "base", "allowed", "se", "is_drift", "said"),
    [
        (106.0, 100.0, "5%", (1.0, 1.0), True, "106 px, the limit is 5%; two combined standard errors are 2.8 px"),
        (106.0, 100.0, "5%", (3.0, 3.0), False, "noise; it takes about 3 times as many `inputs` to see one of 5%."),
        (101.0, 100.0, "5%", (3.0, 3.0), False, "so a smaller change is not told from noise"),
        (104.0, 100.0, "5%", (0.1, 0.1), False, "two combined standard errors are 0.28 px."),
        (106.0, 100.0, 7, (0.1, 0.1), False, "the limit is 7"),
        (106.0, 100.0, "5%", (None, None), True, "their standard errors are not known"),
        (None, 100.0, "5%", (None, 1.0), True, "erf_size is undefined and of b 100."),
        (100.0, None, "5%", (1.0, None), True, "erf_size is 100 and of b undefined."),
        (None, None, "5%", (None, None), False, "undefined"),
        (106.0, 100.0, "5%", (0.0, 0.0), True, "two combined standard errors are 0 px."),
        (0.0, 0.0, "5%", (0.0, 0.0), False, "erf_size is 0 px as in b; two combined"),
        (-106.0, -100.0, "5%", (0.1, 0.1), True, "(-6.0%)"),
    ],
)  # fmt: skip
def test_words(
    now: float | None,
    base: float | None,
    allowed: str | float,
    se: tuple[float | None, float | None],
    is_drift: bool,
    said: str,
) -> None:
    found = change(now, base, allowed, se=se)
    assert found.is_drift == is_drift
    assert said in found.told("b")


def test_exact_metrics_have_no_noise() -> None:
    found = Change("trf_size", Value(33.0, None), Value(17.0, None), Drift(max="5%"))
    assert found.is_drift
    assert found.told("b").endswith("both values are exact.")


@given(value=numbers, low=st.one_of(st.none(), numbers), high=st.one_of(st.none(), numbers))
def test_a_bound_is_broken_outside_alone(value: float, low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    bound = Bound(min=low, max=high)
    inside = (low is None or low <= value) and (high is None or value <= high)
    assert (broken_end(bound, value) == "") == inside


def test_undefined_never_passes() -> None:
    assert broken_end(Bound(min=0), None) == "undefined"


@pytest.mark.parametrize(
    ("metric", "bound", "said"),
    [
        ("erf_size", Bound(min=96), "≥ 96 px"),
        ("erf_ratio", Bound(max=0.5), "≤ 0.5"),
        ("sigma_1", Bound(min=1, max=2.5), "1 … 2.5 px"),
        ("trf_size", Bound(min=33, max=33), "33 px"),
    ],
)
def test_ranges(metric: str, bound: Bound, said: str) -> None:
    assert range_of(metric, bound) == said


def test_values_near_a_bound_say_so() -> None:
    assert "1.0 standard errors from the bound" in nearness(Bound(min=10), Value(10.5, 0.5))
    assert nearness(Bound(min=10), Value(20.0, 0.5)) == ""
    assert nearness(Bound(min=10), Value(10.0, None)) == ""
    assert shown("erf_size", Value(43.324, 0.326)) == "43.32 ± 0.33 px"
    assert shown("theta", Value(None, None)) == "undefined"
