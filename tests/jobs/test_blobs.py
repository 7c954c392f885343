"""Files named by their content: whole or not there, whatever happens."""

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.disks import fill, mounted

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


@settings(deadline=None)
@given(chunks=st.lists(st.binary(max_size=50)))
def test_name_is_the_content(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    store, whole = BlobStore(tmp_path_factory.mktemp("blobs")), b"".join(chunks)
    with store.open_writer() as writer:
        for chunk in chunks:
            writer.write(chunk)
        blob = writer.commit()
    assert blob == type(blob)(hashlib.sha256(whole).hexdigest(), len(whole))
    assert store.path(blob.sha256).read_bytes() == whole
    assert store.size(blob.sha256) == len(whole)


def test_limit_is_exact_and_nothing_remains(store: BlobStore) -> None:
    with store.open_writer(limit=4) as writer:
        writer.write(b"1234")
        writer.commit()
    with store.open_writer(limit=4) as writer:
        writer.write(b"123")
        with pytest.raises(ProblemError) as caught:
            writer.write(b"45")
    assert caught.value.kind == "too-large"
    assert len(files(store)) == 1


def test_uncommitted_leaves_nothing(store: BlobStore) -> None:
    with store.open_writer() as writer:
        writer.write(b"half")
    assert files(store) == []


def test_same_content_twice_is_one_file_and_young_again(store: BlobStore) -> None:
    first = store.put(b"same")
    os.utime(store.path(first.sha256), (0, 0))
    assert list(store.older_than(60)) == [first.sha256]
    assert store.put(b"same") == first
    assert list(store.older_than(60)) == []
    assert len(files(store)) == 1


def test_a_file_that_is_there_is_not_replaced(store: BlobStore) -> None:
    """A jailed child that reads it may read that file, by its inode, and no other of the same name."""
    before = store.path(store.put(b"read meanwhile").sha256).stat()
    after = store.path(store.put(b"read meanwhile").sha256).stat()
    assert (after.st_ino, after.st_dev) == (before.st_ino, before.st_dev)
    assert list(store.temporary.iterdir()) == []


def test_many_written_files_wait_without_a_descriptor(store: BlobStore) -> None:
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(store.open_writer()) for _ in range(5)]
        open_before = len(os.listdir("/proc/self/fd"))
        for number, writer in enumerate(writers):
            writer.write(b"%d" % number)
            writer.seal()
        assert len(os.listdir("/proc/self/fd")) == open_before - len(writers)
        assert list(store.older_than(-1)) == []
        blobs = [writer.commit() for writer in writers]
    assert [store.path(blob.sha256).read_bytes() for blob in blobs] == [b"%d" % n for n in range(5)]


def test_delete_and_missing(store: BlobStore) -> None:
    blob = store.put(b"x")
    assert [store.delete(blob.sha256), store.delete(blob.sha256)] == [True, False]
    assert not store.exists(blob.sha256)
    for look in (store.open, store.size):
        with pytest.raises(ProblemError, match="No stored file"):
            look(blob.sha256)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "AB" * 32, "ab" * 31 + "a/", "ab" * 33])
def test_names_that_are_none(store: BlobStore, name: str) -> None:
    with pytest.raises(ProblemError, match="64 lower-case"):
        store.path(name)


def test_sweep_takes_what_killed_writers_left(store: BlobStore) -> None:
    stale, fresh = store.temporary / "stale", store.temporary / "fresh"
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    assert store.sweep_temporary(60) == 1
    assert files(store) == [fresh]


FULL = """
import resource, sys
from pathlib import Path
from erfscope_jobs.blobs import BlobStore
from erfscope_contract.problem import ProblemError
store = BlobStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.put(bytes(100_000))
except ProblemError as error:
    print(error.kind, error.problem.detail)
"""


def test_disk_that_refuses_is_an_outage_and_leaves_nothing(store: BlobStore) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(store.root)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("unavailable The file store may not write files of that size"), done.stderr
    assert files(store) == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with hardly any room, where we may mount one."""
    with mounted(tmp_path / "disk", "1m") as place:
        yield place


@pytest.mark.parametrize("left", [0, 60_000])
def test_a_disk_with_little_room_is_seen_by_the_check(full_disk: Path, left: int) -> None:
    store = BlobStore(full_disk / "blobs")
    store.check()
    filler = full_disk / "filler"
    fill(filler)
    os.truncate(filler, filler.stat().st_size - left)
    with pytest.raises(ProblemError, match="no room left"):
        store.check()
    if not left:
        with pytest.raises(ProblemError, match="no room left"):
            store.put(b"x" * 1000)  # so small that the disk refuses when the file is closed
    assert files(store) == []
    filler.unlink()
    store.check()


def test_a_store_that_cannot_be_made_is_an_outage_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("not a folder")
    with pytest.raises(ProblemError, match=f"{tmp_path}/blobs cannot be written"):
        BlobStore(tmp_path / "blobs")


def test_check_sees_a_folder_that_is_gone(store: BlobStore) -> None:
    store.check()
    store.temporary.rmdir()
    with pytest.raises(ProblemError, match="cannot be written"):
        store.check()


def test_nobody_else_on_the_machine_reads_the_files(store: BlobStore) -> None:
    assert store.root.stat().st_mode & 0o077 == 0
