"""The doorbell and the reaper: a message that is lost is published again, an outage is no error."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped, unused-ignore]  # no types
import pytest
import redis
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped, unused-ignore]  # no types

from erfscope_jobs import reaper
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell, broker_url, queue_of
from erfscope_jobs.reaper import reap_once, sweep_once
from erfscope_jobs.records import Kind, Submission, Upload
from erfscope_jobs.settings import Settings

HOUR = 3600.0


def waiting(settings: Settings, kind: Kind = Kind.ERF) -> int:
    with redis.Redis.from_url(settings.redis_url) as client:
        return int(client.llen(queue_of(settings, kind)))


def test_each_kind_has_its_queue(settings: Settings) -> None:
    doorbell = Doorbell(settings)
    for kind in Kind:
        assert doorbell.ring(f"of-{kind}", kind)
    assert [waiting(settings, kind) for kind in Kind] == [1] * len(Kind)
    doorbell.close()


def test_ring_into_the_void_is_false_not_an_error(settings: Settings) -> None:
    doorbell = Doorbell(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    assert doorbell.ring("a", Kind.ERF) is False
    doorbell.close()


def test_unix_socket_as_kombu_spells_it() -> None:
    assert broker_url(Settings(redis_url="unix:///run/s?db=3")) == "redis+socket:///run/s?virtual_host=3"
    assert broker_url(Settings(redis_url="rediss://host:1/2")) == "rediss://host:1/2"


def test_deleted_queue_is_filled_again_and_no_more(settings: Settings, ledger: Ledger) -> None:
    doorbell = Doorbell(settings)
    for _ in range(3):
        job = Submission(Kind.ERF, "t", "{}", "q")
        ledger.submit(job)
        doorbell.ring(job.id, Kind.ERF)
    with redis.Redis.from_url(settings.redis_url) as client:
        client.delete(queue_of(settings, Kind.ERF))
    for _ in range(3):
        time.sleep(settings.lease_seconds + 0.05)
        reap_once(ledger, doorbell)
    assert waiting(settings) == 3
    doorbell.close()


def test_sweep_keeps_what_lives_and_what_is_young(ledger: Ledger, tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    needed, uploaded, lost, young = (store.put(name) for name in (b"needed", b"uploaded", b"lost", b"young"))
    ledger.submit(Submission(Kind.ERF, "t", "{}", "q", blobs=(needed.sha256,)))
    ledger.put_upload(Upload("t", "model", uploaded.sha256, 8, "m"))
    for blob in (needed, uploaded, lost):
        os.utime(store.path(blob.sha256), (0, 0))
    assert sweep_once(ledger, store, HOUR) == 1
    assert [store.exists(blob.sha256) for blob in (needed, uploaded, lost, young)] == [True, True, False, True]


def test_a_file_that_is_needed_again_while_others_are_swept_stays(ledger: Ledger, tmp_path: Path) -> None:
    class Busy(BlobStore):
        """While one file goes, a job comes that needs the other."""

        def discard(self, sha256: str, is_needed: Callable[[], bool], young: float) -> bool:
            other = second if sha256 == first else first
            ledger.submit(Submission(Kind.ERF, "t", "{}", "q", blobs=(other,)))
            return super().discard(sha256, is_needed, young)

    store = Busy(tmp_path / "blobs")
    first, second = store.put(b"first").sha256, store.put(b"second").sha256
    assert sweep_once(ledger, store, young=-60) == 1
    assert store.exists(first) is not store.exists(second)


def test_overdue_jobs_do_not_wait_for_a_sweep(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Far(LocalFileSystem):  # type: ignore[misc, unused-ignore]  # no types
        """A store whose list of files takes for ever."""

        protocol = "endless"

        def find(self, *_: Any, **__: Any) -> dict[str, Any]:
            asked.set()
            answered.wait()
            return {}

    asked, answered = threading.Event(), threading.Event()
    fsspec.register_implementation("endless", Far, clobber=True)
    monkeypatch.setattr(reaper, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(reaper, "REAP_SECONDS", 0.01)
    both = reaper.Reaper(settings.model_copy(update={"blob_url": f"endless://{settings.data_dir}"}))
    both.start()
    try:
        assert asked.wait(30)
        ledger.submit(Submission(Kind.ERF, "t", "{}", "q"))
        give_up_at = time.monotonic() + 30
        while not waiting(settings) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        assert waiting(settings) == 1
    finally:
        answered.set()
        both.stop()
