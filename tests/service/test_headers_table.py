"""docs/headers.md, row by row: what a header of a request does, and what a header of an answer says."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from tests.house.conftest import ROOT
from tests.service.conftest import TENANT, Worker, a_spec, assert_problem, running_service, sha256
from tests.service.test_models import BINARY, upload
from tests.service.test_series import a_sweep

from erfscope_jobs.records import Kind
from erfscope_service.settings import ServiceSettings

ROWS = re.findall(r"^\| `([^`|]+)` \| `([^`|]+)` \| ", (ROOT / "docs/headers.md").read_text("utf-8"), re.MULTILINE)
WAIT = {"Prefer": "wait=10"}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "erf": {},
    "advice": {"want": 24},
    "tiles": {"tile": 64},
    "fit": {"objects": [8]},
}
JOBS = tuple(BODIES)


@dataclass(frozen=True)
class Room:
    """A service, its settings, and hands that do a worker's work."""

    client: httpx2.Client
    worker: Worker
    settings: ServiceSettings

    def submit(self, job: str, name: str, **headers: str) -> httpx2.Response:
        return self.client.post(f"/{job}", json={**a_spec(name=name), **BODIES[job]}, headers=headers)

    def ended(self, name: str) -> str:
        """The address of a measurement that has succeeded."""
        job = self.submit("erf", name).json()
        if job["status"] != "succeeded":
            self.worker.measure(self.worker.claim(job["id"]))
        return str(job["links"]["self"])

    def held(self, ask: Callable[[], httpx2.Response], end: Callable[[], object]) -> httpx2.Response:
        """The answer to a call that waits while something is ended."""
        answers: list[httpx2.Response] = []
        caller = threading.Thread(target=lambda: answers.append(ask()))
        caller.start()
        end()
        caller.join()
        return answers[0]


def end_newest(room: Room) -> None:
    """Measure whatever was submitted last."""
    while not (queued := room.client.get("/jobs", params={"status": "queued", "page_size": 1}).json()["jobs"]):
        pass
    record = room.worker.claim(queued[0]["id"])
    room.worker.fail(record, "no-gradient", "ended")


def post_waits(room: Room) -> None:
    for job in JOBS:
        answer = room.held(lambda job=job: room.submit(job, f"posted {job}", **WAIT), lambda: end_newest(room))
        assert (answer.status_code, answer.json()["status"]) == (202, "failed")
        assert answer.headers["preference-applied"] == "wait=10"


def model_waits(room: Room) -> None:
    content = b"a model of the table that is waited for"
    posted = room.held(
        lambda: room.client.post("/models", content=content, headers=BINARY | WAIT),
        lambda: end_inspection(room, content),
    )
    assert (posted.status_code, posted.json()["status"]) == (202, "failed")
    path = f"/models/{sha256(content)}"
    again = room.held(lambda: room.client.post(path, headers=WAIT), lambda: end_inspection(room, content))
    looked = room.client.get(path, headers=WAIT)
    for answer in (posted, again, looked):
        assert answer.headers["preference-applied"] == "wait=10"


def end_inspection(room: Room, content: bytes) -> None:
    """Fail the inspection of a model once it is there."""
    while not (waiting := room.worker.ledger.next(Kind.INSPECT)):
        pass
    known = room.worker.ledger.find_upload(TENANT, "model", sha256(content))
    assert known is not None
    room.worker.fail(room.worker.claim(waiting), "invalid-model", "ended")


def series_waits(room: Room) -> None:
    body = {"sweep": a_sweep()["sweep"] | {"values": [3, 5]}, "x_label": "waits"}

    def end() -> None:
        end_newest(room)
        end_newest(room)

    answer = room.held(lambda: room.client.post("/series", json=body, headers=WAIT), end)
    assert (answer.status_code, answer.json()["status"]) == (202, "failed")
    assert answer.headers["preference-applied"] == "wait=10"


def get_waits(room: Room) -> None:
    for job in JOBS:
        address = room.submit(job, f"looked at {job}").json()["links"]["self"]
        answer = room.held(lambda address=address: room.client.get(address, headers=WAIT), lambda: end_newest(room))
        assert (answer.status_code, answer.json()["status"]) == (200, "failed")
        assert answer.headers["preference-applied"] == "wait=10"
    longest = room.settings.long_poll_seconds
    told = room.client.get(address, headers={"Prefer": "wait=999999"}).headers["preference-applied"]
    assert told == f"wait={longest:g}"


def job_is_repeated(room: Room) -> None:
    for job in JOBS:
        key = {"Idempotency-Key": f"table-{job}"}
        first = room.submit(job, "repeated", **key).json()["id"]
        assert room.submit(job, "repeated", **key).json()["id"] == first
        assert_problem(room.submit(job, "another", **key), 422, "idempotency-mismatch")


def series_is_repeated(room: Room) -> None:
    key = {"Idempotency-Key": "table-series"}
    first = room.client.post("/series", json=a_sweep(), headers=key).json()["id"]
    assert room.client.post("/series", json=a_sweep(), headers=key).json()["id"] == first
    assert_problem(room.client.post("/series", json=a_sweep(values=[1, 2]), headers=key), 422, "idempotency-mismatch")


def job_has_a_place(room: Room) -> None:
    for job in JOBS:
        answer = room.submit(job, "placed")
        assert answer.headers["location"] == answer.json()["links"]["self"] == f"/{job}/{answer.json()['id']}"


def job_says_when_to_look(room: Room) -> None:
    for job in JOBS:
        assert int(room.submit(job, "timed").headers["retry-after"]) >= 1


def job_is_not_modified(room: Room) -> None:
    not_modified(room, room.ended("held"))


def parts_are_not_modified(room: Room) -> None:
    address = room.ended("held")
    for part in ("heatmap.png", "map.npy", "report.html", "report.md"):
        not_modified(room, f"{address}/{part}")


def not_modified(room: Room, address: str) -> None:
    whole = room.client.get(address)
    assert not whole.headers["etag"].startswith("W/")
    again = room.client.get(address, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def events_go_on(room: Room) -> None:
    job = room.submit("erf", "followed").json()
    room.worker.measure(room.worker.claim(job["id"]))
    events = room.client.get(job["links"]["events"]).text
    last = re.findall(r"^id: (\S+)$", events, re.MULTILINE)[-1]
    assert room.client.get(job["links"]["events"], headers={"Last-Event-ID": "0-0"}).status_code == 200
    assert room.client.get(job["links"]["events"], headers={"Last-Event-ID": last}).status_code == 204


def upload_is_named(room: Room) -> None:
    assert upload(room.client, b"a model of the table", "dir/table.onnx").json()["name"] == "table.onnx"
    named = {"Content-Disposition": 'attachment; filename="table.png"'}
    room.client.post("/files", content=b"\x89PNG\r\n\x1a\n of the table", headers=BINARY | named)
    assert room.client.get("/files").json()["files"][0]["name"] == "table.png"


def compression_is_refused(room: Room) -> None:
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for path in ("/erf", "/series", "/advice", "/tiles", "/fit", "/models", "/files"):
        assert_problem(room.client.post(path, content=b"\x1f\x8b", headers=packed), 415, "unsupported-media-type")


def key_is_asked_for(room: Room) -> None:
    locked = room.settings.model_copy(update={"keys": "on", "namespace": "table-keys"})
    with running_service(locked) as url:
        for path in ("/erf", "/jobs", "/models", "/files", "/series", "/advice", "/usage"):
            refused = httpx2.get(f"{url}{path}", headers={"Authorization": "Bearer erf_wrong"})
            assert_problem(refused, 401, "unauthorized")
            assert refused.headers["www-authenticate"].startswith("Bearer")


def calls_are_counted(room: Room) -> None:
    limited = room.settings.model_copy(update={"rate_limit": "600/minute", "namespace": "table-rates"})
    with running_service(limited) as url:
        answer = httpx2.get(f"{url}/jobs")
    assert re.fullmatch(r'"default";r=599;t=\d+', answer.headers["ratelimit"])
    assert answer.headers["ratelimit-policy"] == '"default";q=600;w=60'
    assert "ratelimit" not in room.client.get("/jobs").headers


def request_is_named(room: Room) -> None:
    assert room.client.get("/health/live", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert room.client.get("/health/live").headers["x-request-id"]


def methods_are_told(room: Room) -> None:
    assert_problem(refused := room.client.put("/erf"), 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET, POST, HEAD"


CHECKS: Mapping[tuple[str, str], Callable[[Room], None]] = {
    ("POST /{job}", "Prefer: wait=10"): post_waits,
    ("POST /models", "Prefer: wait=10"): model_waits,
    ("POST /series", "Prefer: wait=10"): series_waits,
    ("GET /{job}/{id}", "Prefer: wait=10"): get_waits,
    ("POST /{job}", "Idempotency-Key"): job_is_repeated,
    ("POST /series", "Idempotency-Key"): series_is_repeated,
    ("POST /{job}", "Location"): job_has_a_place,
    ("POST /{job}", "Retry-After"): job_says_when_to_look,
    ("GET /erf/{id}", "If-None-Match"): job_is_not_modified,
    ("GET /erf/{id}/heatmap.png", "If-None-Match"): parts_are_not_modified,
    ("GET /erf/{id}/events", "Last-Event-ID"): events_go_on,
    ("POST /models", "Content-Disposition"): upload_is_named,
    ("POST *", "Content-Encoding"): compression_is_refused,
    ("*", "Authorization: Bearer"): key_is_asked_for,
    ("*", "RateLimit"): calls_are_counted,
    ("*", "X-Request-ID"): request_is_named,
    ("*", "Allow"): methods_are_told,
}


@pytest.fixture(scope="module")
def room(settings: ServiceSettings) -> Iterator[Room]:
    """A service of this module's own: what is queued here was submitted here."""
    from erfscope_jobs.blobs import BlobStore
    from erfscope_jobs.ledger import Ledger

    own = settings.model_copy(update={"namespace": "headers-table"})
    with running_service(own) as url, httpx2.Client(base_url=url, timeout=60) as client, Ledger(own) as ledger:
        worker = Worker(ledger, BlobStore(own.blobs))
        worker.advertise()
        yield Room(client, worker, own)


def test_every_row_has_a_check() -> None:
    assert set(ROWS) == set(CHECKS)
    assert len(ROWS) == len(CHECKS)


@pytest.mark.usefixtures("every_call_is_counted")
@pytest.mark.parametrize(("route", "header"), CHECKS)
def test_row(room: Room, route: str, header: str) -> None:
    for job in room.client.get("/jobs", params={"status": "queued", "page_size": 100}).json()["jobs"]:
        room.client.delete(job["links"]["self"])
    CHECKS[route, header](room)
