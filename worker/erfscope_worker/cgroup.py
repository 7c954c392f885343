"""A control group for each child, where the system has delegated one to the worker (cgroup v2).

It counts what rlimits do not: shared and hidden pages, files in memory, threads of root. Where none is delegated,
the calls that make such memory are refused by the jail, and the worker looks itself (`usage.py`).
"""

import contextlib
import logging
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HIERARCHY = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
NEEDED = {"memory", "pids"}
MARGIN = 256 << 20  # page tables, and pages that a child copies from the fork server
THREADS = 1024
REMOVE_SECONDS = 2.0  # the kernel takes a moment to forget a process
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """The group of one child."""

    folder: Path

    @property
    def events(self) -> Path:
        """Where the kernel counts kills for memory."""
        return self.folder / "memory.events"

    def close(self) -> None:
        """Remove it, once its child is dead."""
        give_up_at = time.monotonic() + REMOVE_SECONDS
        while True:
            try:
                return self.folder.rmdir()
            except OSError as error:
                if time.monotonic() > give_up_at:
                    return log.warning("cannot remove the control group %s: %s", self.folder, error)
            time.sleep(0.01)


class Groups:
    """Makes groups below the worker's own."""

    def __init__(self, base: Path) -> None:
        self.base = base

    @classmethod
    def delegated(cls, hierarchy: Path = HIERARCHY, membership: Path = MEMBERSHIP) -> Self | None:
        """The worker's own group, ready for children; None where it was not delegated, or not wholly.

        The worker moves to a leaf below it, for a group with controlled children may hold no process.
        """
        base = own_group(hierarchy, membership)
        if base is None or not is_delegated(base):
            return None
        try:
            leaf = base / "worker"
            leaf.mkdir(exist_ok=True)
            (leaf / "cgroup.procs").write_text(str(os.getpid()))
            (base / "cgroup.subtree_control").write_text("+memory +pids")
        except OSError as error:
            log.warning("the control group %s is delegated, but cannot be used: %s", base, error)
            return None
        return cls(base)

    def new(self, pid: int, memory_bytes: int, file_bytes: int) -> Group | None:
        """A group with that child in it and limits on memory (its files in /tmp too) and threads.

        None, with a warning, where the kernel refuses: the other limits hold.
        """
        group = Group(self.base / f"job-{secrets.token_hex(8)}")
        limits = {
            "memory.max": memory_bytes + file_bytes + MARGIN,
            "memory.swap.max": 0,
            "memory.oom.group": 1,
            "pids.max": THREADS,
            "cgroup.procs": pid,
        }
        try:
            group.folder.mkdir()
            for name, value in limits.items():
                if (
                    name != "memory.swap.max" or (group.folder / name).exists()
                ):  # a kernel without swap has no such file
                    (group.folder / name).write_text(str(value))
        except OSError as error:
            log.warning("a child runs without a control group of its own: %s", error)
            with contextlib.suppress(OSError):
                group.folder.rmdir()
            return None
        return group


def own_group(hierarchy: Path, membership: Path) -> Path | None:
    """The folder of this process' group in the unified hierarchy."""
    try:
        lines = membership.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    return None if path is None else hierarchy / path.lstrip("/")


def is_delegated(base: Path) -> bool:
    """Whether the group is this user's to divide, has the controllers, and holds this process alone.

    A group that merely can be written, as root can write all of them, belongs to whoever manages the system.
    """
    try:
        controllers = set((base / "cgroup.controllers").read_text(encoding="ascii").split())
        processes = (base / "cgroup.procs").read_text(encoding="ascii").split()
        owner = base.stat().st_uid
    except OSError:
        return False
    ours = (owner == os.geteuid() != 0) or _marked(base)
    return ours and controllers >= NEEDED and processes == [str(os.getpid())]


def _marked(base: Path) -> bool:
    """Whether systemd says that it was delegated (Delegate=yes)."""
    try:
        return os.getxattr(base, "user.delegate") == b"1"
    except (OSError, AttributeError):
        return False
