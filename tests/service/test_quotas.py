"""Quotas and watermarks at the edge: /usage tells them, and what is refused is refused before its body is read."""

import asyncio
import hashlib
import json
import socket
from collections.abc import Iterator

import httpx2
import pytest
from tests.service.conftest import Worker, assert_problem, running_service, send_form, submit

from erfscope import AsyncClient, Client
from erfscope_service.settings import ServiceSettings

PNG = b"\x89PNG\r\n\x1a\n"
LIMITS = {"max_model_bytes_per_tenant": 3000, "max_file_bytes_per_tenant": 1000, "max_jobs_per_tenant": 4}


@pytest.fixture
def tight(settings: ServiceSettings) -> Iterator[str]:
    """A service of its own with small quotas; its address."""
    with running_service(settings.model_copy(update=LIMITS | {"namespace": "tight"})) as url:
        yield url


@pytest.fixture
def http(tight: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=tight, timeout=30) as client:
        yield client


def test_usage_is_told_with_its_limits(http: httpx2.Client, tight: str) -> None:
    assert http.post("/files", content=PNG + b"x" * 92).status_code == 201
    told = http.get("/usage").json()
    assert told["tenant"] == "public"
    assert told["image_bytes"] == {"used": 100, "limit": 1000}
    assert set(told) == {"tenant", "model_bytes", "image_bytes", "result_bytes", "jobs", "open_jobs"}
    with Client(tight) as client:
        assert client.usage().image_bytes.used == 100


async def _usage(url: str) -> int:
    async with AsyncClient(url) as client:
        return (await client.usage()).image_bytes.limit


def test_usage_of_the_asynchronous_client(tight: str) -> None:
    assert asyncio.run(_usage(tight)) == LIMITS["max_file_bytes_per_tenant"]


def test_what_is_beyond_a_quota_is_refused(http: httpx2.Client) -> None:
    assert http.post("/models", content=b"m" * 2000).status_code == 202
    for beyond in (http.post("/models", content=b"n" * 2000), send_form(http, b"n" * 2000)):
        problem = assert_problem(beyond, 403, "quota-exceeded")
        assert "DELETE /models" in problem["detail"]
        assert problem["context"]["limit"] == 3000
    sha256 = hashlib.sha256(b"m" * 2000).hexdigest()
    assert http.delete(f"/models/{sha256}").status_code == 204
    assert http.post("/models", content=b"n" * 2000).status_code == 202


def test_deleted_images_make_room(http: httpx2.Client) -> None:
    first, second = (PNG + letter * 800 for letter in (b"a", b"b"))
    assert http.post("/files", content=first).status_code == 201
    assert "DELETE /files" in assert_problem(http.post("/files", content=second), 403, "quota-exceeded")["detail"]
    path = f"/files/{hashlib.sha256(first).hexdigest()}"
    assert http.delete(path).status_code == 204
    assert_problem(http.delete(path), 404, "not-found")
    assert http.post("/files", content=second).status_code == 201


def test_a_body_beyond_the_quota_is_not_read(tight: str, http: httpx2.Client) -> None:
    host, port = tight.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST /files HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 403")


def test_stored_jobs_are_bounded(http: httpx2.Client) -> None:
    stored = http.get("/usage").json()["jobs"]["used"]
    for n in range(LIMITS["max_jobs_per_tenant"] - stored):
        submit(http, f"job {n}")
    spec = {"layers": [{"type": "relu"}]}
    response = http.post("/erf", json={"model": {"architecture": spec}})
    assert "stored jobs" in assert_problem(response, 403, "quota-exceeded")["detail"]


def test_above_the_disks_watermark_no_file_and_no_work_is_taken(settings: ServiceSettings) -> None:
    changed = settings.model_copy(update={"disk_watermark": 1e-9, "namespace": "disk"})
    with running_service(changed) as url, httpx2.Client(base_url=url, timeout=30) as client:
        spec = {"model": {"architecture": {"layers": [{"type": "relu"}]}}}
        for response in (
            client.post("/models", content=b"x"),
            client.post("/files", content=PNG + b"x" * 20),
            client.post("/erf", json=spec),
            send_form(client, b"x"),
            client.post("/advice", json=spec | {"want": 9}),
        ):
            problem = assert_problem(response, 503, "unavailable")
            assert "no room left" in problem["detail"]
            assert response.headers["retry-after"] == "30"
        assert client.get("/usage").status_code == 200


def test_cancel_answers_what_the_script_did(client: httpx2.Client, worker: Worker) -> None:
    """The look before it is not asked: a job that ends in between was not canceled by this call."""
    job = submit(client, "ends meanwhile")
    record = worker.claim(job["id"])
    worker.measure(record)
    assert client.delete(job["links"]["self"]).status_code == 200
    other = submit(client, "canceled")
    assert client.delete(other["links"]["self"]).status_code == 202
    assert client.delete(other["links"]["self"]).status_code == 200


def test_a_result_that_cannot_be_read_is_a_problem_of_its_name(client: httpx2.Client, worker: Worker) -> None:
    job = submit(client, "unreadable")
    record = worker.claim(job["id"])
    worker.succeed(record, json.dumps({"version": "from another world"}).encode())
    links = job["links"]
    for path in (links["self"], links["heatmap"], f"{links['self']}/report.html"):
        problem = assert_problem(client.get(path), 410, "unreadable-result")
        assert "submit the request again" in problem["detail"]
    assert client.get("/erf").status_code == 200
    assert client.delete(links["self"], params={"purge": "true"}).status_code == 204


def test_a_map_that_cannot_be_read_is_a_problem_of_its_name(client: httpx2.Client, worker: Worker) -> None:
    job = submit(client, "damaged map")
    record = worker.claim(job["id"])
    answer = worker.measure(record)
    path = worker.blobs.place(answer.arrays["map"])
    whole = path.read_bytes()
    try:
        path.write_bytes(b"not an array")
        for query in ("", "?scale=log"):
            where = job["links"]["map"] if not query else job["links"]["heatmap"] + query
            assert_problem(client.get(where), 410, "unreadable-result")
    finally:
        path.write_bytes(whole)  # other tests have the same map
