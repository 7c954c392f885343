"""The data folder of an `erfscope up`, as others find it: its lock file names the process that holds it."""

import errno
import json
import os
import stat
from pathlib import Path

from erfscope.cli.failure import cannot_start

LOCK = "up.lock"
SOCKET = "valkey.sock"


def running(data_dir: Path | None) -> str | None:
    """The store's URL of the `up` that holds this folder now; None where there is none."""
    try:
        lock = open_lock((data_dir or default_data_dir()).expanduser(), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        holder = holder_of(lock)
    finally:
        os.close(lock)
    socket_path = Path(str(holder.get("run_dir"))) / SOCKET
    return f"unix://{socket_path}?db=0" if is_alive(holder.get("pid")) and socket_path.exists() else None


def open_lock(folder: Path, flags: int) -> int:
    """The lock file: a plain file of ours. What it says is believed, and a folder that it names is removed."""
    place = folder / LOCK
    try:
        lock = os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)  # a pipe would hold us up
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _strange(place) from None
        raise
    about = os.fstat(lock)
    if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
        return lock
    os.close(lock)
    raise _strange(place)


def _strange(place: Path) -> Exception:
    return cannot_start(
        f"{place} is a link, not a plain file, or another user's. Look at who put it there, remove it, or name another "
        "folder with --data-dir."
    )


def default_data_dir() -> Path:
    """ERFSCOPE_DATA_DIR, else the user's data folder of this platform, e.g. ~/.local/share/erfscope."""
    from platformdirs import user_data_path

    named = os.environ.get("ERFSCOPE_DATA_DIR")
    return Path(named) if named else user_data_path("erfscope", appauthor=False)


def holder_of(lock: int) -> dict[str, object]:
    """What the lock file tells of its holder: pid, url, run_dir; nothing where it is new or half-written."""
    try:
        facts = json.loads(os.pread(lock, 65_536, 0))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def is_alive(pid: object) -> bool:
    """Whether a process of this number runs, whoever owns it."""
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
