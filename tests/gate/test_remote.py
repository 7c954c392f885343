"""The gate and a service that misbehaves: scripted, because a real one does not fail on request."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.conftest import Reply, Service, front, job_json, problem_json, service, succeeded
from tests.gate.conftest import Check, installed_environment, spec

__all__ = ["front", "service"]  # fixtures of the client's tests

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _two_models(write: Write) -> None:
    for name in ("a", "b"):
        write(f"{name}.json", spec(name=name))
    write("erfscope.toml", '[[check]]\nmodel = "?.json"\nerf_size = { min = 3 }\n')


def accept_both(service: Service) -> None:
    service.on("POST /erf", Reply(202, job_json("job-1")), Reply(202, job_json("job-2")))


def test_all_are_submitted_before_one_is_waited_for(check: Check, service: Service) -> None:
    accept_both(service)
    for job in ("job-1", "job-2"):
        service.on(f"GET /erf/{job}/events", Reply(chunks=[f"data: {json.dumps(succeeded(job))}\n\n"]))
        service.on(f"GET /erf/{job}", Reply(body=succeeded(job)))
    done = check("--url", service.url, "--no-cache")
    assert done.code == 0, done.out
    assert done.words.count("3.50 ± 0.12 px") == 2
    assert service.paths()[:2] == ["POST /erf", "POST /erf"]
    assert not [path for path in service.paths() if path.startswith("DELETE")]


def test_a_job_that_fails_does_not_hide_the_other(check: Check, service: Service) -> None:
    accept_both(service)
    failed = job_json("job-1", status="failed", error=problem_json("worker-crash", "it died three times"))
    service.on("GET /erf/job-1/events", Reply(chunks=[f"data: {json.dumps(failed)}\n\n"]))
    service.on("GET /erf/job-1", Reply(body=failed))
    service.on("GET /erf/job-2/events", Reply(chunks=[f"data: {json.dumps(succeeded('job-2'))}\n\n"]))
    service.on("GET /erf/job-2", Reply(body=succeeded("job-2")))
    done = check("--url", service.url, "--no-cache")
    assert done.code == 3
    assert "it died three times" in done.words
    assert "1 passed, 1 broken; 1 measured" in done.words


@pytest.mark.parametrize(("kind", "status", "code"), [("unauthorized", 401, 3), ("invalid-request", 422, 2)])
def test_what_is_refused(check: Check, service: Service, kind: str, status: int, code: int) -> None:
    service.on("POST /erf", Reply(status, problem_json(kind, "these are the words")))
    done = check("--url", service.url, "--no-cache")
    assert done.code == code
    assert "these are the words" in done.words


def test_ctrl_c_cancels_what_nobody_waits_for(service: Service) -> None:
    accept_both(service)
    service.on("GET /erf/job-1/events", Reply(503, problem_json("unavailable", "wait"), {"retry-after": "30"}))
    for job in ("job-1", "job-2"):
        service.on(f"DELETE /erf/{job}", Reply(202, job_json(job, status="canceled")))
    command = [sys.executable, "-m", "erfscope", "check", "--no-cache", "--url", service.url]
    with subprocess.Popen(command, env=installed_environment(), stderr=subprocess.PIPE, text=True) as process:
        while "GET /erf/job-1/events" not in service.paths():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert sorted(service.paths()[-2:]) == ["DELETE /erf/job-1", "DELETE /erf/job-2"]
    assert "Traceback" not in said


def healthy(version: str) -> Reply:
    return Reply(body={"status": "ready", "redis": True, "blobs": True, "workers": 1, "version": version})


@pytest.fixture
def answering(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that has answered both questions, which lie in the cache now."""
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(tmp_path / "cache"))
    accept_both(service)
    for job in ("job-1", "job-2"):
        service.on(f"GET /erf/{job}/events", Reply(chunks=[f"data: {json.dumps(succeeded(job))}\n\n"]))
        service.on(f"GET /erf/{job}", Reply(body=succeeded(job)))
    service.on("GET /health/ready", healthy("1.0"))
    return service


def test_the_cache_answers_for_the_same_version_of_a_service(check: Check, answering: Service) -> None:
    assert check("--url", answering.url).code == 0
    answering.seen.clear()
    done = check("--url", answering.url)
    assert (done.code, answering.paths()) == (0, ["GET /health/ready"])
    assert "0 measured, 2 from the cache" in done.words


def test_a_service_that_was_upgraded_is_asked_anew(check: Check, answering: Service) -> None:
    check("--url", answering.url)
    answering.seen.clear()
    answering.on("GET /health/ready", healthy("1.1"))
    accept_both(answering)
    done = check("--url", answering.url)
    assert (done.code, answering.paths().count("POST /erf")) == (0, 2)
    assert "2 measured, 0 from the cache" in done.words


def test_a_service_that_is_stopped_does_not_pass_from_the_cache(check: Check, answering: Service) -> None:
    check("--url", answering.url)
    answering.on("GET /health/ready", Reply(503, problem_json("unavailable", "it is stopped"), {"retry-after": "3600"}))
    done = check("--url", answering.url)
    assert done.code == 3
    assert "it is stopped" in done.words
