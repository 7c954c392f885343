"""Requests that are readable but wrong: the answer points at the field or the layer."""

from typing import Any

import httpx2
import pytest
from tests.service.conftest import SIDE, a_spec, assert_problem, send_form

CONV = {"type": "conv", "out_channels": 8, "kernel_size": 3}
WRONG_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"lawyer": 1}, "/lawyer"),
    "unknown field deeper": ({"target": {"lair": "x"}}, "/target/lair"),
    "wrong type": ({"average": {"inputs": "many"}}, "/average/inputs"),
    "out of range": ({"average": {"inputs": 0}}, "/average/inputs"),
    "enum": ({"average": {"statistic": "mean"}}, "/average/statistic"),
    "item of a list": ({"input": {"shape": [3, 0, 8]}}, "/input/shape/1"),
    "no branch of a union": ({"target": {"unit": "middle"}}, "/target/unit"),
    "inside a branch of a union": ({"target": {"unit": {"grid": [3, 0]}}}, "/target/unit/grid/1"),
    "index of no element": ({"target": {"unit": {"index": [3, -7]}}}, "/target/unit/index/1"),
    "index with nine numbers": ({"target": {"unit": {"index": [0] * 9}}}, "/target/unit/index"),
    "index beside a grid": ({"target": {"unit": {"index": [3], "grid": [3, 3]}}}, "/target/unit/grid"),
    "index and channels": ({"target": {"unit": {"index": [3, 7, 7]}, "channels": [3]}}, "/target"),
    "verification without samples": ({"verify": True, "method": "analytic"}, ""),
    "verification in words": ({"verify": "yes"}, "/verify"),
    "rule over fields": ({"input": {"source": "images"}}, "/input"),
    "key with a slash and a tilde": ({"a/b~c": 1}, "/a~1b~0c"),
    "true for a number": ({"average": {"inputs": True}}, "/average/inputs"),
    "text for a number": ({"average": {"inputs": "4"}}, "/average/inputs"),
    "true in a list of numbers": ({"target": {"channels": [True]}}, "/target/channels/0"),
    "text for a real number": ({"average": {"until": {"relative_error": "0.1"}}}, "/average/until/relative_error"),
    "a number for text": ({"target": {"layer": 4}}, "/target/layer"),
    "mean without images": ({"input": {"mean": [0.5, 0.5, 0.5]}}, "/input"),
    "std without images": ({"input": {"source": "normal", "std": [1]}}, "/input"),
    "images that are not stored": ({"input": {"source": "images", "images": "0" * 64}}, "/input/images"),
}


TRACES = (
    "literal[",
    "function-",
    "constrained",
    "GridUnits",
    "IndexUnit",
    "unit_object",
    "Value error",
    "Input should",
    "discriminator",
)


@pytest.mark.parametrize("case", WRONG_FIELDS)
def test_a_wrong_field_is_pointed_at(client: httpx2.Client, case: str) -> None:
    fields, expected = WRONG_FIELDS[case]
    problem = assert_problem(client.post("/erf", json=a_spec() | fields), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [expected]
    for text in (problem["detail"], *(error["detail"] for error in problem["errors"])):
        assert not any(trace in text for trace in TRACES), text


def test_a_whole_number_may_be_written_in_any_way(client: httpx2.Client) -> None:
    body = (
        '{"average": {"inputs": 4.0, "seed": 1e3, "until": {"relative_error": 5e-1}}, "input": {"shape": [3, 8, 8.0]}}'
    )
    request = send_form(client, b"m", body).json()["request"]
    assert (request["average"]["inputs"], request["average"]["seed"], request["input"]["shape"]) == (4, 1000, [3, 8, 8])


def test_a_wrong_field_of_a_form_is_pointed_at(client: httpx2.Client) -> None:
    problem = assert_problem(send_form(client, b"m", '{"dtype": "int8"}'), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "/dtype"


@pytest.mark.parametrize(
    "model",
    [None, {}, {"sha256": "x"}, {"sha256": "0" * 64, "architecture": a_spec()["model"]["architecture"]}],
)
def test_a_request_names_exactly_one_model(client: httpx2.Client, model: Any) -> None:
    problem = assert_problem(client.post("/erf", json={"model": model}), 422, "invalid-request")
    assert problem["errors"][0]["pointer"].startswith("/model")


def test_a_model_part_and_a_named_model_exclude_each_other(client: httpx2.Client) -> None:
    named = '{"model": {"sha256": "' + "0" * 64 + '"}}'
    problem = assert_problem(send_form(client, b"m", named), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "/model"


def test_redrawing_given_weights_of_a_file_is_refused(client: httpx2.Client) -> None:
    problem = assert_problem(send_form(client, b"m", '{"average": {"weights": 3}}'), 422, "invalid-request")
    assert "kaiming_normal" in problem["detail"]


WRONG_SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "negative channels": ({"layers": [CONV, CONV | {"out_channels": -1}]}, "layers/1"),
    "2**31 channels": ({"layers": [CONV | {"out_channels": 2**31}]}, "layers/0"),
    "unknown type": ({"layers": [CONV, {"type": "convolution"}]}, "layers/1"),
    "true for a number": ({"layers": [CONV | {"out_channels": True}]}, "layers/0/out_channels"),
    "text in a list of numbers": ({"layers": [CONV | {"kernel_size": [3, "3"]}]}, "layers/0/kernel_size/1"),
    "a word for a truth": ({"layers": [CONV | {"bias": "yes"}]}, "layers/0/bias"),
    "unknown argument": ({"layers": [CONV | {"kernal_size": 3}]}, "layers/0/kernal_size"),
    "no layers": ({"layers": []}, "layers"),
    "a name that ends a line": ({"layers": [CONV | {"name": "a\r\nb\x1b[2J"}]}, "layers/0/name"),
    "10**6 layers": ({"layers": [{"type": "repeat", "times": 10**6, "layers": [CONV]}]}, "layers/0/times"),
    "repeats of repeats": (
        {
            "layers": [
                {
                    "type": "repeat",
                    "times": 9999,
                    "layers": [{"type": "repeat", "times": 9999, "layers": [CONV]}],
                }
            ]
        },
        "architecture",
    ),
}


@pytest.mark.parametrize("case", WRONG_SPECS)
def test_a_wrong_spec_names_its_layer(client: httpx2.Client, case: str) -> None:
    fields, where = WRONG_SPECS[case]
    problem = assert_problem(client.post("/erf", json=a_spec(**fields)), 422, "invalid-architecture")
    assert where in problem["errors"][0]["pointer"]


@pytest.mark.parametrize(
    "layers",
    [
        [CONV, CONV | {"kernel_size": SIDE + 7}],
        [CONV, {"type": "concat", "inputs": ["nowhere", "previous"]}],
        [CONV | {"name": "a", "inputs": ["b"]}, CONV | {"name": "b", "inputs": ["a"]}],
        [{"type": "residual", "layers": [CONV | {"stride": 2}]}],
    ],
)
def test_a_spec_that_does_not_fit_together_is_refused_at_once(
    client: httpx2.Client, layers: list[dict[str, Any]]
) -> None:
    response = client.post("/erf", json=a_spec(layers=layers))
    assert response.status_code == 422
    assert_problem(response, 422, response.json()["type"].rsplit("/")[-1])
    assert "layers[" in response.text or "layer" in response.json()["detail"]


def test_a_wrong_spec_answers_with_few_errors_however_long_it_is(client: httpx2.Client) -> None:
    problem = assert_problem(
        client.post("/erf", json=a_spec(layers=[{"type": "x"}] * 5000)), 422, "invalid-architecture"
    )
    assert 1 <= len(problem["errors"]) <= 20
