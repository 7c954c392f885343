"""What a door is: an attempt that a jail must refuse, and the verdict on it."""

import ctypes
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# The words of a jail. Any other error means that the kernel looked at the arguments: the door was open.
REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOENT, errno.ENOMEM, errno.EXDEV, errno.ENOTDIR, errno.EROFS}
)


@dataclass(frozen=True)
class Place:
    """Where a child tries: what it must not reach."""

    canaries: tuple[str, ...]  # files with a secret: in the start folder, the data folder, TMPDIR
    start: str  # folder in which the worker was started
    address: str  # path of a Unix socket that listens
    port: int  # of 127.0.0.1, where something listens
    worker: int  # process ids
    parent: int
    memory_bytes: int  # limit of this child


class Door(NamedTuple):
    """One attempt; it raises OSError or MemoryError when the jail refuses."""

    group: str
    name: str
    attempt: Callable[[Place], object]


def attempt(door: Door, place: Place) -> str:
    """An empty text when the door is shut, else how it was open."""
    try:
        result = door.attempt(place)
    except MemoryError:
        return ""
    except OSError as error:
        return "" if error.errno in REFUSALS else f"reached the kernel: {error.strerror}"
    except (ImportError, RuntimeError, ValueError) as error:  # what lies behind a refusal in the library
        return "" if isinstance(error.__cause__ or error.__context__, OSError) else f"{type(error).__name__}: {error}"
    return f"succeeded: {str(result)[:60]!r}"


def libc(name: str, *arguments: int | bytes | None) -> int:
    """A function of the C library; raises OSError when it answers -1."""
    library = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    function = getattr(library, name)
    function.restype = ctypes.c_long
    ctypes.set_errno(0)
    result = int(function(*values))
    if result in (-1, 0xFFFFFFFF):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def system_call(number: int, *arguments: int) -> int:
    """A system call by number; raises OSError when it fails."""
    return libc("syscall", number, *arguments)
