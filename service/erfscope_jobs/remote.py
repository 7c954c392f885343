"""Blobs behind a URL (S3 and whatever else fsspec knows), with a bounded cache of files on this machine."""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import ROOM, WORDS, BlobStore, Disk, named, no_space, on_disk, renewed
from erfscope_jobs.settings import Settings

# Stores where an object is there whole or not at all; in others it is written aside and moved.
ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory")
S3 = ("s3", "s3a")
FRESH = {"use_listings_cache": False, "skip_instance_cache": True}  # what another machine has just written is there
IN_USE_SECONDS = 120.0  # a file that was asked for so lately may not have been opened yet
SLOWEST = 4 << 20  # bytes per second that a transfer may not fall below
ATTEMPTS = 1  # s3fs' own, beside botocore's: an outage is told at once, the caller tries again
log = logging.getLogger(__name__)


def open_store(settings: Settings) -> BlobStore:
    """The blob store that the settings name."""
    return RemoteStore(settings) if settings.blob_url else BlobStore(settings.blobs)


@contextlib.contextmanager
def outages(sha256: str = "") -> Iterator[None]:
    """Whatever a foreign store raises is not-found or an outage; each has exceptions of its own."""
    try:
        yield
    except ProblemError:
        raise
    except FileNotFoundError as error:
        raise ProblemError("not-found", f"No stored file {sha256}.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in WORDS:  # the copy on this machine, or a store that is a disk
            raise no_space(error, "file store") from error
        log.warning("the blob store fails: %s: %s", type(error).__name__, error)
        raise ProblemError(
            "unavailable",
            "The file store cannot be reached; try again later.",
            retry_after=10,
            reason=type(error).__name__,
        ) from error


class RemoteStore(BlobStore):
    """A `BlobStore` whose truth is elsewhere: the files of `settings.blobs` are copies of it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.blobs)
        import fsspec  # type: ignore[import-untyped, unused-ignore]  # no types; imported only where a URL is set

        url = settings.blob_url or ""
        self._scheme = fsspec.core.split_protocol(url)[0] or "file"
        self._remote, self._base = fsspec.core.url_to_fs(url, **options_of(self._scheme, settings.blob_timeout))
        if hasattr(self._remote, "retries"):
            self._remote.retries = ATTEMPTS
        if hasattr(self._remote, "set_session"):  # loads its tables for a second or two: not at the first request
            fsspec.asyn.sync(self._remote.loop, self._remote.set_session)
        self._most, self._patience = settings.blob_cache_bytes, settings.blob_timeout

    def _do(self, what: str, *arguments: Any, size: int = 0) -> Any:
        """A method of the file system, under a deadline where it can have one.

        The client's own timeouts do not hold everywhere: an upload that S3 never bids to continue would wait for ever.
        """
        if not self._remote.async_impl:
            return getattr(self._remote, what)(*arguments)
        step = asyncio.wait_for(getattr(self._remote, f"_{what}")(*arguments), self._patience + size / SLOWEST)
        return asyncio.run_coroutine_threadsafe(step, self._remote.loop).result()

    def _key(self, sha256: str) -> str:
        return f"{self._base}/{named(sha256)}"

    def publish(self, written: Path, sha256: str) -> None:
        """Send a written file to the store, then keep it as a copy."""
        with outages():
            self._send(written, self._key(sha256))
        self._keep(written, sha256)

    def _send(self, written: Path, key: str) -> None:
        if self._scheme in ATOMIC:
            self._do("put_file", str(written), key, size=written.stat().st_size)
            return
        aside = f"{self._base}/tmp/{secrets.token_hex(16)}"
        self._remote.makedirs(f"{self._base}/tmp", exist_ok=True)
        self._remote.makedirs(key.rpartition("/")[0], exist_ok=True)
        try:
            self._remote.put_file(str(written), aside)
            self._remote.mv(aside, key)
        except BaseException:
            with contextlib.suppress(Exception):
                self._remote.rm_file(aside)
            raise

    def _keep(self, written: Path, sha256: str) -> None:
        """Into the cache; the least lately used go when it is full."""
        place = self.place(sha256)
        place.parent.mkdir(exist_ok=True)
        if not renewed(place, written):
            written.replace(place)
        self._evict()

    def _evict(self) -> None:
        copies = sorted((stat.st_mtime, stat.st_size, place) for place, stat in self._copies())
        size, in_use = sum(size for _, size, _ in copies), time.time() - IN_USE_SECONDS
        for used, bytes_, place in copies:
            if size <= self._most or used > in_use:
                return
            place.unlink(missing_ok=True)
            size -= bytes_

    def _copies(self) -> Iterator[tuple[Path, os.stat_result]]:
        for place in self.root.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(FileNotFoundError):
                yield place, place.stat()

    def path(self, sha256: str) -> Path:
        """The blob as a file on this machine, fetched where it is not here yet; raises not-found."""
        place = self.place(sha256)
        with on_disk():
            try:
                os.utime(place)  # used just now
            except FileNotFoundError:
                self._fetch(sha256)
        return place

    def _fetch(self, sha256: str) -> None:
        aside = self.temporary / secrets.token_hex(16)
        try:
            with outages(sha256):
                self._do("get_file", self._key(sha256), str(aside), size=self._do("size", self._key(sha256)))
                if digest(aside) != sha256:
                    raise OSError("a stored file is not what its name says")
            self._keep(aside, sha256)
        finally:
            aside.unlink(missing_ok=True)

    def exists(self, sha256: str) -> bool:
        """Whether the store has that blob."""
        with outages():
            return bool(self._do("exists", self._key(sha256)))

    def size(self, sha256: str) -> int:
        """Bytes of that blob; raises not-found."""
        with outages(sha256):
            return int(self._do("size", self._key(sha256)))

    def delete(self, sha256: str) -> bool:
        """Remove that blob, here and there; whether it was there."""
        super().delete(sha256)
        with outages():
            if not self._do("exists", self._key(sha256)):
                return False
            self._do("rm_file", self._key(sha256))
        return True

    def discard(self, sha256: str, is_needed: Callable[[], bool], young: float) -> bool:
        """Remove a blob that nothing needs; False when it is needed after all, or somebody stored it again meanwhile.

        Whoever stores it writes it anew, so its time tells; a far store has no rename that would settle the rest.
        """
        key = self._key(sha256)
        with outages():
            if not self._do("exists", key):
                return False
            is_old = written_at(self._do("info", key)) < time.time() - young
        return is_old and not is_needed() and self.delete(sha256)

    def disk(self) -> Disk | None:
        """None: a far store does not tell, and the folder here is a cache."""
        return None

    def check(self, room: int = ROOM) -> None:
        """Raise unavailable when so much cannot be written here, or nothing there."""
        super().check(room)
        with outages():
            if self._scheme not in ATOMIC:
                self._remote.makedirs(f"{self._base}/tmp", exist_ok=True)
            self._do("pipe_file", f"{self._base}/tmp/probe", b"probe")

    def older_than(self, seconds: float) -> Iterator[str]:
        """Names of blobs that were written so long ago."""
        horizon = time.time() - seconds
        with outages():
            found = self._remote.find(self._base, detail=True)
        for key, about in found.items():
            name = key.rpartition("/")[2]
            if len(name) == 64 and written_at(about) < horizon:
                yield name

    def sweep_temporary(self, older_than: float) -> int:
        """Remove what interrupted writers left, here and there; how many."""
        gone, horizon = super().sweep_temporary(older_than), time.time() - older_than
        with outages():
            left = self._remote.find(f"{self._base}/tmp", detail=True)
            for key, about in left.items():
                if written_at(about) < horizon:
                    self._do("rm_file", key)
                    gone += 1
        return gone


def options_of(scheme: str, seconds: float) -> dict[str, Any]:
    """What a file system of that kind is told; of those that we do not know, nothing."""
    once = {"connect_timeout": seconds, "read_timeout": seconds, "retries": {"total_max_attempts": 1}}
    return (FRESH if scheme in ATOMIC else {}) | ({"config_kwargs": once} if scheme in S3 else {})


def digest(file: Path) -> str:
    """sha256 of a file."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def written_at(about: dict[str, Any]) -> float:
    """When an object was written, as its store says it; unknown is now."""
    for name in ("LastModified", "mtime", "updated", "last_modified", "created"):
        moment = about.get(name)
        if isinstance(moment, datetime):
            return moment.timestamp()
        if isinstance(moment, int | float):
            return float(moment)
    return time.time()
