"""POST /erf and GET /erf/{id}: the way of a job, from both media types to its result."""

import gzip
import json

import httpx2
import pytest
from tests.service.conftest import Worker, a_result, a_spec, assert_problem, send_form, sha256, submit

from erfscope_contract.job import Job


def test_a_spec_becomes_a_queued_job(client: httpx2.Client) -> None:
    response = client.post("/erf", json=a_spec(name="queued"))
    assert response.status_code == 202
    job = Job.model_validate(response.json())
    assert response.headers["location"] == f"/erf/{job.id}" == job.links.self
    assert int(response.headers["retry-after"]) >= 1
    assert (job.status, job.model.name, job.model.sha256) == ("queued", "queued", None)
    assert client.get(response.headers["location"]).json() == response.json()


def test_a_worker_takes_the_job_to_its_result(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "worked")["id"]
    record = worker.claim(id)
    payload = json.loads(record.payload)
    assert payload["request"]["average"]["inputs"] == 32, "defaults are filled in"
    assert payload["model"] is None
    worker.beat(record, "measure", 0.5)
    seen = client.get(f"/erf/{id}").json()
    assert (seen["status"], seen["stage"], seen["progress"], seen["attempt"]) == (
        "running",
        "measure",
        0.5,
        1,
    )
    worker.measure(record)
    done = client.get(f"/erf/{id}").json()
    assert done["status"] == "succeeded"
    assert done["result"] == json.loads(a_result())
    assert done["result"]["trf"]["global"] is False
    assert done["timing"]["seconds"] == 0.5


def test_a_verified_question_is_another_question(client: httpx2.Client, worker: Worker) -> None:
    worker.advertise()
    asked = a_spec(name="verified")
    plain, verified = (client.post("/erf", json=asked | {"verify": verify}).json() for verify in (False, True))
    assert plain["id"] != verified["id"]
    assert (plain["request"]["verify"], verified["request"]["verify"]) == (False, True)
    worker.measure(worker.claim(verified["id"]))
    assert client.post("/erf", json=asked | {"verify": True}).json()["cached"]
    assert not client.post("/erf", json=asked).json()["cached"]
    payload = json.loads(worker.claim(plain["id"]).payload)
    assert payload["request"]["verify"] is False


def test_an_element_is_another_question_than_a_unit(client: httpx2.Client, worker: Worker) -> None:
    units = ([7, 7], {"index": [7, 7]}, {"index": [0, 7, 7]})
    jobs = [client.post("/erf", json=a_spec(name="element") | {"target": {"unit": unit}}).json() for unit in units]
    assert len({job["id"] for job in jobs}) == 3
    assert [job["request"]["target"]["unit"] for job in jobs] == list(units)
    assert json.loads(worker.claim(jobs[2]["id"]).payload)["request"]["target"]["unit"] == {"index": [0, 7, 7]}


def test_a_failed_job_is_a_200_with_its_problem(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "failed")["id"]
    worker.fail(worker.claim(id), "invalid-target", "There is no layer 'x'.")
    response = client.get(f"/erf/{id}")
    assert response.status_code == 200
    assert response.json()["status"] == "failed"
    assert response.json()["error"]["type"] == "/problems/invalid-target"
    assert response.json()["result"] is None


def test_an_onnx_file_is_stored_under_its_sha256(client: httpx2.Client, worker: Worker) -> None:
    model = b"onnx bytes" * 250_000
    response = send_form(client, model, '{"average": {"inputs": 4}}')
    assert response.status_code == 202
    job = response.json()
    assert job["model"] == {"sha256": sha256(model), "name": "net.onnx"}
    assert job["request"]["model"]["sha256"] == sha256(model)
    assert job["request"]["average"]["inputs"] == 4
    assert worker.blobs.path(sha256(model)).read_bytes() == model


def test_a_stored_model_is_named_by_its_sha256(client: httpx2.Client) -> None:
    send_form(client, b"stored before")
    response = client.post("/erf", json={"model": {"sha256": sha256(b"stored before")}})
    assert response.status_code == 202
    assert response.json()["model"]["name"] == "net.onnx"


def test_a_model_that_is_not_stored_is_refused(client: httpx2.Client) -> None:
    problem = assert_problem(client.post("/erf", json={"model": {"sha256": "0" * 64}}), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "/model/sha256"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/net.onnx", "net.onnx"),
        ("C:\\models\\net.onnx", "net.onnx"),
        ("a\x1b[31m\u202eb.onnx", "a[31mb.onnx"),
        ("ü net.onnx", "ü net.onnx"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_file_name_is_only_a_label(client: httpx2.Client, sent: str, shown: str) -> None:
    model = sent.encode()
    boundary = "edge"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"; filename="{sent}"\r\n\r\n'.encode()
        + model
        + f"\r\n--{boundary}--\r\n".encode()
    )
    response = client.post("/erf", content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert response.json()["model"]["name"] == shown


@pytest.mark.parametrize("path", ["/erf", "/series", "/advice", "/tiles", "/fit", "/models", "/files"])
def test_a_compressed_body_is_415_that_names_the_encoding(client: httpx2.Client, path: str) -> None:
    media_type = "application/octet-stream" if path in ("/models", "/files") else "application/json"
    headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}
    problem = assert_problem(
        client.post(path, content=gzip.compress(b"{}"), headers=headers), 415, "unsupported-media-type"
    )
    assert "gzip" in problem["detail"]


def test_an_empty_model_is_refused_however_it_comes(client: httpx2.Client) -> None:
    assert "empty" in assert_problem(send_form(client, b""), 400, "bad-request")["detail"]
    assert "empty" in assert_problem(client.post("/models", content=b""), 400, "bad-request")["detail"]
