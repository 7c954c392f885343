"""/advice: a question becomes a job of its own kind, and its answer comes back; the test plays the worker."""

import json
from typing import Any

import httpx2
import pytest
from tests.service.conftest import Worker, a_spec, assert_problem

from erfscope_contract.advice import Advice
from erfscope_jobs.records import Kind

ANSWER = {
    "layer": "relu_1", "want": 9, "input_shape": [3, 32, 32], "layer_shape": [8, 32, 32], "trf_size": [3, 3],
    "erf_analytic": 3.0, "reaches": False, "macs": 1, "parameters": 1, "layers": [], "changes": [], "tried": 4,
    "engine": "0", "torch": "2",
}  # fmt: skip


def _asked(name: str, **fields: Any) -> dict[str, Any]:
    return {**a_spec(name=name), "want": 9, **fields}


def _submit(client: httpx2.Client, name: str, **headers: str) -> dict[str, Any]:
    response = client.post("/advice", json=_asked(name), headers=headers)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/advice/{job['id']}"
    return job


def test_a_question_is_answered(client: httpx2.Client, worker: Worker) -> None:
    worker.advertise()
    job = _submit(client, "answered")
    assert (job["status"], job["result"], job["request"]["want"]) == ("queued", None, 9)
    record = worker.claim(job["id"])
    assert record.kind is Kind.ADVICE
    assert json.loads(record.payload)["request"]["verify"] == 5
    worker.beat(record, "search", 0.5)
    assert client.get(f"/advice/{job['id']}").json()["stage"] == "search"
    worker.succeed(record, Advice.model_validate(ANSWER).model_dump_json().encode())
    found = client.get(f"/advice/{job['id']}", headers={"Prefer": "wait=5"})
    assert found.headers["preference-applied"] == "wait=5"
    assert found.json()["result"]["tried"] == 4
    again = _submit(client, "answered")
    assert (again["status"], again["cached"]) == ("succeeded", True)


def test_it_is_no_measurement_and_no_measurement_is_it(client: httpx2.Client) -> None:
    job = _submit(client, "apart")
    assert job["id"] not in {one["id"] for one in client.get("/erf").json()["jobs"]}
    assert_problem(client.get(f"/erf/{job['id']}"), 404, "not-found")
    measured = client.post("/erf", json=a_spec(name="apart")).json()
    assert_problem(client.get(f"/advice/{measured['id']}"), 404, "not-found")
    assert_problem(client.delete(f"/advice/{measured['id']}"), 404, "not-found")


def test_a_failure_is_its_problem(client: httpx2.Client, worker: Worker) -> None:
    job = _submit(client, "failing")
    worker.fail(worker.claim(job["id"]), "unsupported-feature", "softmax at attention")
    found = client.get(f"/advice/{job['id']}").json()
    assert (found["status"], found["error"]["type"]) == ("failed", "/problems/unsupported-feature")


def test_it_can_be_canceled_and_repeated_safely(client: httpx2.Client) -> None:
    job = _submit(client, "canceled", **{"Idempotency-Key": "advice-key"})
    assert _submit(client, "canceled", **{"Idempotency-Key": "advice-key"})["id"] == job["id"]
    other = client.post("/advice", json=_asked("other"), headers={"Idempotency-Key": "advice-key"})
    assert_problem(other, 422, "idempotency-mismatch")
    for status in (202, 200):  # the second changes nothing
        response = client.delete(f"/advice/{job['id']}")
        assert (response.status_code, response.json()["status"]) == (status, "canceled")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"want": 0}, "/want"),
        ({"want": "9"}, "/want"),
        ({"verify": 99}, "/verify"),
        ({"model": None}, "/model"),
        ({"model": {"sha256": "0" * 64}}, "/model/sha256"),
        ({"input": {"source": "images", "images": "0" * 64}}, ""),
        ({"wanted": 9}, "/wanted"),
    ],
)
def test_what_is_wrong_is_named(client: httpx2.Client, change: dict[str, Any], pointer: str) -> None:
    problem = assert_problem(client.post("/advice", json=_asked("wrong") | change), 422, "invalid-request")
    assert pointer in problem["errors"][0]["pointer"]


def test_a_form_is_not_understood(client: httpx2.Client) -> None:
    response = client.post("/advice", content=b"x", headers={"Content-Type": "application/octet-stream"})
    assert_problem(response, 415, "unsupported-media-type")
