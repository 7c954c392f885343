"""What may be asked: units by full index, verification, and the one spelling of a request."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from erfscope_contract.invalid import field_errors
from erfscope_contract.presets import preset
from erfscope_contract.request import ErfRequest, GridUnits, IndexUnit, ModelRef, TargetOptions

LONGEST = [0, 1, 2, 3, 4, 5, 6, 7]


def complaints(data: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        ErfRequest.model_validate(data)
    return {field.pointer: field.detail for field in field_errors(caught.value, data)}


@pytest.mark.parametrize("index", [[0], [3, 7, 7], LONGEST])
@pytest.mark.parametrize("channels", [None, "auto", "sum"])
def test_a_full_index_names_an_element(index: list[int], channels: str | None) -> None:
    target = {"unit": {"index": index}} | ({"channels": channels} if channels else {})
    request = ErfRequest.model_validate({"target": target})
    assert request.target.unit == IndexUnit(index=index)
    written = request.model_dump(mode="json", exclude_unset=True)
    assert written == {"target": target}
    assert ErfRequest.model_validate_json(json.dumps(request.model_dump(mode="json"))) == request


@pytest.mark.parametrize(
    ("unit", "at", "said"),
    [
        ({"index": []}, "/target/unit/index", "at least 1"),
        ({"index": [*LONGEST, 8]}, "/target/unit/index", "at most 8"),
        ({"index": [3, -1]}, "/target/unit/index/1", "greater than or equal to 0"),
        ({"index": [3, 1.5]}, "/target/unit/index/1", "must be an integer"),
        ({"index": 3}, "/target/unit/index", "must be an array"),
        ({"index": [3], "grid": [3, 3]}, "/target/unit/grid", "there is no such field"),
        ({"grid": [3, 3], "step": 1}, "/target/unit/step", "there is no such field"),
        ({"indices": [3]}, "/target/unit", '{"index": [3, 7, 7]}'),
    ],
)
def test_what_is_no_index_is_said_of_that_field_alone(unit: dict[str, Any], at: str, said: str) -> None:
    found = complaints({"target": {"unit": unit}})
    assert found.keys() == {at}
    assert said in found[at]


@pytest.mark.parametrize("channels", ["random", [3], [0, 5]])
def test_an_index_names_its_channel_itself(channels: Any) -> None:
    found = complaints({"target": {"unit": {"index": [3, 7, 7]}, "channels": channels}})
    assert found.keys() == {"/target"}
    assert "leave channels out" in found["/target"]
    assert TargetOptions.model_validate({"unit": [7, 7], "channels": channels}).channels == channels


def test_other_units_mean_what_they_meant() -> None:
    assert ErfRequest().target.unit == "center"
    assert TargetOptions.model_validate({"unit": [3, 4]}).unit == [3, 4]
    assert TargetOptions.model_validate({"unit": {"grid": [3, 3]}}).unit == GridUnits(grid=[3, 3])


def test_verification_is_asked_for_and_needs_samples() -> None:
    assert ErfRequest().verify is False
    assert ErfRequest.model_validate({"verify": True}).verify is True
    found = complaints({"verify": True, "method": "analytic"})
    assert found.keys() == {""}
    assert "draws no samples" in found[""]
    assert complaints({"verify": "often"}).keys() == {"/verify"}


def test_the_whole_request_spells_verification_out() -> None:
    assert ErfRequest().model_dump(mode="json")["verify"] is False


def test_the_schema_says_it_to_others() -> None:
    schema = ErfRequest.model_json_schema()
    index = schema["$defs"]["IndexUnit"]["properties"]["index"]
    assert (index["minItems"], index["maxItems"], index["items"]["minimum"]) == (1, 8, 0)
    assert "#/$defs/IndexUnit" in json.dumps(schema["$defs"]["TargetOptions"]["properties"]["unit"])
    assert schema["properties"]["verify"]["type"] == "boolean"


def test_a_preset_is_the_same_question_as_its_architecture() -> None:
    asked = ErfRequest.model_validate_json('{"model": {"preset": "plain-5-relu"}}', strict=True)
    written = ErfRequest(model=ModelRef(architecture=preset("plain-5-relu")))
    assert asked == written
    assert asked.model_dump_json() == written.model_dump_json()
    assert "preset" not in asked.model_dump(mode="json", exclude_unset=True)["model"]
    assert asked.model_dump(mode="json", exclude_unset=True)["model"]["architecture"]["name"] == "plain-5-relu"
