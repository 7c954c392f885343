"""The folder of children's working directories; what a killed worker left is removed by the next."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from erfscope_jobs.blobs import on_disk

PREFIX = "erfscope-work-"


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A fresh folder that is locked while its worker lives."""
    sweep(Path(tempfile.gettempdir()))
    with on_disk(f"folder {tempfile.gettempdir()}"):
        made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    with made as folder, lock(Path(folder)):
        yield Path(folder)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder, until our death at the latest; raises BlockingIOError when another process does."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def sweep(parent: Path) -> int:
    """Remove the folders of workers that are gone; how many."""
    gone = 0
    for folder in parent.glob(PREFIX + "*"):
        with contextlib.suppress(OSError), lock(folder):
            shutil.rmtree(folder)
            gone += 1
    return gone
