"""/models and /files: stored once under their sha256, inspected by a job, known by their first bytes."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.service.conftest import TENANT, Worker, assert_problem, send_form, sha256

from erfscope_jobs.records import Kind

BINARY = {"Content-Type": "application/octet-stream"}
INSPECTION = {
    "name": "net",
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["N", 3, 32, 32]}],
    "input": "x",
    "input_shape": [3, 32, 32],
    "outputs": ["y"],
    "operators": {"Conv": 1},
    "unsupported": [],
    "default_layer": "y",
    "other_names": ["conv"],
    "layers": [],
    "notes": [],
}


def upload(client: httpx2.Client, model: bytes, name: str = "") -> httpx2.Response:
    named = {"Content-Disposition": f'attachment; filename="{name}"'} if name else {}
    return client.post("/models", content=model, headers=BINARY | named)


def test_a_model_is_stored_and_inspected(client: httpx2.Client, worker: Worker) -> None:
    model = b"a model to inspect"
    response = upload(client, model, "dir/net.onnx")
    assert response.status_code == 202
    assert response.headers["location"] == f"/models/{sha256(model)}"
    stored = response.json()
    assert (stored["sha256"], stored["size"], stored["name"]) == (sha256(model), len(model), "net.onnx")
    assert (stored["status"], stored["inspection"]) == ("queued", None)

    job = worker.ledger.find_upload(TENANT, "model", sha256(model))
    assert job is not None
    assert job.job is not None
    record = worker.claim(job.job)
    assert record.kind is Kind.INSPECT
    assert json.loads(record.payload)["model"] == sha256(model)
    worker.succeed(record, json.dumps(INSPECTION).encode())
    seen = client.get(f"/models/{sha256(model)}").json()
    assert (seen["status"], seen["inspection"]) == ("succeeded", INSPECTION)
    assert upload(client, model).json() == seen, "storing it again changes nothing"


def test_an_inspection_is_no_measurement(client: httpx2.Client, worker: Worker) -> None:
    upload(client, b"not in the list")
    known = worker.ledger.find_upload(TENANT, "model", sha256(b"not in the list"))
    assert known is not None
    assert_problem(client.get(f"/erf/{known.job}"), 404, "not-found")


def test_a_failed_inspection_says_why(client: httpx2.Client, worker: Worker) -> None:
    upload(client, b"no model at all")
    known = worker.ledger.find_upload(TENANT, "model", sha256(b"no model at all"))
    assert known is not None
    assert known.job is not None
    worker.fail(worker.claim(known.job), "invalid-model", "It does not parse.")
    seen = client.get(f"/models/{sha256(b'no model at all')}").json()
    assert (seen["status"], seen["error"]["type"]) == ("failed", "/problems/invalid-model")


def test_a_model_sent_with_a_measurement_can_be_inspected(client: httpx2.Client) -> None:
    send_form(client, b"came along")
    path = f"/models/{sha256(b'came along')}"
    assert client.get(path).json()["status"] is None, "looking starts nothing"
    assert (client.post(path).status_code, client.post(path).json()["status"]) == (202, "queued")
    assert client.get(path).json()["status"] == "queued"


def test_an_inspection_can_be_waited_for(client: httpx2.Client, worker: Worker) -> None:
    content, wait = b"waited for", {"Prefer": "wait=20"}
    upload(client, content)
    known = worker.ledger.find_upload(TENANT, "model", sha256(content))
    assert known is not None
    assert known.job is not None
    record = worker.claim(known.job)
    with ThreadPoolExecutor(2) as pool:
        path = f"/models/{sha256(content)}"
        asked = [pool.submit(client.get, path, headers=wait), pool.submit(client.post, path, headers=wait)]
        worker.succeed(record, json.dumps(INSPECTION).encode())
        answers = [one.result() for one in asked]
    assert [answer.json()["status"] for answer in answers] == ["succeeded", "succeeded"]
    assert [answer.headers["preference-applied"] for answer in answers] == ["wait=20", "wait=20"]
    again = client.post("/models", content=content, headers=BINARY | {"Prefer": "wait=3"})
    assert (again.headers["preference-applied"], again.json()["inspection"]) == ("wait=3", INSPECTION)


def test_a_model_can_be_forgotten(client: httpx2.Client) -> None:
    path = f"/models/{sha256(b'to forget')}"
    upload(client, b"to forget")
    assert client.delete(path).status_code == 204
    assert_problem(client.get(path), 404, "not-found")
    assert_problem(client.delete(path), 404, "not-found")


@pytest.mark.parametrize("name", ["0" * 64, "x", "A" * 64, "..%2F" * 3])
def test_an_unknown_model_is_404(client: httpx2.Client, name: str) -> None:
    for method in ("GET", "DELETE", "POST"):
        assert_problem(client.request(method, f"/models/{name}"), 404, "not-found")


@pytest.mark.parametrize("path", ["/models", "/files"])
def test_an_empty_body_is_400(client: httpx2.Client, path: str) -> None:
    assert_problem(client.post(path, content=b"", headers=BINARY), 400, "bad-request")


SIGNATURES = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0",
    "webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "zip": b"PK\x03\x04",
    "npy": b"\x93NUMPY\x01\x00",
}


@pytest.mark.parametrize("kind", SIGNATURES)
def test_images_are_stored(client: httpx2.Client, worker: Worker, kind: str) -> None:
    data = SIGNATURES[kind] + b"the rest of it" * 10_000
    response = client.post("/files", content=iter([data[:3], data[3:9], data[9:]]), headers=BINARY)
    assert response.status_code == 201
    assert response.json() == {"sha256": sha256(data), "size": len(data)}
    assert worker.blobs.path(sha256(data)).read_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a" + b"x" * 50,
        b"%!PS-Adobe",
        b"<svg xmlns=",
        b"II*\x00" + b"x" * 20,
        b"8BPS",
        b"RIFF1234WAVE",
        b"x",
    ],
)
def test_other_formats_are_415(client: httpx2.Client, data: bytes) -> None:
    assert_problem(client.post("/files", content=data, headers=BINARY), 415, "unsupported-media-type")


def test_stored_images_can_be_measured_on(client: httpx2.Client, worker: Worker) -> None:
    image = SIGNATURES["png"] + b"pixels"
    client.post("/files", content=image, headers=BINARY)
    request = {"input": {"source": "images", "images": sha256(image)}}
    job = send_form(client, b"with images", json.dumps(request)).json()
    assert client.delete(f"/files/{sha256(image)}").status_code == 204, "the job that waits keeps its bytes"
    assert sha256(image) not in {file["sha256"] for file in client.get("/files").json()["files"]}
    assert json.loads(worker.claim(job["id"]).payload)["images"] == sha256(image)
    assert_problem(send_form(client, b"with images", json.dumps(request)), 422, "invalid-request")
