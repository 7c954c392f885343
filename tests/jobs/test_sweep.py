"""A sweep takes what nothing needs, and never a file that was stored again meanwhile."""

import os
import threading
import time
from pathlib import Path

import pytest
import redis

from erfscope_contract.problem import ProblemError
from erfscope_jobs import reaper
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.reaper import sweep_once
from erfscope_jobs.records import Upload
from erfscope_jobs.settings import Settings

ROUNDS, NAMES = 60, 4
YOUNG = 0.3  # seconds; a submission here takes milliseconds


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def old(store: BlobStore, data: bytes) -> str:
    """A stored file that nobody has touched for years."""
    sha256 = store.put(data).sha256
    os.utime(store.place(sha256), (0, 0))
    return sha256


def leftovers(store: BlobStore) -> list[Path]:
    return [*store.aside.iterdir(), *store.temporary.iterdir()]


def test_what_nothing_needs_goes(store: BlobStore) -> None:
    sha256 = old(store, b"data")
    assert store.discard(sha256, lambda: False, 60)
    assert not store.exists(sha256)
    assert not store.discard(sha256, lambda: False, 60)
    assert leftovers(store) == []


def test_what_is_needed_after_all_is_put_back(store: BlobStore) -> None:
    sha256 = old(store, b"data")
    assert not store.discard(sha256, lambda: True, 60)
    assert store.path(sha256).read_bytes() == b"data"
    assert leftovers(store) == []


def test_what_is_stored_again_while_it_is_aside_stays(store: BlobStore) -> None:
    sha256 = old(store, b"data")
    store.discard(sha256, lambda: store.put(b"data").size == 0, 60)
    assert store.path(sha256).read_bytes() == b"data"
    assert leftovers(store) == []


def test_what_was_stored_again_after_it_was_listed_stays(store: BlobStore) -> None:
    sha256 = old(store, b"data")
    store.put(b"data")  # the ledger does not know yet
    assert not store.discard(sha256, lambda: False, 60)
    assert store.path(sha256).read_bytes() == b"data"


def test_an_outage_of_the_ledger_puts_it_back(store: BlobStore) -> None:
    def fails() -> bool:
        raise ProblemError("unavailable", "away")

    sha256 = old(store, b"data")
    with pytest.raises(ProblemError):
        store.discard(sha256, fails, 60)
    assert store.exists(sha256)


def test_a_reader_waits_while_a_file_is_aside(store: BlobStore) -> None:
    sha256, heard = old(store, b"data"), list[bytes]()
    reader = threading.Thread(target=lambda: heard.append(store.path(sha256).read_bytes()))

    def is_needed() -> bool:
        reader.start()
        time.sleep(0.1)
        return True

    store.discard(sha256, is_needed, 60)
    reader.join()
    assert heard == [b"data"]


def test_what_a_sweep_that_died_had_set_aside_comes_back(ledger: Ledger, store: BlobStore) -> None:
    sha256 = old(store, b"data")
    store.place(sha256).rename(store.aside / f"{sha256}.dead")
    assert store.restore() == 0  # another sweep may be at it
    assert store.restore(older_than=-1) == 1
    assert store.exists(sha256)
    assert sweep_once(ledger, store, 60) == 1


def test_a_sweeper_that_lives_is_seen(settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "SWEEP_SECONDS", 0.01)
    assert ledger.pulse().swept_seconds is None
    both = reaper.Reaper(settings)
    both.start()
    try:
        give_up_at = time.monotonic() + 30
        while ledger.pulse().swept_seconds is None and time.monotonic() < give_up_at:
            time.sleep(0.01)
    finally:
        both.stop()
    first = ledger.pulse().swept_seconds
    assert first is not None
    time.sleep(0.05)  # nobody sweeps now
    second = ledger.pulse().swept_seconds
    assert second is not None
    assert second > first


def test_a_sweep_without_pause_takes_no_file_that_is_stored_again(ledger: Ledger, store: BlobStore) -> None:
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            sweep_once(ledger, store, YOUNG)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in sweepers:
        thread.start()
    lost = 0
    try:
        for number in range(ROUNDS):
            sha256 = store.put(b"%d" % (number % NAMES)).sha256
            ledger.put_upload(Upload("t", "model", sha256, 1, "m"))
            lost += not store.exists(sha256)
            os.utime(store.place(sha256), (0, 0))
            ledger.drop_upload("t", "model", sha256)
            forget(ledger, sha256)
    finally:
        over.set()
        for thread in sweepers:
            thread.join()
    assert lost == 0


def forget(ledger: Ledger, sha256: str) -> None:
    """As if the time to live had passed: a sweep may take the file."""

    with redis.Redis.from_url(ledger.settings.redis_url) as client:
        client.zrem(f"{ledger.settings.namespace}:blobs", sha256)
