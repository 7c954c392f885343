"""A job that is shared by workers: kills in between, and the bytes of one worker alone."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from erfscope_contract.job import Status
from erfscope_jobs.records import Kind, Record, Submission
from erfscope_jobs.settings import Settings

CHANGED = {"namespace", "runner", "shard_seconds", "job_seconds"}
CONV = {"type": "conv", "out_channels": 16, "kernel_size": 3, "padding": "same"}


def asked(seed: int = 0) -> dict[str, Any]:
    """Some seconds of samples."""
    layers: list[dict[str, Any]] = []
    for n in range(5):
        layers += [{**CONV, "name": f"conv{n}"}, {"type": "relu", "name": f"relu{n}"}]
    model = {"name": "five", "input": {"channels": 3, "size": [96, 96]}, "layers": layers}
    return {"model": {"architecture": model}, "average": {"inputs": 10_000, "seed": seed}}


@pytest.fixture(scope="module")
def shared(settings: Settings) -> Settings:
    """Workers that measure, and split what takes longer than half a second."""
    return settings.model_copy(
        update={
            "namespace": "shards",
            "runner": "erfscope_worker.runner:run",
            "shard_seconds": 0.5,
            "job_seconds": 120.0,
        }
    )


@pytest.fixture(scope="module")
def replicas(shared: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[httpx2.Client]]:
    """Two API processes on one store."""
    log = tmp_path_factory.mktemp("api") / "log"
    fields = shared.model_dump(mode="json", exclude_none=True)
    processes, clients = [], []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        variables = {f"ERFSCOPE_{name.upper()}": str(value) for name, value in fields.items()}
        command = [sys.executable, "-m", "erfscope_service"]
        with log.open("ab") as sink:
            process = subprocess.Popen(
                command, env={**os.environ, **variables, "ERFSCOPE_PORT": str(port)}, stderr=sink
            )
        processes.append(process)
        clients.append(httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0))
    yield clients
    for client, process in zip(clients, processes, strict=True):
        client.close()
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def workers(start_worker: Any, shared: Settings) -> Iterator[list[Any]]:
    """Three, started at once, for each imports torch for seconds."""
    changes = shared.model_dump(include=CHANGED)
    with ThreadPoolExecutor(3) as pool:
        started = list(pool.map(lambda _: start_worker(**changes), range(3)))
    yield started
    for worker in started:
        worker.close()


def measured_in_one_piece(shop: Any) -> Record:
    """The same measurement by one worker, marked as one that must not be split."""
    payload = json.dumps({"request": asked(), "model": None, "images": None, "name": "five"})
    id = shop.ledger.submit(Submission(Kind.ERF, "public", payload, "asked otherwise")).record.id
    shop.ledger._client(0.0).hset(f"shards:job:{id}", "whole", 1)
    shop.doorbell.ring(id, Kind.ERF)
    record: Record = shop.succeeded(id, seconds=60)
    return record


def is_up(client: httpx2.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


def sampling(shop: Any, id: str) -> set[str]:
    """Workers that hold a shard now."""
    holders = set()
    for n in range(1, 9):
        status, holder, stage = shop.ledger._client(0.0).hmget(f"shards:job:{id}.{n}", "status", "worker", "stage")
        if status == b"running" and stage == b"measure":
            holders.add(holder.decode())
    return holders


def test_cancel_kills_every_shard_within_two_seconds(
    shop: Any, shared: Settings, replicas: list[httpx2.Client], workers: list[Any]
) -> None:
    other = type(shop)(shared)
    first, second = replicas
    shop.eventually(lambda: is_up(first) and is_up(second))
    id = first.post("/erf", json=asked(seed=1)).json()["id"]
    shop.eventually(lambda: len(sampling(other, id)) == 3)
    zygotes = [pid for worker in workers for pid in worker.descendants()]
    children = [pid for zygote in zygotes for pid in shop.descendants(zygote)]
    assert len(children) == 3
    assert second.delete(f"/erf/{id}").json()["status"] == "canceled"
    shop.eventually(lambda: not any(map(shop.is_alive, children)), seconds=2)
    assert other.ledger.pulse().open == 0
    other.close()


def test_one_of_three_workers_killed_mid_shard(
    shop: Any, shared: Settings, replicas: list[httpx2.Client], workers: list[Any]
) -> None:
    other = type(shop)(shared)
    first, second = replicas
    shop.eventually(lambda: is_up(first) and is_up(second))
    id = first.post("/erf", json=asked()).json()["id"]
    holders = shop.eventually(lambda: len(found := sampling(other, id)) == 3 and found)
    pids = {info.name: info.pid for info in other.ledger.workers()}
    victim = next(worker for worker in workers if worker.process.pid == pids[sorted(holders)[0]])
    below = victim.descendants()
    victim.kill()
    shop.eventually(lambda: not any(map(shop.is_alive, below)), seconds=5)
    record = other.ended(id, seconds=60)
    assert record.status is Status.SUCCEEDED, record.problem
    split = other.ledger.pulse().tally["split"]
    alone = measured_in_one_piece(other)
    assert other.ledger.pulse().tally["split"] == split
    assert (record.result, record.arrays) == (alone.result, alone.arrays)
    assert second.get(f"/erf/{id}").json()["status"] == "succeeded"
    stored = other.store.path(alone.arrays["map"])
    assert second.get(f"/erf/{id}/map.npy").content == stored.read_bytes()
    other.close()
