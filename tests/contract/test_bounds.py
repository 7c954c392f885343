"""Numbers that the input limits, and ratios to a TRF that is the whole input."""

import pytest
from tests.client.conftest import result_json

from erfscope_contract.limits import bounded
from erfscope_contract.metrics import metrics_of
from erfscope_contract.numbers import bound_with_error
from erfscope_contract.result import ErfResult


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(224.0, 0.004, "224"), (127.883, 0.056, "127.883 ± 0.056"), (0.99999, 1e-6, "1"), (None, None, "–")],
)
def test_a_bound_has_no_more_digits_than_it_is_worth(value: float | None, error: float | None, text: str) -> None:
    assert bound_with_error(value, error) == text


def changed(trf: dict[str, object], erf: dict[str, object], error: float) -> ErfResult:
    body = result_json()
    body["trf"] |= trf
    body["erf"] |= erf
    body["stderr"] = {"erf_size": error}
    return ErfResult.model_validate(body)


def test_a_saturated_size_is_a_bound_without_its_tiny_error() -> None:
    full = changed({"clipped": True}, {"size": 224.0, "ratio": 0.9, "ratio_clipped": 0.99}, 0.004)
    texts = {row.name: row.text for row in metrics_of(full)}
    assert texts["erf_size"] == "≥ 224 px"


def test_there_is_no_ratio_to_a_global_field() -> None:
    wide = changed({"global": True}, {"size": 5.0, "ratio": 0.3, "ratio_clipped": 0.3}, 0.1)
    assert bounded(wide, "erf_ratio", "0.3") == "global"
    assert {row.name: row.text for row in metrics_of(wide)}["erf_ratio"] == "global"
    assert {row.name: row.value for row in metrics_of(wide)}["erf_ratio"] == 0.3
    local = changed({"global": False}, {"size": 5.0, "ratio": 0.3, "ratio_clipped": 0.3}, 0.1)
    assert bounded(local, "erf_ratio", "0.3") == "0.3"
