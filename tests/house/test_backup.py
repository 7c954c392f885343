"""deploy/backup.sh: a copy that is taken while everything runs is an installation that starts."""

import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from tests.house.conftest import ROOT, House

from erfscope import Client
from erfscope_jobs import keys
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.settings import Settings

SCRIPT = ROOT / "deploy" / "backup.sh"
SPEC = {
    "name": "kept",
    "input": {"channels": 1, "size": [16, 16]},
    "layers": [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": "same"}],
}


def back_up(store: Path, blobs: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SCRIPT, store, blobs, target], capture_output=True, text=True, check=False)


def test_a_copy_of_a_running_installation_starts_with_its_jobs_results_and_keys(house: House, tmp_path: Path) -> None:
    with Client(house.url) as client:
        job = client.submit(SPEC, inputs=2)
        expected = job.result().array().tobytes()
    with Ledger(Settings(redis_url=house.redis_url)) as ledger:
        key, _ = keys.issue("kept")
        ledger.run(keys.add(ledger.settings.namespace, key))
    store = redis.Redis.from_url(house.redis_url)
    for _ in range(2):  # the second brings the first up to date, while the store rewrites its file
        done = back_up(house.data_dir / "valkey", house.data_dir / "blobs", tmp_path / "copy")
        assert done.returncode == 0, done.stderr
        with suppress(redis.ResponseError):  # one is going on already
            store.bgrewriteaof()
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    id_of_files = tmp_path / "copy" / "blobs" / "store-id"
    assert id_of_files.read_text() == (house.data_dir / "blobs" / "store-id").read_text()
    id_of_files.unlink()  # `up` would start even without it: its parts have the same folder by themselves
    restored = House(tmp_path / "copy")
    try:
        with Client(restored.url) as client:
            assert client.job(job.id).result().array().tobytes() == expected
        with Ledger(Settings(redis_url=restored.redis_url)) as ledger:
            assert key.id in {one.id for one in ledger.run(keys.every(ledger.settings.namespace))}
    finally:
        assert restored.stop() == 0


@pytest.fixture
def rewritten(tmp_path: Path) -> Path:
    """A store whose manifest names a file that is not there, and one that is history."""
    folder = tmp_path / "store" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text(
        "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type h\n"
        "file appendonly.aof.2.incr.aof seq 2 type i\n"
    )
    (folder / "appendonly.aof.2.base.rdb").write_text("base")
    return folder


def test_a_rewrite_meanwhile_is_waited_out(rewritten: Path, tmp_path: Path) -> None:
    missing = rewritten / "appendonly.aof.2.incr.aof"
    timer = threading.Timer(0.5, missing.write_text, ["more"])
    timer.start()
    done = back_up(tmp_path / "store", tmp_path / "no blobs yet", tmp_path / "copy")
    timer.join()
    assert done.returncode == 0, done.stderr
    assert "so /metrics does not tell of it" in done.stderr, "there is no folder to note the time in"
    copied = {place.name for place in (tmp_path / "copy/valkey/appendonlydir").iterdir()}
    assert copied == {place.name for place in rewritten.iterdir()}


def test_a_copy_that_cannot_be_whole_fails_and_leaves_the_earlier_one(rewritten: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "copy" / "valkey" / "appendonlydir"
    earlier.mkdir(parents=True)
    (earlier / "appendonly.aof.manifest").write_text("earlier")
    done = back_up(tmp_path / "store", tmp_path, tmp_path / "copy")
    assert done.returncode == 1
    assert "failed five times" in done.stderr
    assert (earlier / "appendonly.aof.manifest").read_text() == "earlier"
