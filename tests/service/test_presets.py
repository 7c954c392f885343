"""Presets by their name in every request that names a model, and what a misspelt name or field is answered."""

from typing import Any

import httpx2
import pytest
from tests.service.conftest import assert_problem

from erfscope_contract.presets import preset

NAMED = {"preset": "luo-dilation"}
ROUTES: dict[str, dict[str, Any]] = {
    "/erf": {"model": NAMED},
    "/advice": {"model": NAMED, "want": 24},
    "/tiles": {"model": NAMED, "tile": 64},
    "/fit": {"model": NAMED, "objects": [16]},
}
EVERYWHERE = pytest.mark.parametrize("route", ROUTES)


@EVERYWHERE
def test_a_preset_is_asked_by_its_name(client: httpx2.Client, route: str) -> None:
    response = client.post(route, json=ROUTES[route])
    assert response.status_code == 202, response.text
    job = response.json()
    assert job["model"]["name"] == "luo-dilation"
    written = preset("luo-dilation").model_dump(mode="json")
    assert job["request"]["model"]["architecture"] == written
    assert "preset" not in job["request"]["model"]


def test_the_name_and_the_architecture_are_one_request(client: httpx2.Client) -> None:
    key = {"Idempotency-Key": "a-preset-by-name"}
    by_name = client.post("/erf", json=ROUTES["/erf"], headers=key).json()
    body = {"model": {"architecture": preset("luo-dilation").model_dump(mode="json")}}
    assert client.post("/erf", json=body, headers=key).json()["id"] == by_name["id"]


def test_a_series_of_presets(client: httpx2.Client) -> None:
    body = {"models": [{"model": {"preset": name}} for name in ("luo-conv", "luo-dilation")], "request": {}}
    response = client.post("/series", json=body)
    assert response.status_code == 202, response.text
    assert [point["label"] for point in response.json()["points"]] == ["luo-conv", "luo-dilation"]


@EVERYWHERE
def test_a_name_that_is_none_is_told_with_the_nearest(client: httpx2.Client, route: str) -> None:
    problem = assert_problem(client.post(route, json=ROUTES[route] | {"model": {"preset": "resnet5"}}), 422,
                             "invalid-request")  # fmt: skip
    assert problem["errors"][0]["pointer"] == "/model/preset"
    assert "did you mean resnet50" in problem["detail"]


@EVERYWHERE
def test_a_field_that_is_none_is_told_with_the_nearest(client: httpx2.Client, route: str) -> None:
    body = ROUTES[route] | {"inptu": {}}
    problem = assert_problem(client.post(route, json=body), 422, "invalid-request")
    assert problem["detail"] == "/inptu: there is no such field; did you mean input?"


def test_openapi_has_the_name(client: httpx2.Client) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["ModelRef"]
    assert set(schema["properties"]) == {"sha256", "architecture", "preset"}
