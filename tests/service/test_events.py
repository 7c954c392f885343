"""GET /erf/{id}/events: snapshot first, replay after Last-Event-ID, the end, keep-alive, shutdown."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.service.conftest import Worker, a_spec, assert_problem, running_service, submit

from erfscope_service.settings import ServiceSettings


def read(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream, field by field, comments included."""
    event: dict[str, Any] = {}
    for line in response.iter_lines():
        if not line:
            yield event
            event = {}
            continue
        name, _, value = line.partition(": ")
        event[name or "comment"] = json.loads(value) if name == "data" else value


def test_a_stream_begins_with_a_snapshot_and_ends_with_the_job(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "followed")["id"]
    with client.stream("GET", f"/erf/{id}/events") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] in ("no-cache", "no-store")
        events = read(response)
        first = next(events)
        assert (first["event"], first["data"]["id"], first["data"]["status"]) == ("snapshot", id, "queued")
        record = worker.claim(id)
        worker.beat(record, "measure", 0.25)
        worker.beat(record, "measure", 0.75)
        worker.measure(record)
        rest = [event for event in events if "event" in event]
    *progress, end = rest
    assert [event["event"] for event in progress] == ["progress"] * len(progress)
    assert [event["data"]["progress"] for event in progress][-2:] == [0.25, 0.75]
    assert end["event"] == "end"
    assert end["data"] == client.get(f"/erf/{id}").json()
    ids = [event["id"] for event in (first, *rest)]
    assert len(set(ids)) == len(ids)


def test_a_lost_connection_goes_on_after_the_last_event(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "resumed")["id"]
    record = worker.claim(id)
    with client.stream("GET", f"/erf/{id}/events") as response:
        last = next(read(response))["id"]
    worker.beat(record, "measure", 0.5)
    worker.measure(record)
    with client.stream("GET", f"/erf/{id}/events", headers={"Last-Event-ID": last}) as response:
        events = list(read(response))
    assert [event["event"] for event in events] == ["progress", "end"]
    assert events[0]["data"]["progress"] == 0.5


@pytest.mark.parametrize("last", ["nonsense", "-1", "1-2-3", "9" * 30 + "-0", "9" * 20 + "-0"])
def test_a_foreign_last_event_id_starts_anew(client: httpx2.Client, last: str) -> None:
    id = submit(client, "anew")["id"]
    client.delete(f"/erf/{id}")
    with client.stream("GET", f"/erf/{id}/events", headers={"Last-Event-ID": last}) as response:
        assert [event["event"] for event in read(response)] == ["snapshot", "end"]


def test_a_browser_that_has_seen_the_end_is_told_to_stop(client: httpx2.Client) -> None:
    id = submit(client, "ended")["id"]
    client.delete(f"/erf/{id}")
    with client.stream("GET", f"/erf/{id}/events") as response:
        snapshot, end = read(response)
    assert (snapshot["id"], snapshot["data"]["status"]) == (end["id"], "canceled"), (
        "a job that had ended: either is the end"
    )
    response = client.get(f"/erf/{id}/events", headers={"Last-Event-ID": end["id"]})
    assert (response.status_code, response.content) == (204, b"")


def test_an_idle_stream_is_kept_alive(client: httpx2.Client) -> None:
    id = submit(client, "idle")["id"]
    with client.stream("GET", f"/erf/{id}/events") as response:
        events = read(response)
        assert next(events)["event"] == "snapshot"
        assert next(events) == {"comment": "keep-alive"}


def test_an_unknown_job_has_no_stream(client: httpx2.Client) -> None:
    assert_problem(client.get("/erf/nobody/events"), 404, "not-found")


def test_a_server_that_stops_ends_its_streams(settings: ServiceSettings) -> None:
    with httpx2.Client(timeout=30) as client:
        with running_service(settings) as url:
            id = client.post(f"{url}/erf", json=a_spec(name="stopped")).json()["id"]
            response = client.send(client.build_request("GET", f"{url}/erf/{id}/events"), stream=True)
            events = read(response)
            assert next(events)["event"] == "snapshot"
        assert all("event" not in event for event in events), "the stream ends in order, without an event"
        response.close()
