"""Hostile ONNX files through POST /erf: the right verdict, bounded memory and time, and a worker that goes on."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.house.conftest import PATIENCE, House
from tests.house.hostile_onnx import FILES, NAMES, Hostile, named

MEMORY = 4 << 30  # what a job may use at most (ERFSCOPE_JOB_MEMORY_BYTES), plus the imports of a child


class Gauge:
    """Watches the largest resident memory of the processes that run jobs, and the seconds of CPU of each."""

    def __init__(self, house: House) -> None:
        self.house, self.peak = house, 0
        self.seconds: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            children = self.house.children()
            self.peak = max([self.peak, *map(resident, children)])
            self.seconds |= {pid: spent for pid in children if (spent := cpu_seconds(pid))}

    def stop(self) -> int:
        """The peak, in bytes."""
        self._stop.set()
        self._thread.join()
        return self.peak


def resident(pid: int) -> int:
    """High-water mark of a process' resident memory; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, whatever else the machine does; 0 when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def http(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def gauge(house: House) -> Iterator[Gauge]:
    watching = Gauge(house)
    yield watching
    watching.stop()


def ended(http: httpx2.Client, content: bytes, **request: Any) -> dict[str, Any]:
    """The job of one file, once it has ended."""
    form = {"request": json.dumps(request)} if request else {}
    accepted = http.post("/erf", files={"model": ("model.onnx", content)}, data=form)
    assert accepted.status_code == 202, accepted.text
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        job: dict[str, Any] = http.get(accepted.headers["Location"], headers={"Prefer": "wait=5"}).json()
        if job["status"] not in ("queued", "running"):
            return job
    raise AssertionError("the job did not end")


def good(http: httpx2.Client, onnx_model: bytes, seed: int) -> None:
    """A good job that no cache can answer."""
    job = ended(http, onnx_model, average={"inputs": 1, "seed": seed})
    assert job["status"] == "succeeded", job["error"]
    assert not job["cached"]


@pytest.mark.parametrize("number", range(len(FILES)), ids=list(FILES))
def test_verdict(number: int, http: httpx2.Client, onnx_model: bytes) -> None:
    hostile: Hostile = list(FILES.values())[number]
    job = ended(http, hostile.content(), **hostile.request)
    hostile.check(job)
    assert job["timing"]["seconds"] < hostile.seconds
    good(http, onnx_model, 1000 + number)


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_names_are_inert(name: str, http: httpx2.Client) -> None:
    job = ended(http, named(name).SerializeToString(), average={"inputs": 1})
    if job["status"] == "succeeded":
        assert job["result"]["layer"]["name"] == name  # JSON carries it escaped; nothing else does
        assert http.get(job["links"]["heatmap"]).headers["Content-Type"] == "image/png"
    else:
        assert job["error"]["status"] == 422
        assert len(job["error"]["detail"]) < 2_000


def test_the_worker_has_lived_through_it(http: httpx2.Client, house: House, gauge: Gauge) -> None:
    assert http.get("/health/ready").json()["workers"] == 1
    assert house.process.poll() is None
    assert 0 < gauge.peak < MEMORY
