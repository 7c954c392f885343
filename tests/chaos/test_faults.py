"""Faults of a town without workers: jobs that wait, limits, a deadline, an upload that dies with its replica."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chaos.questions import spec
from tests.chaos.town import Town, wait_until

from erfscope_jobs.blobs import BlobStore


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """A store and one replica; nobody works."""
    with tempfile.TemporaryDirectory(prefix="town-", ignore_cleanup_errors=True) as folder:
        limits: dict[str, Any] = {"max_open_jobs_per_tenant": 3, "lease_seconds": 2.0}
        with Town(Path(folder), replicas=1, workers=0, **limits) as running:
            yield running


@pytest.fixture
def http(town: Town) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=town.urls[0], timeout=30, trust_env=False) as client:
        yield client


def submit(http: httpx2.Client, salt: str, inputs: int = 2) -> str:
    response = http.post("/erf", **spec(salt, depth=1, seed=0, inputs=inputs))
    assert response.status_code == 202, response.text
    id: str = response.json()["id"]
    return id


def ended(http: httpx2.Client, id: str) -> dict[str, Any]:
    """The job, once it is over."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(f"/erf/{id}").json()
        return None if job["status"] in ("queued", "running") else job

    found: dict[str, Any] = wait_until(f"job {id}", look)
    return found


def test_without_workers_jobs_wait_and_limits_are_told(town: Town, http: httpx2.Client) -> None:
    ready = http.get("/health/ready")
    assert (ready.status_code, ready.json()["workers"]) == (200, 0)
    ids = [submit(http, f"waiting-{i}") for i in range(3)]
    refused = http.post("/erf", **spec("one-too-many", depth=1, seed=0, inputs=2))
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert int(refused.headers["Retry-After"]) > 0
    assert {http.get(f"/erf/{id}").json()["status"] for id in ids} == {"queued"}
    for id in ids:
        http.delete(f"/erf/{id}")
    there_is_room = submit(http, "room-again")
    http.delete(f"/erf/{there_is_room}")


def test_without_workers_a_job_expires_at_its_deadline(town: Town) -> None:
    hasty = town.add_replica(ERFSCOPE_JOB_DEADLINE="1")
    with httpx2.Client(base_url=town.urls[-1], timeout=30, trust_env=False) as http:
        wait_until("the other replica", lambda: answers(http))
        job = ended(http, submit(http, "nobody-comes"))
        assert http.get("/health/ready").json()["workers"] == 0
    assert (job["status"], job["error"]["type"]) == ("expired", "/problems/deadline")
    hasty.stop()
    town.replicas.remove(hasty)
    town.ports.pop()


def answers(http: httpx2.Client) -> bool:
    try:
        return http.get("/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


def test_an_upload_that_is_killed_with_its_replica_leaves_no_record(town: Town, http: httpx2.Client) -> None:
    uploads = town.key("upload", "*")
    before = set(town.redis.scan_iter(uploads))
    with socket.create_connection(("127.0.0.1", town.ports[0])) as connection:
        head = "POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n"
        connection.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + bytes(3_000_000))
        temporary = town.settings.blobs / "tmp"
        wait_until("the beginning of a file", lambda: any(place.stat().st_size for place in temporary.iterdir()))
        town.replicas[0].kill()
    town.replicas[0].start()
    wait_until("the replica", lambda: answers(http))
    assert set(town.redis.scan_iter(uploads)) == before
    assert len(list(temporary.iterdir())) == 1
    assert BlobStore(town.settings.blobs).sweep_temporary(0) == 1
    assert not list(temporary.iterdir())
