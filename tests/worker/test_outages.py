"""What a worker writes to fails: nothing is lost, nothing half-written is called an answer, and it recovers unaided."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.disks import mounted

from erfscope_contract.job import Status
from erfscope_jobs.reaper import Reaper
from erfscope_jobs.remote import open_store
from erfscope_jobs.settings import Settings


@pytest.fixture(scope="module")
def reaper(settings: Settings) -> Iterator[Reaper]:
    """As each API replica runs one."""
    reaper = Reaper(settings)
    reaper.start()
    yield reaper
    reaper.stop()


@pytest.fixture(scope="module")
def worker(start_worker: Any) -> Any:
    """Its clock is wrong, which must change nothing of all this."""
    return start_worker("an_hour_ahead")


def whole_blobs(shop: Any) -> bool:
    """Whether every blob is what its name says."""
    blobs = list(shop.store.root.glob("??/*"))
    return all(hashlib.sha256(place.read_bytes()).hexdigest() == place.name for place in blobs)


def assert_large_answer(shop: Any, id: str) -> None:
    record = shop.succeeded(id)
    assert np.load(shop.store.path(record.arrays["map"])).shape == (3, 1000, 1000)
    assert whole_blobs(shop)
    assert list(shop.store.temporary.iterdir()) == []


def test_a_clock_that_is_an_hour_ahead_has_no_effect(shop: Any, worker: Any, reaper: Reaper) -> None:
    id = shop.submit("sleep", seconds=2)  # longer than a lease
    record = shop.succeeded(id)
    assert (record.attempt, record.lapses) == (1, 0)
    assert record.created_at <= record.started_at <= record.finished_at
    assert (record.finished_at - record.created_at).total_seconds() < 1800
    assert shop.ledger.workers() != []


def test_blob_store_down_spends_no_attempts_and_comes_back(shop: Any, worker: Any, reaper: Reaper) -> None:
    away = shop.store.root.with_name("away")
    shop.store.root.rename(away)
    shop.store.root.write_text("not a folder")
    ids = [shop.submit("large") for _ in range(3)]
    shop.eventually(lambda: "is not begun" in worker.log.read_text())
    rung = shop.ledger.pulse().tally.get("rung", 0)
    shop.eventually(lambda: shop.ledger.pulse().tally.get("rung", 0) >= rung + 6)
    records = [shop.record(id) for id in ids]
    assert [record.lapses for record in records] == [0, 0, 0]
    assert sum(record.outages for record in records) <= 1
    assert all(record.status is Status.QUEUED for record in records)
    shop.store.root.unlink()
    away.rename(shop.store.root)
    for id in ids:
        shop.succeeded(id)
    assert_large_answer(shop, ids[0])


def test_a_store_that_takes_longer_than_a_lease_costs_no_attempt(shop: Any, start_worker: Any, tmp_path: Path) -> None:
    there = shop.settings.model_copy(update={"namespace": "far", "blob_url": f"file://{tmp_path}"})
    other, reaper = type(shop)(there), Reaper(there)
    model = open_store(there).put(b"from far away").sha256
    open_store(there).place(model).unlink()  # the worker must fetch it, and send the map there
    start_worker("far_store", namespace="far", blob_url=f"far://{tmp_path}")
    reaper.start()
    record = other.succeeded(other.submit("read_file", model=model))
    reaper.stop()
    other.close()
    assert json.loads(json.loads(record.result)["notes"][0])["text"] == "from far away"
    assert (record.attempt, record.lapses) == (1, 0)


def test_redis_full_when_the_answer_is_there(shop: Any, redis: Any, worker: Any, reaper: Reaper) -> None:
    id = shop.submit("sleep", seconds=1)
    shop.child(id)
    client = redis.server.client()
    client.config_set("maxmemory", 1000)
    shop.eventually(lambda: "cannot write to the ledger yet" in worker.log.read_text())
    assert shop.record(id).status is Status.RUNNING
    client.config_set("maxmemory", 0)
    shop.succeeded(id)
    ends = [event for event in shop.ledger.events(id) if Status(event.data["status"]).is_terminal]
    assert len(ends) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where we may mount one."""
    with mounted(tmp_path / "disk", "2m") as place:
        yield place


def test_disk_full_then_not(shop: Any, start_worker: Any, small_disk: Path) -> None:
    changes = {"namespace": "disk", "blob_dir": small_disk / "blobs"}
    other = type(shop)(shop.settings.model_copy(update=changes))
    reaper = Reaper(other.settings)
    reaper.start()
    worker = start_worker(**changes)
    id = other.submit("large")
    shop.eventually(lambda: "is not begun" in worker.log.read_text())
    record = other.record(id)
    assert (record.status, record.attempt, record.lapses, record.outages) == (Status.QUEUED, 1, 0, 1)
    assert "Traceback" not in worker.log.read_text()
    assert whole_blobs(other)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert_large_answer(other, id)
    assert worker.stop() == 0
    reaper.stop()
    other.close()
