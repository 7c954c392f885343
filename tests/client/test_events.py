"""Following a job over connections that break."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from erfscope import Status, errors

from .conftest import Reply, Service, job_json, problem_json, succeeded

EVENTS = "GET /erf/job-1/events"


def event(id: str, data: dict[str, Any], name: str = "progress") -> str:
    return f"event: {name}\nid: {id}\ndata: {json.dumps(data)}\n\n"


SNAPSHOT = event("1-0", job_json(status="running", stage="load", progress=0.1), "snapshot")


@pytest.fixture
def job(client: Any, service: Service) -> Any:
    service.on("GET /erf/job-1", Reply(body=job_json()))
    return client.job("job-1")


def test_changes_are_merged_over_the_snapshot(job: Any, service: Service) -> None:
    progress = event("2-0", {"status": "running", "stage": "measure", "progress": 0.5, "attempt": 2})
    end = event("3-0", succeeded(), "end")
    service.on(EVENTS, Reply(chunks=[": keep-alive\n\n", SNAPSHOT, progress, end]))
    seen = list(job.events())
    assert [(j.stage, j.progress, j.attempt) for j in seen] == [
        ("load", 0.1, 0),
        ("measure", 0.5, 2),
        ("measure", 1.0, 2),
    ]
    assert seen[1].model.name == "net.onnx"
    assert seen[-1].result is not None
    assert job.status is Status.SUCCEEDED


def test_a_cut_stream_is_taken_up_where_it_broke(job: Any, service: Service) -> None:
    half = event("2-0", {"status": "running", "stage": "measure", "progress": 0.5})
    first = Reply(chunks=[SNAPSHOT, half, "data: {half an ev"], cut=True)
    busy = Reply(503, problem_json("unavailable", "restarting"), {"retry-after": "0"})
    rest = Reply(chunks=[event("3-0", {"status": "canceled"})])
    service.on(EVENTS, first, busy, rest)
    assert [j.status for j in job.events()] == [Status.RUNNING, Status.RUNNING, Status.CANCELED]
    asked = [request.headers.get("last-event-id") for request in service.seen[1:]]
    assert asked == [None, "2-0", "2-0"]


def test_a_stream_that_ends_early_is_taken_up(job: Any, service: Service) -> None:
    service.on(
        EVENTS, Reply(chunks=[SNAPSHOT]), Reply(chunks=[": nothing new\n\n"]), Reply(chunks=[event("9-0", succeeded())])
    )
    assert [j.progress for j in job.events()] == [0.1, 1.0]
    assert [request.headers.get("last-event-id") for request in service.seen[1:]] == [None, "1-0", "1-0"]


def test_what_cannot_be_followed_is_raised(job: Any, service: Service) -> None:
    service.on(EVENTS, Reply(404, problem_json("not-found", "no such job")))
    with pytest.raises(errors.APIError, match="no such job"):
        list(job.events())
    assert len(service.seen) == 2


def test_a_service_that_stays_away(connect: Callable[..., Any], service: Service) -> None:
    service.on("GET /erf/job-1", Reply(body=job_json()))
    service.on(EVENTS, Reply(chunks=[SNAPSHOT], cut=True), Reply(chunks=[], cut=True))
    job = connect(service.url, retries=1).job("job-1")
    with pytest.raises(errors.ConnectionFailed):
        list(job.events())


def test_something_else_than_events(connect: Callable[..., Any], service: Service) -> None:
    service.on("GET /erf/job-1", Reply(body=job_json()))
    service.on(EVENTS, Reply(body={"hello": 1}))
    with pytest.raises(errors.ConnectionFailed, match="event-stream"):
        list(connect(service.url, retries=0).job("job-1").events())


def test_a_stream_without_snapshot(job: Any, service: Service) -> None:
    service.on(EVENTS, Reply(chunks=[event("1-0", {"status": "running"})]))
    with pytest.raises(errors.APIError, match="created_at"):
        list(job.events())


@pytest.mark.parametrize("data", ["{half", "[1]", "7", '{"status": "dancing"}'])
def test_an_event_that_is_no_job(job: Any, service: Service, data: str) -> None:
    service.on(EVENTS, Reply(chunks=[SNAPSHOT, f"data: {data}\n\n"]))
    with pytest.raises(errors.APIError, match="an event of job job-1 cannot be read"):
        list(job.events())


def test_a_result_of_megabytes_in_one_event(job: Any, service: Service) -> None:
    done = succeeded()
    done["result"]["provenance"]["notes"] = ["x" * (3 << 20)]
    service.on(EVENTS, Reply(chunks=[event("1-0", done)]))
    assert [now.status for now in job.events()] == [Status.SUCCEEDED]
