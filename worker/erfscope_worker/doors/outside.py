"""Starts a child that tries the doors, with canaries where it must not look, and reads what it found."""

import contextlib
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_worker import jail
from erfscope_worker.doors.door import Place
from erfscope_worker.frames import FrameError, Reader
from erfscope_worker.launcher import Child, Launcher, wait_readable
from erfscope_worker.task import Orders

RUNNER = "erfscope_worker.doors.inside:run"
MEMORY = 64 << 20
SECONDS = 180.0  # trying all doors takes about 0.2 s; a fresh interpreter imports torch before


class NoAnswerError(RuntimeError):
    """The child that tries the doors was killed before it told."""


class Attempt(NamedTuple):
    """One door, and how it was open; `opened` is empty when it was shut."""

    group: str
    name: str
    opened: str


def try_doors(launcher: Launcher, settings: Settings, sandbox: bool) -> list[Attempt]:
    """Every door from one child; raises RuntimeError when the child does not answer.

    The start folder counts unless it is a folder of libraries, which children may read.
    """
    with (
        tempfile.TemporaryDirectory(prefix="erfscope-doors-", ignore_cleanup_errors=True) as folder,
        surroundings(settings, Path(folder), start_folder(launcher.libraries, Path(folder))) as place,
    ):
        work = Path(folder) / "job"
        work.mkdir()
        child = launcher.launch()
        try:
            known = replace(place, parent=launcher.pid)
            child.order(orders(known, work, launcher.device, settings, sandbox))
            return answer(child)
        finally:
            child.close()


def orders(place: Place, folder: Path, device: str, settings: Settings, sandbox: bool) -> Orders:
    """As a job's, with little memory: the doors to memory must not take much when one is open."""
    return Orders(
        kind=Kind.INSPECT,
        payload=asdict(place),
        files={},
        folder=str(folder),
        runner=RUNNER,
        device=device,
        threads=settings.job_threads,
        seconds=SECONDS,
        memory_bytes=MEMORY,
        file_bytes=1 << 20,
        sandbox=sandbox,
    )


@contextlib.contextmanager
def surroundings(settings: Settings, folder: Path, start: Path) -> Iterator[Place]:
    """Canaries in the start folder, the data folder and TMPDIR, and sockets that listen."""
    address = str(folder / "s")
    with (
        contextlib.ExitStack() as stack,
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as listening,
    ):
        listening.bind(address)
        listening.listen()
        places = (start, settings.data_dir, settings.blobs, folder)
        canaries = [path for place in places if (path := stack.enter_context(canary(place)))]
        yield Place(
            canaries=tuple(dict.fromkeys(map(str, canaries))),
            start=str(start),
            address=address,
            port=port.getsockname()[1],
            worker=os.getpid(),
            parent=0,
            memory_bytes=MEMORY,
        )


def start_folder(libraries: Sequence[Path], otherwise: Path) -> Path:
    """Where the worker was started."""
    start = Path.cwd()
    return otherwise if any(start.is_relative_to(library) for library in libraries) else start


@contextlib.contextmanager
def canary(folder: Path) -> Iterator[Path | None]:
    """A file with a secret, removed afterwards; None where this user may not write."""
    path = folder.absolute() / f".erfscope-canary-{secrets.token_hex(8)}"
    try:
        path.write_text("secret")
    except OSError:
        yield None
        return
    try:
        yield path
    finally:
        for left in (path, path.with_name(f"{path.name}.new")):
            with contextlib.suppress(OSError):
                left.unlink()


def answer(child: Child) -> list[Attempt]:
    """What the child sends as its result."""
    reader, text, give_up_at = Reader(), bytearray(), time.monotonic() + SECONDS
    try:
        while wait_readable(child.channel, give_up_at - time.monotonic()) and (data := child.channel.recv(1 << 16)):
            for frame in reader.feed(data):
                if frame.type == "done":
                    return [Attempt(*row) for row in json.loads(text)]
                if frame.type != "part":
                    raise RuntimeError(f"The child that tries the jail's doors failed: {frame.header}")
                text += frame.body
    except ConnectionError as error:
        raise NoAnswerError("The child that tries the jail's doors was lost.") from error
    except FrameError as error:
        raise RuntimeError(f"The child that tries the jail's doors sent nonsense: {error}") from error
    raise NoAnswerError("The child that tries the jail's doors ended, or was stopped, without an answer.")


def table(attempts: Sequence[Attempt]) -> str:
    """One line for each door, and a sum."""
    lines = [f"{one.opened or 'shut':<44} {one.group:<11} {one.name}" for one in attempts]
    opened = sum(bool(one.opened) for one in attempts)
    return "\n".join([*lines, f"{len(attempts)} doors, {opened} open; Landlock level {jail.level()}"])
