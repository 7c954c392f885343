"""The folder of children's working directories; what a killed worker left is removed by the next."""

import contextlib
import fcntl
import logging
import os
import queue
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from erfscope_jobs.blobs import on_disk
from erfscope_worker.removal import remove, set_aside

PREFIX = "erfscope-work-"
UNLOCKED = "erfscope-new-"  # for the moment before it is locked
STALE_SECONDS = 3600.0  # a worker that died in that moment
CLOSE_SECONDS = 5.0  # what is not removed by then is left to the next worker
LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC  # not O_TRUNC: it may be somebody's file
log = logging.getLogger(__name__)


class Workspace:
    """Folders of jobs; they are removed in a thread of their own, so that no verdict and no job waits for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._gone: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._remove, name="erfscope-removal", daemon=True)
        self._thread.start()

    def new(self) -> Path:
        """An empty folder for one child; raises unavailable when the disk refuses."""
        with on_disk("worker's folder for temporary files"):
            return Path(tempfile.mkdtemp(prefix="job-", dir=self.folder))

    def discard(self, folder: Path) -> None:
        """Set it aside now and remove it soon."""
        self._gone.put(set_aside(folder))

    def close(self) -> None:
        """Wait a while until what was discarded is removed."""
        self._gone.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _remove(self) -> None:
        while (folder := self._gone.get()) is not None:
            cleared(folder)


@contextlib.contextmanager
def workspace() -> Iterator[Workspace]:
    """A fresh folder that is locked while its worker lives."""
    parent = Path(tempfile.gettempdir())
    sweep(parent)
    with contextlib.ExitStack() as held:
        folder = _locked(parent, held)
        space = Workspace(folder)
        try:
            yield space
        finally:
            space.close()
            cleared(folder)


def _locked(parent: Path, held: contextlib.ExitStack) -> Path:
    """A fresh folder; it is locked before it has the name that other workers sweep."""
    with on_disk(f"folder {parent}"):
        folder = Path(tempfile.mkdtemp(prefix=UNLOCKED, dir=parent))
        held.enter_context(lock(folder))
        return folder.rename(parent / (PREFIX + folder.name.removeprefix(UNLOCKED)))


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder, until our death at the latest.

    Raises BlockingIOError when another process does, PermissionError when folder or lock file are not ours alone.
    """
    must_be_ours(os.lstat(folder), stat.S_IFDIR, str(folder))
    descriptor = os.open(folder / "lock", LOCK_FLAGS, 0o600)
    try:
        must_be_ours(os.fstat(descriptor), stat.S_IFREG, f"{folder}/lock")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def must_be_ours(facts: os.stat_result, kind: int, path: str) -> None:
    """Of that kind, owned by this user, and writable by nobody else."""
    if stat.S_IFMT(facts.st_mode) != kind or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise PermissionError(f"{path} belongs to another user, or others may write to it; it is left alone.")


def sweep(parent: Path) -> int:
    """Remove the folders of workers that are gone; how many."""
    stale = [folder for folder in parent.glob(UNLOCKED + "*") if _age(folder) > STALE_SECONDS]
    return sum(abandoned(folder) for folder in [*parent.glob(PREFIX + "*"), *stale])


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def abandoned(folder: Path) -> bool:
    """Remove a folder that no worker holds; whether it was removed."""
    with contextlib.suppress(OSError), lock(folder):
        return cleared(folder)
    return False


def cleared(folder: Path) -> bool:
    """Remove a folder; whether that went well. Nothing that a job left may stop a worker."""
    try:
        remove(folder)
    except OSError as error:
        log.warning("cannot remove %s: %s", folder, error)
        return False
    return True
