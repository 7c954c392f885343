"""What code of an attacker would do inside the jail, one act for each payload; imported by the fork server."""

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Callable

from job_runners import outputs  # type: ignore[import-not-found]  # found by PYTHONPATH in the fork server

from erfscope_worker.child import CHANNEL
from erfscope_worker.task import Outputs, Task

MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.shmat.restype = ctypes.c_void_p
FAILED = ctypes.c_void_p(-1).value


def failed(result: int | None) -> bool:
    return result in (-1, FAILED, None)


def fill(address: int, size: int) -> None:
    ctypes.memset(address, 1, size)


def mapped(size: int, flags: int, descriptor: int = -1) -> int:
    address: int | None = LIBC.mmap(None, ctypes.c_size_t(size), 3, flags, descriptor, ctypes.c_long(0))
    if address is None or failed(address):
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def private() -> None:
    fill(mapped(16 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), 16 * MIB)


def growing_stack() -> None:
    fill(mapped(16 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100), 16 * MIB)


def shared() -> None:
    fill(mapped(16 * MIB, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS), 16 * MIB)


def zero_device() -> None:
    fill(mapped(16 * MIB, mmap.MAP_SHARED, os.open("/dev/zero", os.O_RDWR)), 16 * MIB)


def memfd() -> None:
    descriptor = os.memfd_create("hoard")
    os.ftruncate(descriptor, 16 * MIB)
    fill(mapped(16 * MIB, mmap.MAP_SHARED, descriptor), 16 * MIB)


def system_v() -> None:
    segment = LIBC.shmget(0, ctypes.c_size_t(16 * MIB), 0o1600)
    if failed(segment):
        raise OSError(ctypes.get_errno(), "shmget")
    address = LIBC.shmat(segment, None, 0)
    LIBC.shmctl(segment, 0, None)
    if failed(address):
        raise OSError(ctypes.get_errno(), "shmat")
    fill(address, 16 * MIB)


def made_read_only() -> None:
    """RLIMIT_DATA stops counting memory that cannot be written any more."""
    address = mapped(16 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fill(address, 16 * MIB)
    LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(16 * MIB), 1)


KINDS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (private, growing_stack, shared, zero_device, memfd, system_v, made_read_only)
}


def hoard(task: Task) -> Outputs:
    """Take memory of one kind, 16 MiB at a time; how much there was when it was refused."""
    pieces = 0
    try:
        while pieces < int(task.payload["pieces"]):
            KINDS[task.payload["kind"]]()
            pieces += 1
    except (OSError, MemoryError):
        return outputs(mib=16 * pieces, refused=True)
    time.sleep(float(task.payload.get("hold", 0)))
    return outputs(mib=16 * pieces, refused=False)


def nest(task: Task) -> Outputs:
    """3,000 folders in each other, some of which nobody may enter."""
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.mkdir("shut", 0)
    return outputs()


def litter(task: Task) -> Outputs:
    for n in range(1_000_000):
        with open(f"f{n}", "wb"):
            pass
    return outputs()


def write_much(task: Task) -> Outputs:
    """Many files, each below the limit of one."""
    for n in range(100):
        with open(f"f{n}", "wb") as file:
            file.write(bytes(4 * MIB))
        time.sleep(0.05)
    return outputs()


def look_around(task: Task) -> Outputs:
    """What can be read of these paths."""
    seen: dict[str, str] = {}
    for path in task.payload["paths"]:
        try:
            seen[path] = str(os.listdir(path)) if os.path.isdir(path) else open(path, "rb").read(20).hex()  # noqa: SIM115
        except OSError:
            continue
    return outputs(seen=seen)


def leave(task: Task) -> Outputs:
    """Leave something for the next job in every place that jobs could share."""
    left = []
    for key in (0x6572, 0x6573):
        if not failed(LIBC.shmget(key, ctypes.c_size_t(4096), 0o1666)):
            left.append(f"segment {key}")
        if not failed(LIBC.semget(key, 1, 0o1666)):
            left.append(f"semaphores {key}")
        if not failed(LIBC.msgget(key, 0o1666)):
            left.append(f"queue {key}")
    for place in ("/dev/shm/left", "/tmp/left", "/var/tmp/left", "../left", "/dev/mqueue/left"):
        try:
            with open(place, "w", encoding="utf-8"):
                left.append(place)
        except OSError:
            continue
    return outputs(left=left)


def raw(header: bytes, body: bytes = b"") -> None:
    os.write(CHANNEL, struct.pack(">II", len(header), len(body)) + header + body)


def lie(task: Task) -> Outputs:
    """Frames as the payload says, then the end that a job has."""
    for text, body in task.payload["frames"]:
        raw(text.encode("utf-8", "surrogatepass"), bytes.fromhex(body))
    if task.payload.get("done", True):
        raw(b'{"type": "done", "parts": [], "whole": false}')
    time.sleep(0.5)
    os._exit(0)


def answer(task: Task) -> Outputs:
    """A result of this text."""
    return Outputs(task.payload["text"].encode("utf-8", "surrogatepass"))


def sleep(task: Task) -> Outputs:
    task.report(f"pid:{os.getpid()}", 0.25)
    time.sleep(60)
    return outputs()


def succeed(task: Task) -> Outputs:
    return outputs(pid=os.getpid())


ACTS: dict[str, Callable[[Task], Outputs]] = {
    act.__name__: act for act in (hoard, nest, litter, write_much, look_around, leave, lie, answer, sleep, succeed)
}


def run(task: Task) -> Outputs:
    """The runner of these tests."""
    return ACTS[task.payload["do"]](task)
