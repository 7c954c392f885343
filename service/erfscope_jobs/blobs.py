"""Models and arrays as files named by their sha256: written aside, fsynced, renamed into place."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from erfscope_contract.problem import ProblemError

PIECE = 1 << 20
SETTLE_SECONDS = 2.0  # a sweep asks the ledger once while a file is set aside
DEAD_SECONDS = 60.0  # a sweep that has had a file aside for so long has ended
BACKED_UP = "backed-up"  # a file that deploy/backup.sh touches
ROOM = 1 << 19  # bytes: a disk that cannot take so much takes hardly any model and hardly any map
WORDS = {
    errno.ENOSPC: "has no room left on its disk",
    errno.EDQUOT: "has used up its disk quota",
    errno.EFBIG: "may not write files of that size",
    errno.EROFS: "is on a disk that may only be read",
}


@dataclass(frozen=True)
class Disk:
    """The disk of a file store: the part that is used, 0 to 1, and the bytes that are left."""

    used_share: float
    free: int


@dataclass(frozen=True)
class Blob:
    """A stored file."""

    sha256: str
    size: int


def no_space(error: OSError, what: str) -> ProblemError:
    """A disk that is full or gone is an outage, not a fault of the request."""
    words = WORDS.get(error.errno or 0, "cannot be written")
    return ProblemError(
        "unavailable", f"The {what} {words}; try again later.", retry_after=30, reason=str(error.strerror)
    )


@contextlib.contextmanager
def on_disk(what: str = "file store") -> Iterator[None]:
    """Whatever the disk refuses in this block is an outage of `what`."""
    try:
        yield
    except OSError as error:
        raise no_space(error, what) from error


@contextlib.contextmanager
def from_disk(sha256: str) -> Iterator[None]:
    """A blob that is not there is not-found; one that the disk cannot read is an outage."""
    try:
        yield
    except FileNotFoundError as error:
        raise ProblemError("not-found", f"No stored file {sha256}.") from error
    except OSError as error:
        detail = "The file store cannot be read; try again later."
        raise ProblemError("unavailable", detail, retry_after=30, reason=str(error.strerror)) from error


class BlobWriter:
    """Takes bytes, hashes them on the way, refuses more than `limit`; without `commit` nothing remains."""

    def __init__(self, store: "BlobStore", limit: int | None) -> None:
        self._store = store
        self._limit = limit
        self._size = 0
        self._hash = hashlib.sha256()
        self._sealed = False
        self._temporary = store.temporary / secrets.token_hex(16)
        with on_disk():
            self._file: BinaryIO = self._temporary.open("xb")

    def write(self, chunk: bytes | memoryview) -> None:
        """Add bytes; raises too-large, or unavailable when the disk refuses."""
        self._size += len(chunk)
        if self._limit is not None and self._size > self._limit:
            raise ProblemError("too-large", f"More than {self._limit} bytes; send a smaller file.", limit=self._limit)
        self._hash.update(chunk)
        with on_disk():
            self._file.write(chunk)

    def flush(self) -> None:
        """Hand the disk what was written; raises unavailable when it refuses."""
        with on_disk():
            self._file.flush()

    def seal(self) -> None:
        """All is written: make it durable and close it, so that many may wait for `commit`."""
        if self._sealed:
            return
        with on_disk():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        self._sealed = True

    def commit(self) -> Blob:
        """Make it durable and visible under its name; an equal file that is there is made young again."""
        blob = Blob(self._hash.hexdigest(), self._size)
        self.seal()
        with on_disk():
            self._store.publish(self._temporary, blob.sha256)
        return blob

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):  # of what is thrown away a full disk may refuse the rest
            self._file.close()
        with contextlib.suppress(OSError):  # a sweep takes it later
            self._temporary.unlink(missing_ok=True)


def named(sha256: str) -> str:
    """A blob's path below its store; raises not-found for what is no name."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ProblemError("not-found", "No file has that name; names are 64 lower-case hexadecimal digits.")
    return f"{sha256[:2]}/{sha256}"


def renewed(place: Path, written: Path) -> bool:
    """Whether a file of that name is there: it is young again then, and the new one is removed.

    It is not replaced: a jailed child may read the file that it was given, not another one under the same name.
    """
    try:
        os.utime(place)
    except FileNotFoundError:
        return False
    written.unlink()
    return True


def sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BlobStore:
    """Content-addressed files below one folder, shared by services and workers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / "tmp"
        self.aside = root / "aside"  # files that a sweep is about to remove
        with on_disk(f"file store in {root}"):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)  # other users of this machine cannot read the models
            self.temporary.mkdir(exist_ok=True)
            self.aside.mkdir(exist_ok=True)

    def open_writer(self, limit: int | None = None) -> BlobWriter:
        """A writer for one blob, to be used in a `with`."""
        return BlobWriter(self, limit)

    def put(self, data: bytes) -> Blob:
        """Store bytes that are at hand."""
        with self.open_writer() as writer:
            writer.write(data)
            return writer.commit()

    def publish(self, written: Path, sha256: str) -> None:
        """Give a file that is written and fsynced its name, durably; one that is there stays, and is young again."""
        place = self.place(sha256)
        place.parent.mkdir(exist_ok=True)
        if renewed(place, written):
            return
        written.replace(place)
        sync_folder(place.parent)

    def place(self, sha256: str) -> Path:
        """Where that file is on this machine, or would be."""
        return self.root / named(sha256)

    def path(self, sha256: str) -> Path:
        """The blob as a file on this machine, where it is stored at all."""
        place = self.place(sha256)
        give_up_at = time.monotonic() + SETTLE_SECONDS
        while not place.exists() and self._set_aside(sha256) and time.monotonic() < give_up_at:
            time.sleep(0.01)  # a sweep puts it back, or removes it, in a moment
        return place

    def _set_aside(self, sha256: str) -> list[Path]:
        return list(self.aside.glob(f"{sha256}.*"))

    def open(self, sha256: str) -> BinaryIO:
        """The blob for reading; raises not-found."""
        with from_disk(sha256):
            return self.path(sha256).open("rb")

    def exists(self, sha256: str) -> bool:
        """Whether that blob is here."""
        with from_disk(sha256):
            return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        """Bytes of that blob; raises not-found."""
        with from_disk(sha256):
            return self.path(sha256).stat().st_size

    def delete(self, sha256: str) -> bool:
        """Remove that blob; whether it was here."""
        try:
            self.place(sha256).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise no_space(error, "file store") from error
        return True

    def discard(self, sha256: str, is_needed: Callable[[], bool], young: float) -> bool:
        """Remove a blob that nothing needs; False when it is needed after all, or somebody stored it again meanwhile.

        It is set aside by a rename first, so that whoever stores it from then on writes a file of their own; whoever
        did just before has made it young, or is known to `is_needed` by now. Then it is put back.
        """
        aside = self.aside / f"{sha256}.{secrets.token_hex(8)}"
        try:
            self.place(sha256).rename(aside)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise no_space(error, "file store") from error
        try:
            stays = not is_older(aside, time.time() - young) or is_needed()
        except BaseException:
            self._put_back(aside)
            raise
        if stays:
            self._put_back(aside)
            return False
        aside.unlink(missing_ok=True)
        return True

    def _put_back(self, aside: Path) -> None:
        """Give it its name again; where the same bytes were stored meanwhile, those stay."""
        with on_disk(), contextlib.suppress(FileNotFoundError):
            aside.replace(self.place(aside.name.partition(".")[0]))

    def restore(self, older_than: float = DEAD_SECONDS) -> int:
        """Put back what sweeps that died had set aside so long ago; how many files."""
        horizon = time.time() - older_than
        left = [aside for aside in self.aside.iterdir() if set_aside_before(aside, horizon)]
        for aside in left:
            self._put_back(aside)
        return len(left)

    def disk(self) -> Disk | None:
        """How full the disk is, as those see it who may not take what is reserved for root."""
        with on_disk():
            disk = shutil.disk_usage(self.root)
        return Disk(disk.used / max(disk.used + disk.free, 1), disk.free)

    def backed_up_at(self) -> float | None:
        """When deploy/backup.sh last copied this store (Unix time); None where it never did."""
        try:
            return (self.root / BACKED_UP).stat().st_mtime
        except OSError:
            return None

    def check(self, room: int = ROOM) -> None:
        """Raise unavailable when so many bytes cannot be written."""
        with self.open_writer() as probe:
            for begin in range(0, room, PIECE):
                probe.write(bytes(min(PIECE, room - begin)))
            probe.flush()

    def older_than(self, seconds: float) -> Iterator[str]:
        """Names of blobs that were written so long ago: those that a sweep may look at."""
        horizon = time.time() - seconds
        for place in self.root.glob("[0-9a-f][0-9a-f]/*"):
            if is_older(place, horizon):
                yield place.name

    def sweep_temporary(self, older_than: float) -> int:
        """Remove what interrupted writers left; how many."""
        horizon = time.time() - older_than
        with on_disk():
            stale = [place for place in self.temporary.iterdir() if is_older(place, horizon)]
            for place in stale:
                place.unlink(missing_ok=True)
        return len(stale)


def set_aside_before(aside: Path, horizon: float) -> bool:
    """Whether a file was renamed before `horizon`: a rename changes the time of the inode, not that of the bytes."""
    try:
        return aside.stat().st_ctime < horizon
    except FileNotFoundError:
        return False


def is_older(place: Path, horizon: float) -> bool:
    """Whether a file was written before `horizon`; one that has just gone is not."""
    try:
        return place.stat().st_mtime < horizon
    except FileNotFoundError:
        return False
