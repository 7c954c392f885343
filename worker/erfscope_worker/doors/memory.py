"""Attempts that the jail must refuse: to get memory that no limit counts, or that outlives the job."""

import ctypes
import mmap
import os

from erfscope_worker.doors.door import Door, Place, libc

MIB = 1 << 20
BEYOND = 192 * MIB  # past the limit
PIECE = 16 * MIB
PRIVATE_KEY = 0
CREATE = 0o1600
GROWS_DOWN = 0x100


def touch(address: int, size: int) -> None:
    """Make pages of it."""
    for page in range(0, size, mmap.PAGESIZE):
        ctypes.memset(address + page, 1, 1)


def map_memory(size: int, flags: int, descriptor: int = -1) -> int:
    """mmap for reading and writing; its address."""
    return libc("mmap", 0, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, descriptor, 0)


def hold(place: Place, flags: int) -> object:
    """As much as the limit and more, in pieces."""
    pieces: list[int] = []
    try:
        while len(pieces) * PIECE < place.memory_bytes + BEYOND:
            pieces.append(map_memory(PIECE, flags))
            touch(pieces[-1], PIECE)
    finally:
        for address in pieces:
            libc("munmap", address, PIECE)
    return len(pieces) * PIECE


def memfd(place: Place) -> object:
    """A file in memory."""
    return os.memfd_create("door")


def in_shared_memory(place: Place) -> object:
    """A file in memory with a name that other processes can open; removed at once."""
    path = f"/dev/shm/erfscope-door-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    os.unlink(path)
    return path


def system_v(place: Place) -> object:
    """A segment that other processes can attach, which stays when the job has ended."""
    segment = libc("shmget", PRIVATE_KEY, MIB, CREATE)
    libc("shmctl", segment, 0, 0)  # IPC_RMID
    return segment


def removed_at_once(get: str, control: str, *arguments: int) -> object:
    """Make a semaphore set or a queue, and remove it."""
    number = libc(get, PRIVATE_KEY, *arguments)
    libc(control, number, *([0] if control == "semctl" else []), 0, 0)
    return number


PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
DOORS = [
    Door("memory", "private memory over the limit", lambda place: hold(place, PRIVATE)),
    Door("memory", "a stack that grows over the limit", lambda place: hold(place, PRIVATE | GROWS_DOWN)),
    Door("memory", "shared memory over the limit", lambda p: hold(p, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)),
    Door("memory", "shared pages of /dev/zero", lambda place: os.open("/dev/zero", os.O_RDWR)),
    Door("memory", "a file in memory (memfd)", memfd),
    Door("memory", "secret memory (memfd_secret)", lambda place: libc("syscall", 447, 0)),
    Door("memory", "memory locked in RAM", lambda place: libc("mlockall", 2)),
    Door("memory", "a file in /dev/shm", in_shared_memory),
    Door("memory", "pipes as buffers", lambda place: os.pipe()),
    Door("ipc", "System V shared memory", system_v),
    Door("ipc", "System V semaphores", lambda place: removed_at_once("semget", "semctl", 1, CREATE)),
    Door("ipc", "System V queues", lambda place: removed_at_once("msgget", "msgctl", CREATE)),
    Door("ipc", "attach another's segment", lambda place: libc("shmat", 0, 0, 0)),
    Door("ipc", "POSIX queues", lambda p: libc("syscall", {"x86_64": 240}.get(os.uname().machine, 180), 1, 0, 0, 0)),
]
