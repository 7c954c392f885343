"""The data folder of `erfscope up`, held by one `up` at a time, and the short-lived folder of its socket."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from erfscope.cli.failure import cannot_start
from erfscope.cli.up_folder import SOCKET, default_data_dir, holder_of, is_alive, open_lock

PREFIX = "erfscope-up-"
SOCKET_PATH_LIMIT = 100  # sun_path holds 104 bytes on macOS, 108 on Linux
ROOM = 1 << 20  # bytes free on the disk: with less, the store ends at one of its first writes
REFUSALS = {
    errno.ENOSPC: "its disk has no room left; make some",
    errno.EDQUOT: "its disk quota is used up; make room",
    errno.EROFS: "its disk may only be read",
    errno.EACCES: "this user may not write there",
    errno.ENOTDIR: "a part of its path is a file",
}
ABANDONED = 60.0  # seconds after which a socket folder where nobody listens is nobody's
DYING = 10.0  # seconds that the parts of a killed `up` may take to let go of the folder


@dataclass(frozen=True)
class Installation:
    """Where everything is while `up` runs."""

    data_dir: Path
    socket: Path
    host: str
    port: int
    lock: int  # file descriptor; the store inherits it, so the folder stays locked until the store has ended

    @property
    def url(self) -> str:
        """Where people reach the service."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.data_dir / "logs" / f"{part}.log"


@contextmanager
def occupy(data_dir: Path | None, host: str, port: int) -> Iterator[Installation]:
    """Hold the folder and find the port; raises where another `up` has either."""
    folder = (data_dir or default_data_dir()).expanduser().resolve()
    with writable(folder):
        for part in ("", "logs", "valkey"):
            (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open_lock(folder, os.O_RDWR | os.O_CREAT)
    try:
        _lock(lock, folder)
        if is_full(folder):
            raise cannot_start(f"cannot write to {folder}: {REFUSALS[errno.ENOSPC]}, or name another with --data-dir.")
        port = free_port(host, port)
        with writable(Path(tempfile.gettempdir()), "TMPDIR"):
            run_dir = _fresh_run_dir(lock)
        try:
            installation = Installation(folder, run_dir / SOCKET, host, port, lock)
            with writable(folder):
                _remember(lock, {"pid": os.getpid(), "url": installation.url, "run_dir": str(run_dir)})
            yield installation
        finally:
            shutil.rmtree(run_dir, ignore_errors=True)
            with contextlib.suppress(OSError):  # a full disk
                _remember(lock, {"run_dir": str(run_dir)})  # no process has it: its number may be another's soon
    finally:
        os.close(lock)


@contextmanager
def writable(folder: Path, other: str = "--data-dir") -> Iterator[None]:
    """What the disk refuses in this block, in words."""
    try:
        yield
    except OSError as error:
        why = REFUSALS.get(error.errno or 0, error.strerror)
        raise cannot_start(f"cannot write to {folder}: {why}, or name another with {other}.") from None


def is_full(folder: Path) -> bool:
    """Whether the disk of that folder has hardly any room."""
    return shutil.disk_usage(folder).free < ROOM


def free_port(host: str, port: int) -> int:
    """The port, or a free one for 0; raises where it is taken or the address is not this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise cannot_start(
            f"--host {host}: no address has that name ({error.strerror or error}). Take one of this machine, "
            "as 127.0.0.1, or 0.0.0.0 for all of them.",
        ) from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise cannot_start(
                f"--host {host} is no address of this machine; 0.0.0.0 stands for all of them."
            ) from None
        raise cannot_start(
            f"cannot listen on {host} port {port}: {error.strerror or error}. "
            "Choose another port with --port (0 takes a free one).",
        ) from None


def _lock(lock: int, folder: Path) -> None:
    """Waits only for the store of an `up` that was killed; a living one is an error at once."""
    end = time.monotonic() + DYING
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = holder_of(lock)
            if is_alive(holder.get("pid")) or time.monotonic() > end:
                where = f" at {holder['url']} (process {holder['pid']})" if "url" in holder else ""
                raise cannot_start(
                    f"erfscope is already up{where} with the data folder {folder}. "
                    "Use that one, stop it, or give this one a folder of its own with --data-dir.",
                ) from None
            time.sleep(0.1)


def _fresh_run_dir(lock: int) -> Path:
    """A short path for the socket; what a killed `up` left behind goes away."""
    left = holder_of(lock).get("run_dir")
    if isinstance(left, str) and Path(left).name.startswith(PREFIX):
        shutil.rmtree(left, ignore_errors=True)
    sweep(Path(tempfile.gettempdir()))
    run_dir = Path(tempfile.mkdtemp(prefix=PREFIX))
    if len(os.fsencode(run_dir / SOCKET)) > SOCKET_PATH_LIMIT:
        run_dir.rmdir()
        run_dir = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    return run_dir


def sweep(parent: Path) -> None:
    """Remove the socket folders of killed `up`s with other data folders; a young one may be about to get its socket."""
    for folder in parent.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):  # somebody else's, or in use
            if time.time() - folder.stat().st_mtime > ABANDONED and not _listens(folder / SOCKET):
                (folder / SOCKET).unlink(missing_ok=True)
                folder.rmdir()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def _remember(lock: int, facts: dict[str, object]) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(facts).encode(), 0)
