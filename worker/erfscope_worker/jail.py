"""The jail of a child: within limits, without network, secrets, other programs or others' files.

Called in the child before any byte of a model is read, while it has one thread: Landlock and seccomp bind the
calling thread and what it starts later.
"""

import ctypes
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from erfscope_worker import landlock, privileges, readable, seccomp
from erfscope_worker.limits import limit, thread_count

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
DEVICES = ("/dev/null",)

__all__ = ["enter", "follow", "hide", "limit", "missing", "prctl", "thread_count"]


@functools.cache
def c_library() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int) -> int:
    """The system call, by libc."""
    libc = c_library()
    padded = (*arguments, 0, 0, 0, 0)[:4]
    result: int = libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(argument) for argument in padded))
    return result


def missing() -> list[str]:
    """What this machine lacks for a jail; empty when one can be had."""
    if sys.platform != "linux":
        return ["Linux"]
    checks: dict[str, Callable[[], bool]] = {
        "Landlock (Linux 5.13 and later)": lambda: landlock.version() > 0,
        "seccomp filters (on x86-64 or arm64)": lambda: seccomp.available(prctl),
    }
    return [name for name, there in checks.items() if not there()]


def follow(parent: int) -> None:
    """Die with the parent."""
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


def hide() -> None:
    """Keep this process' memory and environment from others of the same user."""
    if sys.platform == "linux":
        prctl(PR_SET_DUMPABLE, 0)


def enter(folder: Path, files: Iterable[Path], device: str) -> None:
    """Close the doors: no privileges, no files but these, no system calls but those of the list.

    `files` are the model and what belongs to it; the folders of this interpreter's libraries are readable besides.
    Raises RuntimeError when there is more than one thread, OSError when the kernel refuses.
    """
    if thread_count() != 1:
        raise RuntimeError("the jail binds one thread, and there are others already")
    cuda = device.startswith("cuda")
    if prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    landlock.restrict(rules(folder, files, cuda=cuda))
    privileges.drop(prctl)
    seccomp.install(prctl, cuda=cuda)


def rules(folder: Path, files: Iterable[Path], *, cuda: bool) -> Iterable[tuple[Path, int]]:
    """What a child may do with files: path → rights of Landlock."""
    system = [*readable.SYSTEM, *(readable.CUDA if cuda else ())]
    gpus = sorted(Path("/dev").glob("nvidia*")) if cuda else []
    return [
        (folder, landlock.OWN_FOLDER),
        *((path, landlock.READ) for path in (*readable.libraries(), *map(Path, system), *files)),
        *((Path(device), landlock.DEVICE) for device in DEVICES),
        *((gpu, landlock.DRIVER) for gpu in gpus),
    ]


def level() -> int:
    """Landlock's ABI that children are held by: 0 where the kernel has none, 6 and more shut every door of its list."""
    return landlock.version() if sys.platform == "linux" else 0
