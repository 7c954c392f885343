"""Bounds of what may be sent, through POST /erf: up to a limit it runs, beyond it a verdict that costs little."""

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.house.conftest import PATIENCE, House, wait_until
from tests.house.hostile_onnx import FILES
from tests.house.oversized_onnx import OVERSIZED, many_layers
from tests.house.test_hostile_onnx import Gauge, ended

MEMORY = 500 << 20  # what a job may use here: more of it would end in `resource-limit`
CPU_SECONDS = 2.0
BAD = OVERSIZED | FILES
LIMIT = 1 << 20  # of a JSON body (ERFSCOPE_MAX_JSON_BYTES)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = House(tmp_path_factory.mktemp("house"), ERFSCOPE_JOB_MEMORY_BYTES=str(MEMORY))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def http(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("name", BAD)
def test_verdict_costs_little(name: str, house: House, http: httpx2.Client) -> None:
    hostile, gauge = BAD[name], Gauge(house)
    job = ended(http, hostile.content(), **hostile.request)
    gauge.stop()
    hostile.check(job)
    assert max(gauge.seconds.values(), default=0.0) < CPU_SECONDS


def large_spec(size: int) -> dict[str, Any]:
    """A legal request of about so many bytes; the unit to be measured is in its first layer."""
    taps = [[y, x] for y in range(-16, 16) for x in range(-16, 16)]
    sparse = {"type": "sparse_conv", "out_channels": 1, "offsets": taps}
    first = {"type": "conv", "name": "first", "out_channels": 1, "kernel_size": 3, "padding": 1}
    count = math.floor((size - 1_000) / (len(compact(sparse)) + 1))
    architecture = {"input": {"channels": 1, "size": [8, 8]}, "layers": [first, *[sparse] * count]}
    return {"model": {"architecture": architecture}, "target": {"layer": "first"}, "average": {"inputs": 1}}


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def test_a_legal_spec_of_the_largest_size_runs(http: httpx2.Client) -> None:
    body = compact(large_spec(LIMIT))
    assert 0.98 * LIMIT < len(body) <= LIMIT
    accepted = http.post("/erf", content=body, headers={"Content-Type": "application/json"})
    assert accepted.status_code == 202, accepted.text
    job = wait_until("its end", lambda: unless_open(http.get(accepted.headers["Location"]).json()), 0.2)
    assert job["status"] == "succeeded", job["error"]
    assert job["attempt"] == 1
    assert job["result"]["trf"]["size"] == [3, 3]


def test_an_inspection_that_is_too_long_says_so(http: httpx2.Client) -> None:
    content = many_layers().SerializeToString()
    stored = http.post("/models", content=content, headers={"Content-Type": "application/onnx"})
    assert stored.status_code == 202, stored.text
    model = wait_until("its end", lambda: unless_open(http.get(stored.headers["Location"]).json()), 0.2)
    assert model["status"] == "failed"
    assert model["error"]["type"] == "/problems/resource-limit"
    assert "names are too long" in model["error"]["detail"]
    measured = ended(http, content, average={"inputs": 1})  # the same network can be measured
    assert measured["status"] == "succeeded", measured["error"]


def test_a_problem_with_long_names_is_told_all_the_same(http: httpx2.Client) -> None:
    job = ended(http, many_layers().SerializeToString(), target={"layer": "konv"})
    assert job["error"]["type"] == "/problems/invalid-target", job["error"]


def unless_open(job: dict[str, Any]) -> dict[str, Any] | None:
    """The job or model, once nothing is on its way."""
    return None if job["status"] in ("queued", "running") else job
