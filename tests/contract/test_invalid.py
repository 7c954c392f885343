"""Pydantic's complaints in plain words, at JSON pointers that the user wrote."""

from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.architecture import Architecture
from erfscope_contract.fit import FitRequest
from erfscope_contract.invalid import FORMS, field_errors, pointer
from erfscope_contract.request import ErfRequest
from erfscope_contract.series import SeriesRequest

CONV = {"type": "conv", "out_channels": 8, "kernel_size": 3}
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no branch of a union": (
        {"target": {"unit": "middle"}},
        {"/target/unit": "must be 'center'; or must be an array; or must be an object"},
    ),
    "inside one branch": (
        {"target": {"unit": {"grid": [3, 0]}}},
        {"/target/unit/grid/1": "greater than or equal to 1"},
    ),
    "inside another": ({"target": {"unit": [1, -1]}}, {"/target/unit/1": "greater than or equal to 0"}),
    "an object of no branch": (
        {"target": {"unit": {}}},
        {"/target/unit": 'such as {"grid": [3, 3]} or {"index": [3, 7, 7]}'},
    ),
    "too short": ({"input": {"shape": []}}, {"/input/shape": "must have at least 1 entries"}),
    "a fraction": ({"average": {"inputs": 4.5}}, {"/average/inputs": "must be an integer"}),
    "unknown field": ({"lawyer": 1}, {"/lawyer": "there is no such field"}),
    "misspelt field": ({"avrage": {}}, {"/avrage": "there is no such field; did you mean average?"}),
    "misspelt inside": ({"average": {"input": 3}}, {"/average/input": "did you mean inputs?"}),
    "one level too high": ({"inputs": 4}, {"/inputs": "there is no such field; did you mean average.inputs?"}),
    "one level too high and misspelt": ({"statistik": "abs"}, {"/statistik": "did you mean average.statistic?"}),
    "in another object": ({"average": {"layer": "a"}}, {"/average/layer": "did you mean target.layer?"}),
    "misspelt in a branch": (
        {"target": {"unit": {"grid": [3], "gird": [3]}}},
        {"/target/unit/gird": "did you mean grid?"},
    ),
    "nothing like it": (
        {"input": {"zzz": 1}},
        {"/input/zzz": "there are: images, mean, name, shape, source, std"},
    ),
    "misspelt in a layer": (
        {"model": {"architecture": {"layers": [{"type": "residual", "layers": [CONV | {"kernal_sise": 1}]}]}}},
        {"/model/architecture/layers/0/layers/0/kernal_sise": "did you mean kernel_size?"},
    ),
    "true is not 1": ({"average": {"inputs": True}}, {"/average/inputs": "must be a number, not true or false"}),
    "true in a list": ({"target": {"unit": [True, 1]}}, {"/target/unit/0": "must be a number, not true or false"}),
    "true in a layer": (
        {"model": {"architecture": {"layers": [CONV | {"out_channels": True, "dilation": [1, False]}]}}},
        {
            "/model/architecture/layers/0/out_channels": "must be a number, not true or false",
            "/model/architecture/layers/0/dilation/1": "must be a number, not true or false",
        },
    ),
    "no such preset": (
        {"model": {"preset": "resnet5"}},
        {"/model/preset": "there is no preset 'resnet5'; did you mean resnet50"},
    ),
    "two models": (
        {"model": {"preset": "resnet50", "sha256": "0" * 64}},
        {"/model": "give exactly one of sha256, architecture and preset"},
    ),
    "our own words": ({"input": {"source": "images"}}, {"/input": "source=images and images=<sha256> go together"}),
    "two fields": (
        {"dtype": "int8", "layers": "most"},
        {"/dtype": "must be 'float32'", "/layers": "must be 'target' or 'all'"},
    ),
    "no object": ({"average": None}, {"/average": "must be an object"}),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_complained_about_in_plain_words(case: str) -> None:
    data, expected = REQUESTS[case]
    with pytest.raises(ValidationError) as caught:
        ErfRequest.model_validate(data)
    found = {field.pointer: field.detail for field in field_errors(caught.value, data, ErfRequest)}
    assert found.keys() == expected.keys()
    for at, words in expected.items():
        assert words in found[at]


SPECS: dict[str, tuple[list[Any], str, str]] = {
    "unknown type": (
        [CONV, {"type": "convolution"}],
        "/layers/1",
        "there is no type 'convolution'; did you mean 'conv'?",
    ),
    "no type": ([{}], "/layers/0", "type is required"),
    "in a union by form": ([CONV | {"kernel_size": [3, "x"]}], "/layers/0/kernel_size/1", "must be an integer"),
    "a word": ([CONV | {"padding": "full"}], "/layers/0/padding", "must be 'same' or 'valid'"),
    "deep": (
        [{"type": "repeat", "times": 2, "layers": [CONV | {"out_channels": -1}]}],
        "/layers/0/layers/0/out_channels",
        "greater than or equal to 1",
    ),
}


@pytest.mark.parametrize("case", SPECS)
def test_a_spec_is_complained_about_in_plain_words(case: str) -> None:
    layers, at, words = SPECS[case]
    data = {"input": {"channels": 3, "size": [32, 32]}, "layers": layers}
    with pytest.raises(ValidationError) as caught:
        Architecture.model_validate(data)
    (field,) = field_errors(caught.value, data)
    assert field.pointer == at
    assert words in field.detail


def test_pointers_leave_union_branches_out_and_escape() -> None:
    data = {"a": [{"b": {"c": 1}}], "list": {"list": 1}, "x/y~z": 1}
    assert pointer(("a", 0, "Branch", "b", "c"), data) == "/a/0/b/c"
    assert pointer(("a", 0, "b", "literal['center']"), data) == "/a/0/b"
    assert pointer(("a", 0, "b", "gone"), data, is_missing=True) == "/a/0/b/gone"
    assert pointer(("list", "list"), data) == "/list/list"
    assert pointer(("x/y~z",), data) == "/x~1y~0z"
    assert pointer((), data) == ""


def patterns(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return own.union(*map(patterns, schema.values()))
    return set().union(*map(patterns, schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("model", [ErfRequest, Architecture, SeriesRequest, AdviceRequest])
def test_every_pattern_of_the_contract_has_words(model: type[BaseModel]) -> None:
    found = patterns(model.model_json_schema())
    assert found
    assert found <= FORMS.keys()


def test_a_pattern_is_told_in_its_words() -> None:
    data = {"model": {"sha256": "abc"}}
    with pytest.raises(ValidationError) as caught:
        ErfRequest.model_validate(data)
    (field,) = field_errors(caught.value, data)
    assert field.detail == "must be a sha256: 64 digits 0-9 and a-f"


def test_a_required_field_under_a_misspelt_name_is_told_by_that_name_first() -> None:
    data = {"model": {"preset": "resnet50"}, "object": [32]}
    with pytest.raises(ValidationError) as caught:
        FitRequest.model_validate(data)
    first, second = field_errors(caught.value, data, FitRequest)
    assert (first.pointer, first.detail) == ("/object", "there is no such field; did you mean objects?")
    assert (second.pointer, second.detail) == ("/objects", "is required")


def test_without_a_model_an_unknown_field_is_told_without_advice() -> None:
    with pytest.raises(ValidationError) as caught:
        ErfRequest.model_validate({"avrage": {}})
    assert field_errors(caught.value, {"avrage": {}})[0].detail == "there is no such field"


def test_numbers_of_numpy_are_numbers() -> None:
    request = ErfRequest.model_validate({"average": {"inputs": np.int64(3), "until": None}})
    assert request.average.inputs == 3
    assert FitRequest.model_validate({"model": {"preset": "luo-conv"}, "objects": [np.float32(8.5)]}).objects == [8.5]
