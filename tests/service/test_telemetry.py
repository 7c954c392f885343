"""What is seen of requests from outside: log lines with ids, metrics by route, HEAD, bounded streams."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.service.conftest import Worker, a_result, a_spec, assert_problem, eventually, running_service, submit

from erfscope_contract.job import Timing
from erfscope_jobs import key_log, keys, log
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer
from erfscope_service.settings import ServiceSettings

OURS = ("erfscope_service", "erfscope_jobs.audit")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the root logger writes, as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log.JsonLine())
    handler.addFilter(lambda record: record.name.startswith(OURS))  # the test's own client logs as well
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_request_is_one_line_with_its_ids(client: httpx2.Client, lines: io.StringIO) -> None:
    id = submit(client, "logged")["id"]
    client.get("/erf", params={"page_token": "7777777"})
    client.get(f"/erf/{id}", headers={"X-Request-ID": "trace-7"})
    line = eventually(
        lambda: next((found for found in map(json.loads, lines.getvalue().splitlines())
                      if found.get("request_id") == "trace-7"), None)
    )  # fmt: skip
    assert line["message"] == f"GET /erf/{id}"
    assert (line["status"], line["job"], line["tenant"]) == (200, id, "public")
    assert line["seconds"] >= 0
    posted = next(found for found in map(json.loads, lines.getvalue().splitlines()) if found["message"] == "POST /erf")
    assert posted["job"] == id
    assert "7777777" not in lines.getvalue(), "queries stay out of the log"


def test_lines_tell_who_calls_and_with_which_key(settings: ServiceSettings, lines: io.StringIO) -> None:
    space = "callers"
    asked = settings.model_copy(update={"namespace": space, "keys": "on", "trusted_proxies": "127.0.0.0/8"})
    (first, text), (second, other) = keys.issue("first", "lab"), keys.issue("second", "lab")

    def written(path: str) -> dict[str, Any]:
        def line() -> dict[str, Any] | None:
            every = map(json.loads, lines.getvalue().splitlines())
            return next((one for one in every if one["message"] == path), None)

        seen: dict[str, Any] = eventually(line)
        return seen

    with running_service(asked) as url, Ledger(asked) as ledger, httpx2.Client(base_url=url) as client:
        for key in (first, second):
            ledger.run(keys.add(space, key))
        for path, token in (("/usage", text), ("/jobs", other), ("/erf", "")):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            client.get(path, headers={"X-Forwarded-For": "192.0.2.7", **headers})
        answers = {path: written(f"GET {path}") for path in ("/usage", "/jobs", "/erf")}
        client.get("/usage", headers={"Authorization": f"Bearer {text.replace(first.id, 'f' * 12)}"})
        assert {line["client"] for line in answers.values()} == {"192.0.2.7"}
        assert [(line["status"], line.get("key"), line.get("tenant")) for line in answers.values()] == [
            (200, first.id, "lab"),
            (200, second.id, "lab"),
            (401, None, None),
        ]
        eventually(lambda: '"key": "ffffffffffff"' in lines.getvalue())  # a refused call names the key that it claims
        assert ledger.run(key_log.last_use(space, first.id))
        assert text.rsplit("_", 1)[1] not in lines.getvalue()


def test_a_service_logs_keys_that_a_command_makes_and_revokes(settings: ServiceSettings, lines: io.StringIO) -> None:
    noted = settings.model_copy(update={"namespace": "audited"})
    key, _ = keys.issue("ci", "lab")
    with running_service(noted), Ledger(noted) as ledger:
        for event in ("created", "revoked"):
            for call in key_log.leave("audited", key_log.KeyNote.of(event, key)):
                ledger.run(call)
        eventually(lambda: "key revoked" in lines.getvalue())
    every = map(json.loads, lines.getvalue().splitlines())
    audits = [line for line in every if line["logger"] == "erfscope_jobs.audit"]
    assert [line["message"] for line in audits] == ["key created", "key revoked"]
    assert {(line["key"], line["name"], line["tenant"], line["scope"]) for line in audits} == {
        (key.id, "ci", "lab", "jobs")
    }
    assert all(line["by"].startswith("uid ") and line["at"] for line in audits)


def test_lines_name_series_and_advice_too(client: httpx2.Client, lines: io.StringIO) -> None:
    sweep = {"sweep": {**a_spec()["model"], "parameters": ["/layers/0/out_channels"], "values": [1, 2]}}
    ids = {
        "series": client.post("/series", json=sweep).json()["id"],
        "job": client.post("/advice", json={**a_spec(name="logged"), "want": 9}).json()["id"],
    }
    assert client.get(f"/series/{ids['series']}").status_code == 200
    found = eventually(
        lambda: (
            (told := [json.loads(text) for text in lines.getvalue().splitlines()])
            and any(line["message"].startswith("GET /series") for line in told)
            and told
        )
    )
    named = {line["message"].split("/")[0] + name: line.get(name) for line in found for name in ids if name in line}
    assert named == {"POST series": ids["series"], "POST job": ids["job"], "GET series": ids["series"]}


def test_a_refusal_says_its_kind_in_its_line(client: httpx2.Client, lines: io.StringIO) -> None:
    client.get("/erf/nobody%0d%0aforged%1b[2J%E2%80%AE")
    line = eventually(
        lambda: [json.loads(text) for text in lines.getvalue().splitlines() if "GET /erf/nobody" in text]
    )[0]
    assert (line["status"], line["problem"]) == (404, "not-found")
    assert lines.getvalue().isascii()


def test_metrics_know_routes_and_refusals(client: httpx2.Client) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    look = 'erfscope_request_seconds_count{method="GET",route="/erf/{id}",status="404"}'
    nowhere = 'erfscope_request_seconds_count{method="GET",route="none",status="404"}'
    refused = 'erfscope_rejections_total{kind="not-found"}'
    before = [value(name) for name in (look, nowhere, refused)]
    assert client.get("/erf/nobody").status_code == 404
    assert client.get("/no/such/place").status_code == 404
    assert [value(name) for name in (look, nowhere, refused)] == [before[0] + 1, before[1] + 1, before[2] + 2]


def test_metrics_know_how_long_stages_took(client: httpx2.Client, worker: Worker) -> None:
    def values() -> dict[str, float]:
        lines = re.findall(r'^.*stage="(?:search|verify)".*$', client.get("/metrics").text, re.MULTILINE)
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    assert values() == {}, "no other test has such stages"
    for seconds in (0.02, 0.05, 7.5, 1000.0):
        record = worker.claim(submit(client, f"took {seconds}")["id"])
        answer = Answer(record.question, a_result())
        timing = Timing(seconds=seconds, stages={"search": seconds, "verify": 0.3, "of a stranger": 1.0})
        assert worker.ledger.finish(record.id, record.attempt, answer, timing)
    found = values()
    for bound, count in {"0.05": 2, "0.1": 2, "5": 2, "10": 3, "900": 3, "+Inf": 4}.items():
        assert found[f'erfscope_stage_seconds_bucket{{le="{bound}",stage="search"}}'] == count
    assert found['erfscope_stage_seconds_count{stage="search"}'] == 4
    assert found['erfscope_stage_seconds_sum{stage="search"}'] == pytest.approx(1007.57)
    assert found['erfscope_stage_seconds_sum{stage="verify"}'] == pytest.approx(1.2)
    assert "stranger" not in client.get("/metrics").text
    assert not [name for name in worker.ledger.pulse().tally if "stranger" in name]


def test_metrics_do_not_grow_with_what_strangers_ask_for(client: httpx2.Client) -> None:
    for n in range(3):
        assert client.request(f"STRANGE{n}", f"/nowhere/{n}").status_code in (404, 405)
    text = client.get("/metrics").text
    assert "STRANGE" not in text
    assert 'method="none"' in text


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/metrics", "/schemas/request", "/erf"]
)
def test_head_is_get_without_a_body(client: httpx2.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "cache-control", "etag"):
        assert head.headers.get(name) == get.headers.get(name)


def test_head_of_a_job_and_its_parts(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "headed")["id"]
    worker.measure(worker.claim(id))
    for part in ("", "/heatmap.png", "/map.npy", "/events"):
        head = client.head(f"/erf/{id}{part}")
        assert (head.status_code, head.content) == (200, b"")
    length = client.head(f"/erf/{id}/map.npy").headers["content-length"]
    assert int(length) == len(client.get(f"/erf/{id}/map.npy").content)


def test_head_of_a_stream_that_goes_on_ends(client: httpx2.Client) -> None:
    id = submit(client, "headed stream")["id"]
    head = client.head(f"/erf/{id}/events")
    assert (head.status_code, head.content) == (200, b"")
    watched = re.compile(r"^erfscope_watchers 0\.0$", re.MULTILINE)
    assert eventually(lambda: watched.search(client.get("/metrics").text))


def test_head_of_what_is_not_there_or_not_read(client: httpx2.Client) -> None:
    assert client.head("/erf/nobody").status_code == 404
    assert client.head("/models").status_code == 200  # what can be listed
    assert client.put("/erf").headers["allow"].replace(" ", "").split(",") == ["GET", "POST", "HEAD"]


def test_the_browsers_icon_is_there(client: httpx2.Client) -> None:
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


def test_streams_are_bounded(settings: ServiceSettings, tmp_path: Path) -> None:
    few = settings.model_copy(update={"max_streams": 1, "namespace": "few-streams", "data_dir": tmp_path})
    with running_service(few) as url, httpx2.Client(base_url=url, timeout=30) as client:
        id = client.post("/erf", json=a_spec(name="crowded")).json()["id"]
        with client.stream("GET", f"/erf/{id}/events") as first:
            watching = first.iter_lines()
            assert next(watching) == "event: snapshot"
            eventually(lambda: "erfscope_watchers 1.0" in client.get("/metrics").text)
            response = client.get(f"/erf/{id}/events")
            assert_problem(response, 503, "unavailable")
            assert int(response.headers["retry-after"]) >= 1
            look = client.get(f"/erf/{id}", headers={"Prefer": "wait=20"})
            assert look.json()["status"] == "queued", "a long poll does not wait then"
        eventually(lambda: "erfscope_watchers 0.0" in client.get("/metrics").text)
        with client.stream("GET", f"/erf/{id}/events") as again:
            assert again.status_code == 200
