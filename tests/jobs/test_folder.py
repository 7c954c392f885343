"""Two data folders for one Redis: who begins one, who is told, and what to set."""

from pathlib import Path

import pytest
from redis import Redis

from erfscope_jobs.folder import FileStore, announce, announced, difference, file_store
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.reaper import Reaper
from erfscope_jobs.settings import Settings


def at(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"data_dir": folder, "blob_dir": None, "blob_url": None})


def test_a_folder_keeps_its_id_and_another_has_another(settings: Settings, tmp_path: Path) -> None:
    one, other = at(settings, tmp_path / "one"), at(settings, tmp_path / "other")
    assert file_store(one) == file_store(one)
    assert file_store(one).id != file_store(other).id
    assert str(tmp_path / "one" / "blobs") in file_store(one).where
    (tmp_path / "one").rename(tmp_path / "moved")
    assert file_store(at(settings, tmp_path / "moved")).id != file_store(one).id


def test_a_url_is_its_own_id_and_tells_no_password(settings: Settings) -> None:
    far = settings.model_copy(update={"blob_url": "s3://key:secret@bucket/prefix"})
    assert file_store(far) == FileStore("s3://bucket/prefix", "s3://bucket/prefix")


def test_a_worker_with_another_folder_is_told_both_and_what_to_set(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    service, worker = at(settings, tmp_path / "service"), at(settings, tmp_path / "worker")
    assert difference(worker, ledger.run) == ""  # no service was heard of yet
    ledger.run(announce(settings.namespace, file_store(service)))
    assert difference(service, ledger.run) == ""
    told = difference(worker, ledger.run)
    for word in (str(tmp_path / "service" / "blobs"), str(tmp_path / "worker" / "blobs"), "ERFSCOPE_DATA_DIR"):
        assert word in told
    ledger.run(announce(settings.namespace, file_store(worker)))
    assert difference(worker, ledger.run) == ""


def test_what_a_service_says_is_forgotten_some_day(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    ledger.run(announce(settings.namespace, file_store(at(settings, tmp_path))))
    with Redis.from_url(settings.redis_url) as redis:
        assert redis.pttl(f"{settings.namespace}:file-store") > 0


def test_a_replica_says_where_its_files_are(
    ledger: Ledger, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.run(announce(settings.namespace, FileStore("another", "/elsewhere on host")))
    reaper = Reaper(at(settings, tmp_path))
    reaper.start()
    mine = file_store(at(settings, tmp_path))
    for _ in range(200):
        if ledger.run(announced(settings.namespace)) == mine:
            break
        reaper._stop.wait(0.05)
    reaper.stop()
    assert ledger.run(announced(settings.namespace)) == mine
    assert "a service of this Redis had them in /elsewhere on host" in caplog.text
