"""What is answered: results of before still parse, new fields travel, and flat names have their values."""

import json
from typing import Any

import pytest
from tests.client.conftest import modern_result_json, result_json

from erfscope_contract.flat import flatten
from erfscope_contract.meanings import grouped, is_shown, meaning_of
from erfscope_contract.parts import select
from erfscope_contract.result import ErfResult, Reach, Verify

ROW = {"operator": "Conv", "shape": [2, 8, 8], "trf_size": [3, 3], "trf_stride": [1, 1], "unit": [4, 4]}


def modern(**changes: Any) -> ErfResult:
    return ErfResult.model_validate(modern_result_json() | changes)


def test_a_result_of_an_older_server_says_nothing_of_what_it_did_not_know() -> None:
    result = ErfResult.model_validate(result_json())
    trf = result.trf
    assert (trf.seen, trf.alignment, trf.reach, trf.local_box) == (None, None, None, None)
    assert (trf.causal, trf.local_without) == (False, [])
    assert (result.verify, result.layer.passed_over, result.provenance.autograd) == (None, [], [])
    assert result.shape.mass_before is None


def test_the_new_fields_travel() -> None:
    result = modern()
    assert result.trf.seen == [(0, 8), (0, 8)]
    assert result.trf.reach == Reach(before=[5.5, 7.0], after=[4.5, 0.0])
    assert result.verify == Verify(relative_difference=3.1e-7)
    assert [one.name for one in result.layer.passed_over] == ["logits", "<i>gate</i>", "pool", "stem"]
    assert result.provenance.autograd[0].operator == "aten.stft"
    again = json.loads(result.model_dump_json(by_alias=True))
    assert ErfResult.model_validate(again) == result
    assert again["trf"]["local_box"] == [[2, 7], [3, 8]]


def test_flat_names_have_the_new_scalars() -> None:
    flat, older = flatten(modern()), flatten(ErfResult.model_validate(result_json()))
    assert (flat["mass_before"], flat["verify_difference"]) == (0.75, 3.1e-7)
    assert (older["mass_before"], older["verify_difference"]) == (None, None)
    assert list(flat) == list(older)
    assert {"mass_before", "verify_difference"} <= {name for names in grouped(flat).values() for name in names}
    assert "autograd" in meaning_of("verify_difference").label


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("verify_difference", None, False), ("verify_difference", 0.0, True), ("mass_before", None, False),
     ("r2", None, True), ("r2", 0.5, True), ("trf_size_local", 5, False), ("trf_size_local", 3, True),
     ("trf_size_local", None, False)],
)  # fmt: skip
def test_a_table_has_no_row_for_what_was_not_asked_or_is_the_trf(
    name: str, value: float | None, expected: bool
) -> None:
    assert is_shown(name, {"trf_size": 5, name: value}) is expected


def test_other_units_and_layers_were_neither_verified_nor_chosen_by_auto() -> None:
    body = modern_result_json()
    shared = {name: body[name] for name in ("trf", "erf", "mass", "samples")}
    result = modern(
        units=[shared | {"unit": [1, 2], "scale_log2": 0.0}],
        layers=[shared | ROW | {"name": "stem", "scale_log2": 0.0}],
        maps={"units": True, "layers": True},
    )
    for part in (select(result, "1,2", None), select(result, None, "stem")):
        assert part.result.verify is None
    assert select(result, None, "stem").result.layer.passed_over == []
    assert select(result, None, None).result == result


def test_an_element_is_found_by_its_full_index() -> None:
    result = modern(unit=[3, 7, 7])
    assert select(result, "3,7,7", None).result == result
