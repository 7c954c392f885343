"""Weights beside a model, sent as further parts of the form: one model of several files, and refusals by name."""

import json
import resource
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from tests.service.conftest import TENANT, Worker, a_spec, assert_problem, sha256
from tests.service.test_edge import temporary_files

from erfscope_contract.data_files import MOST_FILES, identity
from erfscope_jobs.records import Kind
from erfscope_service.settings import ServiceSettings

ONNX = b"an onnx file that names others"
DATA = {"net.onnx.data": b"weights", "more/weights.bin": b"more of them"}
NAME = identity(sha256(ONNX), {name: sha256(content) for name, content in DATA.items()})
File = tuple[str, tuple[str, bytes]]


def form(model: bytes | None = ONNX, data: dict[str, bytes] | None = None) -> list[Any]:
    parts: list[Any] = [("data", (name, content)) for name, content in (DATA if data is None else data).items()]
    return parts if model is None else [("model", ("net.onnx", model)), *parts]


def post(client: httpx2.Client, files: Sequence[Any], path: str = "/erf", **request: Any) -> httpx2.Response:
    return client.post(path, files=files, data={"request": json.dumps(request)} if request else None)


@pytest.mark.parametrize("order", [1, -1])
def test_a_job_gets_every_file_by_name(client: httpx2.Client, worker: Worker, order: int) -> None:
    response = post(client, form()[::order], average={"inputs": 2 + order})
    assert response.status_code == 202, response.text
    job = response.json()
    assert job["model"] == {"sha256": NAME, "name": "net.onnx"}
    assert job["request"]["model"]["sha256"] == NAME
    payload = json.loads(worker.claim(job["id"]).payload)
    assert payload["parts"]["model"] == sha256(ONNX)
    assert payload["parts"]["data"] == {name: sha256(content) for name, content in DATA.items()}
    for content in (ONNX, *DATA.values()):
        assert worker.blobs.path(sha256(content)).read_bytes() == content


def test_the_question_is_another_where_only_the_data_differ(client: httpx2.Client, worker: Worker) -> None:
    asked = {"average": {"inputs": 9}}
    worker.advertise()
    first = post(client, form(), **asked).json()
    worker.measure(worker.claim(first["id"]))
    same, other = (
        post(client, form(), **asked).json(),
        post(client, form(data={**DATA, "net.onnx.data": b"W"}), **asked),
    )
    assert same["cached"]
    assert (other.json()["cached"], other.json()["status"]) == (False, "queued")
    assert other.json()["model"]["sha256"] != NAME
    renamed = post(client, form(data=dict(zip(DATA, reversed(DATA.values()), strict=True))), **asked).json()
    assert renamed["model"]["sha256"] not in (NAME, other.json()["model"]["sha256"])


def test_a_stored_model_of_several_files(client: httpx2.Client, worker: Worker) -> None:
    onnx = b"to be stored"
    name = identity(sha256(onnx), {key: sha256(content) for key, content in DATA.items()})
    response = post(client, form(onnx), "/models")
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/models/{name}"
    stored = response.json()
    assert (stored["sha256"], stored["name"]) == (name, "net.onnx")
    assert stored["data"] == {key: sha256(content) for key, content in DATA.items()}
    assert stored["size"] == len(onnx) + sum(map(len, DATA.values()))

    known = worker.ledger.find_upload(TENANT, "model", name)
    assert known is not None
    assert known.job is not None
    record = worker.claim(known.job)
    assert record.kind is Kind.INSPECT
    assert json.loads(record.payload)["parts"] == {"model": sha256(onnx), "data": stored["data"]}

    job = client.post("/erf", json={"model": {"sha256": name}}).json()
    assert json.loads(worker.claim(job["id"]).payload)["parts"]["data"] == stored["data"]
    advice = client.post("/advice", json={"model": {"sha256": name}, "want": 9}).json()
    assert json.loads(worker.claim(advice["id"]).payload)["parts"]["data"] == stored["data"]
    members = [{"model": {"sha256": name}}, a_spec()]
    series = client.post("/series", json={"models": members, "request": {"dtype": "float64"}}).json()
    assert json.loads(worker.claim(series["points"][0]["job"]).payload)["parts"]["data"] == stored["data"]

    assert worker.ledger.kept_blobs([sha256(onnx), *stored["data"].values()]) == [True] * 3
    assert client.delete(f"/models/{name}").status_code == 204
    assert_problem(client.get(f"/models/{name}"), 404, "not-found")


def test_a_model_without_data_keeps_its_own_name(client: httpx2.Client) -> None:
    stored = post(client, form(b"alone in its form", {}), "/models").json()
    assert (stored["sha256"], stored["data"]) == (sha256(b"alone in its form"), {})
    assert "parts" not in post(client, form(b"alone in its form", {})).json()


BAD_NAMES = ["/etc/passwd", "../net.onnx.data", "a/../../b", "..", "x" * 300, "a\\b"]


@pytest.mark.parametrize("path", ["/erf", "/models"])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_a_way_out_is_refused(
    client: httpx2.Client, settings: ServiceSettings, name: str, path: str
) -> None:
    problem = assert_problem(post(client, form(data={name: b"w"}), path), 422, "external-data")
    assert "external_data=False" in problem["detail"]
    assert temporary_files(settings) == []


@pytest.mark.parametrize("path", ["/erf", "/models"])
def test_the_same_name_twice_is_refused(client: httpx2.Client, path: str) -> None:
    for second in ("w.bin", "./w.bin"):
        twice = [*form(data={}), ("data", ("w.bin", b"1")), ("data", (second, b"2"))]
        assert "'w.bin'" in assert_problem(post(client, twice, path), 400, "bad-request")["detail"]


def test_parts_that_do_not_belong(client: httpx2.Client) -> None:
    assert "model" in assert_problem(post(client, form(model=None)), 400, "bad-request")["detail"]
    assert "model" in assert_problem(post(client, form(model=None), "/models"), 400, "bad-request")["detail"]
    unnamed = [*form(data={}), ("data", ("", b"1"))]
    assert "file name" in assert_problem(post(client, unnamed), 400, "bad-request")["detail"]
    assert_problem(post(client, form(), "/models", dtype="float64"), 400, "bad-request")
    assert_problem(post(client, form(model=b"")), 400, "bad-request")


def test_as_many_files_as_may_be_are_taken(client: httpx2.Client) -> None:
    """With far fewer descriptors than files: none stays open."""
    many = {f"{n}.bin": b"%d" % n for n in range(MOST_FILES)}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        response = post(client, form(b"of many", many))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert response.status_code == 202, response.text


def test_more_files_are_refused(client: httpx2.Client, settings: ServiceSettings) -> None:
    many = {f"{n}.bin": b"" for n in range(MOST_FILES + 2)}
    assert "parts" in assert_problem(post(client, form(data=many)), 400, "bad-request")["detail"]
    names = {f"{n:03}" + "n" * 240: b"" for n in range(500)}
    assert "characters" in assert_problem(post(client, form(data=names)), 400, "bad-request")["detail"]
    assert temporary_files(settings) == []


def test_all_data_together_are_under_one_limit(client: httpx2.Client, settings: ServiceSettings) -> None:
    half = bytes(settings.max_data_bytes // 2)
    assert post(client, form(b"just fits", {"a": half, "b": half})).status_code == 202
    for path in ("/erf", "/models"):
        problem = assert_problem(post(client, form(data={"a": half, "b": half, "c": b"1"}), path), 413, "too-large")
        assert problem["context"] == {"limit": settings.max_data_bytes}
    assert temporary_files(settings) == []
