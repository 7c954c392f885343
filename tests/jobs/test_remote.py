"""Blobs behind a URL: S3 as moto's server speaks it, and stores without atomic writes; whole or not there."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.reaper import sweep_once
from erfscope_jobs.records import Kind, Submission
from erfscope_jobs.remote import RemoteStore, open_store
from erfscope_jobs.settings import Settings

BUCKET = "erfscope-test"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with a bucket, and credentials for it."""
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(BUCKET)
        yield f"s3://{BUCKET}/prefix"
        server.stop()


@pytest.fixture(params=["s3", "file", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    urls = {"file": lambda: f"file://{tmp_path}/there", "memory": lambda: f"memory://{tmp_path.name}"}
    url = urls.get(request.param, lambda: f"{request.getfixturevalue('s3')}/{tmp_path.name}")()
    return Settings(data_dir=tmp_path / "here", blob_url=url, blob_timeout=30)


@pytest.fixture
def store(remote: Settings) -> BlobStore:
    return open_store(remote)


def elsewhere(remote: Settings) -> BlobStore:
    """The same store as another machine sees it: with a cache of its own."""
    return open_store(remote.model_copy(update={"data_dir": remote.data_dir.parent / "elsewhere"}))


def copies(store: BlobStore) -> list[str]:
    return [place.name for place in store.root.rglob("*") if place.is_file()]


def test_without_a_url_it_is_a_folder(tmp_path: Path) -> None:
    assert type(open_store(Settings(data_dir=tmp_path))) is BlobStore


def test_what_one_machine_wrote_another_reads(remote: Settings, store: BlobStore) -> None:
    data = os.urandom(100_000)
    blob = store.put(data)
    other = elsewhere(remote)
    assert blob.sha256 == hashlib.sha256(data).hexdigest()
    assert (other.exists(blob.sha256), other.size(blob.sha256)) == (True, len(data))
    assert copies(other) == []
    assert other.path(blob.sha256).read_bytes() == data
    with other.open(blob.sha256) as file:
        assert file.read() == data
    assert copies(other) == [blob.sha256]


def test_missing_and_deleted(remote: Settings, store: BlobStore) -> None:
    blob, other = store.put(b"x"), elsewhere(remote)
    assert [store.delete(blob.sha256), store.delete(blob.sha256)] == [True, False]
    assert not other.exists(blob.sha256)
    for look in (other.open, other.size, other.path):
        with pytest.raises(ProblemError, match="No stored file"):
            look(blob.sha256)
    assert copies(other) == []


def test_unfinished_and_too_large_leave_nothing(remote: Settings, store: BlobStore) -> None:
    with store.open_writer() as writer:
        writer.write(b"half")
    with store.open_writer(limit=3) as writer, pytest.raises(ProblemError, match="More than 3 bytes"):
        writer.write(b"four")
    assert copies(store) == []
    assert list(elsewhere(remote).older_than(-60)) == []


def test_the_sweep_takes_what_nothing_needs(remote: Settings, store: BlobStore, settings: Settings) -> None:
    needed, idle = store.put(b"needed"), store.put(b"idle")
    store.check()
    with Ledger(settings) as ledger:
        ledger.submit(Submission(Kind.ERF, "t", "{}", "q", blobs=(needed.sha256,)))
        assert sweep_once(ledger, store, young=60) == 0
        assert sweep_once(ledger, store, young=-60) == 1
    assert [elsewhere(remote).exists(blob.sha256) for blob in (needed, idle)] == [True, False]


def test_the_cache_is_bounded_and_spares_what_is_in_use(remote: Settings) -> None:
    small = open_store(remote.model_copy(update={"blob_cache_bytes": 2500}))
    blobs = [small.put(bytes([n]) * 1000).sha256 for n in range(4)]
    assert set(copies(small)) == set(blobs)
    for age, sha256 in enumerate(reversed(blobs)):
        os.utime(small.place(sha256), (time.time() - 1000 - age,) * 2)
    last = small.put(bytes([9]) * 1000).sha256
    assert set(copies(small)) == {last, blobs[3]}
    assert small.path(blobs[0]).read_bytes() == bytes([0]) * 1000


def test_what_was_changed_behind_our_back_is_not_handed_out(remote: Settings, store: BlobStore) -> None:
    blob = store.put(b"true")
    assert isinstance(store, RemoteStore)
    store._remote.pipe_file(store._key(blob.sha256), b"false")
    other = elsewhere(remote)
    with pytest.raises(ProblemError, match="cannot be reached"):
        other.path(blob.sha256)
    assert copies(other) == []


class Silence:
    """A server that takes connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._held: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self._held.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for one in (*self._held, self._listener):
            one.close()


@pytest.fixture(params=["silent", "refusing"])
def dead(request: pytest.FixtureRequest, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 that is away."""
    silence = Silence()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silence.port}")
    if request.param == "refusing":
        silence.close()
    yield s3
    if request.param == "silent":
        silence.close()


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_store_that_is_away_is_an_outage_soon(dead: str, scheme: str, tmp_path: Path) -> None:
    url = dead.replace("s3", scheme, 1)
    store = open_store(Settings(data_dir=tmp_path, blob_url=url, blob_timeout=0.5))
    looks: list[Any] = [store.check, lambda: store.put(b"x"), lambda: store.exists("0" * 64)]
    looks += [lambda: list(store.older_than(0)), lambda: store.sweep_temporary(0)]
    for look in looks:
        began = time.monotonic()
        with pytest.raises(ProblemError) as caught:
            look()
        assert caught.value.kind == "unavailable"
        assert caught.value.problem.context["retry_after"] > 0
        assert time.monotonic() - began < 3
    assert copies(store) == []
