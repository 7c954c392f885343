"""/tiles and /fit: jobs of their own kinds beside /advice; the test plays the worker."""

import json
from typing import Any

import httpx2
import pytest
from tests.client.test_fit import FIT
from tests.client.test_tiles import TILES
from tests.service.conftest import Worker, a_spec, assert_problem

from erfscope_contract.fit import Fit
from erfscope_contract.tiles import Tiles
from erfscope_jobs.records import Kind

ASKED: dict[str, dict[str, Any]] = {"tiles": {"tile": 64}, "fit": {"objects": [8, 24.5]}}
ANSWERS = {"tiles": Tiles.model_validate(TILES), "fit": Fit.model_validate(FIT)}
KINDS = {"tiles": Kind.TILES, "fit": Kind.FIT}
ROUTES = pytest.mark.parametrize("route", ASKED)


def submit(client: httpx2.Client, route: str, name: str, **headers: str) -> dict[str, Any]:
    response = client.post(f"/{route}", json={**a_spec(name=name), **ASKED[route]}, headers=headers)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/{route}/{job['id']}" == job["links"]["self"]
    return job


@ROUTES
def test_a_question_is_answered(client: httpx2.Client, worker: Worker, route: str) -> None:
    worker.advertise()
    job = submit(client, route, "answered")
    assert (job["status"], job["result"]) == ("queued", None)
    record = worker.claim(job["id"])
    assert record.kind is KINDS[route]
    assert json.loads(record.payload)["request"] | ASKED[route] == json.loads(record.payload)["request"]
    worker.beat(record, "verify", 0.5)
    assert client.get(f"/{route}/{job['id']}").json()["stage"] == "verify"
    worker.succeed(record, ANSWERS[route].model_dump_json().encode())
    ended = client.get(f"/{route}/{job['id']}", headers={"Prefer": "wait=5"})
    assert ended.headers["preference-applied"] == "wait=5"
    assert ended.json()["result"] == ANSWERS[route].model_dump(mode="json")
    again = submit(client, route, "answered")
    assert (again["status"], again["cached"]) == ("succeeded", True)


@ROUTES
def test_each_kind_keeps_to_itself(client: httpx2.Client, route: str) -> None:
    job = submit(client, route, "apart")
    for other in {"erf", "advice", "tiles", "fit"} - {route}:
        assert_problem(client.get(f"/{other}/{job['id']}"), 404, "not-found")
        assert_problem(client.delete(f"/{other}/{job['id']}"), 404, "not-found")
    assert client.get(f"/{route}/{job['id']}").json()["status"] == "queued"


@ROUTES
def test_a_refusal_is_its_problem(client: httpx2.Client, worker: Worker, route: str) -> None:
    job = submit(client, route, "failing")
    worker.fail(worker.claim(job["id"]), "unsupported-model", "each of its units sees the whole input")
    ended = client.get(f"/{route}/{job['id']}").json()
    assert (ended["status"], ended["error"]["type"]) == ("failed", "/problems/unsupported-model")


@ROUTES
def test_it_can_be_canceled_and_repeated_safely(client: httpx2.Client, route: str) -> None:
    key = {"Idempotency-Key": f"{route}-key"}
    job = submit(client, route, "canceled", **key)
    assert submit(client, route, "canceled", **key)["id"] == job["id"]
    body = {**a_spec(name="other"), **ASKED[route]}
    assert_problem(client.post(f"/{route}", json=body, headers=key), 422, "idempotency-mismatch")
    for status in (202, 200):  # the second changes nothing
        response = client.delete(f"/{route}/{job['id']}")
        assert (response.status_code, response.json()["status"]) == (status, "canceled")


@pytest.mark.parametrize(
    ("route", "change", "pointer"),
    [
        ("tiles", {"tile": 0}, "/tile"),
        ("tiles", {"tile": "64"}, "/tile"),
        ("tiles", {"tile": []}, "/tile"),
        ("tiles", {"tile": [64, 0]}, "/tile"),
        ("tiles", {"image": [1, 2, 3, 4]}, "/image"),
        ("tiles", {"layers": [""]}, "/layers/0"),
        ("tiles", {"halo": -4}, "/halo"),
        ("tiles", {"overlap": 4}, "/overlap"),
        ("tiles", {"model": {"sha256": "0" * 64}}, "/model/sha256"),
        ("tiles", {"samples": 0}, "/samples"),
        ("fit", {"objects": []}, "/objects"),
        ("fit", {"objects": [0]}, "/objects/0"),
        ("fit", {"objects": 32}, "/objects"),
        ("fit", {"samples": 1}, "/samples"),
        ("fit", {"model": None}, "/model"),
        ("fit", {"input": {"source": "images", "images": "0" * 64}}, "/input/images"),
    ],
)
def test_what_is_wrong_is_named(client: httpx2.Client, route: str, change: dict[str, Any], pointer: str) -> None:
    body = {**a_spec(name="wrong"), **ASKED[route]} | change
    problem = assert_problem(client.post(f"/{route}", json=body), 422, "invalid-request")
    assert pointer in problem["errors"][0]["pointer"]


@pytest.mark.parametrize(("route", "asked"), [("fit", {"objects": [8]}), ("advice", {"want": 12})])
def test_images_are_kept_for_the_worker(
    client: httpx2.Client, worker: Worker, route: str, asked: dict[str, Any]
) -> None:
    body = b"\x89PNG\r\n\x1a\n for " + route.encode()
    stored = client.post("/files", content=body, headers={"Content-Type": "application/octet-stream"}).json()
    images = {"source": "images", "images": stored["sha256"]}
    job = client.post(f"/{route}", json={**a_spec(name="on images"), **asked, "input": images}).json()
    record = worker.claim(job["id"])
    assert json.loads(record.payload)["images"] == stored["sha256"]
    assert job["request"]["input"]["images"] == stored["sha256"]


@ROUTES
def test_a_form_is_not_understood(client: httpx2.Client, route: str) -> None:
    response = client.post(f"/{route}", content=b"x", headers={"Content-Type": "application/octet-stream"})
    assert_problem(response, 415, "unsupported-media-type")
