"""The data folder of an `erfscope up`, as others find it: its lock file names the process that holds it."""

import errno
import json
import os
import pwd
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from erfscope._errors import APIError
from erfscope.cli.failure import cannot_start, no_ledger

LOCK = "up.lock"
SOCKET = "valkey.sock"


STOPPED = (
    "No `erfscope up` runs with the data folder {folder}. Its store holds the keys and ends with it. Start it "
    "(`erfscope up --data-dir {quoted}`) and repeat the command; if it runs with another folder, name that folder "
    "with --data-dir. For a service of `erfscope serve`, name its Redis: --redis-url redis://HOST:6379/0 or "
    "ERFSCOPE_REDIS_URL."
)
HIDDEN = (
    "`erfscope up` (process {pid}) has the data folder {folder}, but the socket of its store, {socket}, is not there. "
    "Either it is just starting or stopping, then repeat the command; or it has a /tmp of its own (PrivateTmp= of "
    "systemd, a container), then run the command inside of that, or give `up` a TMPDIR that both can see."
)
STRANGE = (
    "{place} is a link, not a plain file. Look at who put it there, remove it, or name another folder with --data-dir."
)
ANOTHERS = (
    "{place} belongs to the user {user}, not to you. If `erfscope up` runs as that user, run the command as that user, "
    "too (sudo -u '{user}' …); else name another folder with --data-dir."
)
FOREIGN = (
    "The data folder {folder} may not be read by you. Run the command as the user who runs `erfscope up` "
    "(sudo -u USER …)."
)


def running(data_dir: Path | None) -> str:
    """The store's URL of the `up` that holds this folder now; raises APIError where there is none, and why."""
    folder = (data_dir or default_data_dir()).expanduser()
    try:
        lock = open_lock(folder, os.O_RDONLY, no_ledger)
    except FileNotFoundError:
        raise _no_up(STOPPED, folder) from None
    except PermissionError:
        raise _no_up(FOREIGN, folder) from None
    try:
        holder = holder_of(lock)
    finally:
        os.close(lock)
    if not is_alive(pid := holder.get("pid")):
        raise _no_up(STOPPED, folder)
    if not (socket_path := Path(str(holder.get("run_dir"))) / SOCKET).exists():
        raise _no_up(HIDDEN, folder, pid=pid, socket=socket_path)
    return f"unix://{socket_path}?db=0"


def _no_up(words: str, folder: Path, **facts: object) -> Exception:
    return no_ledger(words.format(folder=folder, quoted=shlex.quote(str(folder)), **facts))


def open_lock(folder: Path, flags: int, refusal: Callable[[str], APIError] = cannot_start) -> int:
    """The lock file: a plain file of ours. What it says is believed, and a folder that it names is removed.

    Raises `refusal` for any other file.
    """
    place = folder / LOCK
    try:
        lock = os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)  # a pipe would hold us up
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise refusal(STRANGE.format(place=place)) from None
        raise
    about = os.fstat(lock)
    if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
        return lock
    os.close(lock)
    words = ANOTHERS if stat.S_ISREG(about.st_mode) else STRANGE
    raise refusal(words.format(place=place, user=_user(about.st_uid)))


def _user(uid: int) -> str:
    """The name of a user, or the number of one who has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


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
