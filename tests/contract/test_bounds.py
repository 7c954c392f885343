"""Numbers that the input limits, and ratios to a TRF that is the whole input."""

import pytest
from tests.client.conftest import result_json

from erfscope_contract.limits import bounded, bounds_of
from erfscope_contract.metrics import metrics_of
from erfscope_contract.numbers import at_least
from erfscope_contract.result import ErfResult


@pytest.mark.parametrize(
    ("value", "text"),
    [(224.0, "224"), (127.883, "127.8"), (127.998, "127.9"), (0.99999, "0.9999"), (0.29, "0.29"), (0.0, "0")],
)
def test_a_lower_bound_is_never_rounded_up(value: float, text: str) -> None:
    assert at_least(value) == text


def test_no_number_that_the_input_limits_has_an_error() -> None:
    body = result_json()
    body["trf"] |= {"clipped": True}
    body["erf"] |= {"size": 7.9, "limited": ["erf_size"]}
    body["stderr"] = {"erf_size": 0.4, "mass_99_ratio": 0.01}
    body["mass"] = {"0.99": {"side": 7.5, "ratio": 0.9, "pixels": 60}}
    texts = {row.name: row.text for row in metrics_of(ErfResult.model_validate(body))}
    assert texts["erf_size"] == "≥ 7.9 px"
    assert texts["mass_99_ratio"] == "0.9 †"


@pytest.mark.parametrize(
    ("error", "text"),
    [(1e-6, "0.25 ± 0.31"), (None, "0.25 ± 0.31"), (0.0, "0.25 ± 0.31"), (0.5, "0.25 ± 0.50")],
)
def test_r_of_the_script_has_no_more_digits_than_one_step_of_its_grid(error: float | None, text: str) -> None:
    body = result_json() | {"replknet": {"0.50": 0.25}, "stderr": {"replknet_50": error}}
    rows = {row.name: row for row in metrics_of(ErfResult.model_validate(body))}
    assert rows["replknet_50"].text == text, "on 8 x 8 pixels, from a square of 4 x 4 to one of 6 x 6"
    assert rows["replknet_50"].stderr == error


def changed(trf: dict[str, object], erf: dict[str, object], error: float) -> ErfResult:
    body = result_json()
    body["trf"] |= trf
    body["erf"] |= erf
    body["stderr"] = {"erf_size": error}
    return ErfResult.model_validate(body)


def test_a_saturated_size_is_a_bound_without_its_tiny_error() -> None:
    full = changed({"clipped": True}, {"size": 224.0, "limited": ["erf_size"]}, 0.004)
    texts = {row.name: row.text for row in metrics_of(full)}
    assert texts["erf_size"] == "≥ 224 px"


def test_there_is_no_ratio_to_a_global_field() -> None:
    wide = changed({"global": True}, {"size": 5.0, "ratio": 0.3, "ratio_clipped": 0.3}, 0.1)
    assert bounded(wide, "erf_ratio", 0.3) == "global"
    assert {row.name: row.text for row in metrics_of(wide)}["erf_ratio"] == "global"
    assert {row.name: row.value for row in metrics_of(wide)}["erf_ratio"] == 0.3
    local = changed({"global": False}, {"size": 5.0, "ratio": 0.3, "ratio_clipped": 0.3}, 0.1)
    assert bounded(local, "erf_ratio", 0.3) == "0.3"


def boxed(side: float, **trf: object) -> frozenset[str]:
    """The bounds among the shares of a result whose box of 50 % has this side, on an input of 28 × 28."""
    body = result_json()
    body["input_shape"] = [1, 28, 28]
    body["trf"] |= {"center": [13.5, 13.5], "box": [[-20, 48], [-20, 48]], "clipped": True} | trf
    body["mass"] = {"0.50": {"side": side, "ratio": 0.3, "pixels": 9}}
    return bounds_of(ErfResult.model_validate(body))


@pytest.mark.parametrize(
    ("side", "trf", "is_bound"),
    [
        (26.1, {}, True),  # the box covers a part of the outermost pixels
        (25.9, {}, False),
        (26.1, {"box": [[0, 28], [0, 28]], "clipped": False}, False),  # the field ends where the input ends
        (12.0, {"center": [3.5, 13.5]}, True),  # a unit near the border
        (12.0, {"center": [3.5, 13.5], "box": [[0, 20], [-20, 48]]}, False),  # beyond the other axis only
        (12.0, {"center": [24.0, 13.5], "box": [[-20, 25], [0, 28]], "causal": True}, False),  # behind a causal unit
    ],
)
def test_a_box_is_a_bound_where_it_reaches_a_border_that_the_field_crosses(
    side: float, trf: dict[str, object], is_bound: bool
) -> None:
    assert boxed(side, **trf) == (frozenset({"mass_50_side", "mass_50_ratio"}) if is_bound else frozenset())


def test_nearly_all_of_the_mass_ends_where_a_limited_field_ends() -> None:
    body = result_json()
    body["trf"] |= {"clipped": True}
    body["erf"] |= {"limited": ["erf_size", "erf_size_peak"]}
    body["mass"] = {share: {"side": 1.0, "ratio": 0.1, "pixels": 1} for share in ("0.50", "0.99")}
    bounds = bounds_of(ErfResult.model_validate(body))
    assert bounds == {"erf_size", "erf_size_peak", "mass_99_side", "mass_99_ratio"}
