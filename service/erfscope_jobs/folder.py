"""Which file store a process has: with two of them files are not found, so services name theirs and workers compare."""

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from erfscope_jobs.blobs import on_disk
from erfscope_jobs.call import Call, plain
from erfscope_jobs.digest import canonical
from erfscope_jobs.settings import Settings

FILE = "store-id"  # in the folder; a copy of the folder is the same store
YEAR = 365 * 24 * 3600 * 1000  # milliseconds


@dataclass(frozen=True)
class FileStore:
    """A file store by its id, and where a process has it, for people."""

    id: str
    where: str

    def to_json(self) -> str:
        """As Redis keeps it."""
        return canonical(asdict(self)).decode()


def file_store(settings: Settings) -> FileStore:
    """That of these settings; a folder without an id gets one. Raises unavailable where the disk refuses."""
    if settings.blob_url:
        parts = urlsplit(settings.blob_url)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # without a password
        return FileStore(address, address)
    folder = settings.blobs.absolute()
    with on_disk(f"file store in {folder}"):
        return FileStore(_id_of(folder), f"{folder} on {socket.gethostname()}")


def announce(space: str, mine: FileStore) -> Call[bool]:
    """A service says which file store it has."""
    return plain(bool, "SET", _key(space), mine.to_json(), "PX", YEAR)


def announced(space: str) -> Call[FileStore | None]:
    """The file store of the service that was last heard of; None where none was."""
    return plain(_read, "GET", _key(space))


def difference(settings: Settings, run: Callable[[Call[FileStore | None]], FileStore | None]) -> str:
    """What is wrong where this process has another file store than the service, and what to set; empty where not."""
    mine, theirs = file_store(settings), run(announced(settings.namespace))
    if theirs is None or theirs.id == mine.id:
        return ""
    return (
        f"This worker has its files in {mine.where}, the service of the same Redis has them in {theirs.where}: it "
        "would find no uploaded model, and nobody would find its maps. Start both with the same ERFSCOPE_DATA_DIR "
        "(--data-dir), an absolute path; the default, erfscope-data, is a folder in the one where each is started. "
        "If the service's folder was replaced meanwhile, start the service again first."
    )


def _id_of(folder: Path) -> str:
    """Written aside and linked, so that of two who begin one has its id in the file and the other reads it."""
    place, aside = folder / FILE, folder / f"{FILE}.{secrets.token_hex(8)}"
    folder.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        aside.write_text(secrets.token_hex(16), "ascii")
        with contextlib.suppress(FileExistsError):
            os.link(aside, place)
        aside.unlink()
    return place.read_text("ascii").strip()


def _read(reply: Any) -> FileStore | None:
    return FileStore(**json.loads(reply)) if reply else None


def _key(space: str) -> str:
    return f"{space}:file-store"
