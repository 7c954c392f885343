"""The system calls that a jailed child may make, as a seccomp filter: an allow list with checked arguments.

What is not listed fails with EPERM. So a call that a later kernel brings is refused until somebody has looked at it.
"""

import ctypes
import os
import platform
from collections.abc import Callable, Mapping
from typing import NamedTuple

from erfscope_worker.bpf import (
    ARCHITECTURE,
    AT_LEAST,
    EQUAL,
    INSTRUCTION,
    KILL,
    LOAD,
    NO_SUCH_CALL,
    NUMBER,
    REFUSE,
    RETURN,
    Code,
    call,
    no_bits,
    not_equal,
    null,
    one_of,
    packed,
    unless,
)
from erfscope_worker.calls import ALLOWED, CHECKED, CUDA, UNKNOWN, Number


class Machine(NamedTuple):
    """What differs between architectures besides the calls' numbers."""

    column: int
    audit: int
    foreign: int | None  # from here on another ABI's numbers (x32)


MACHINES = {
    "x86_64": Machine(0, 0xC000003E, 0x40000000),
    "aarch64": Machine(1, 0xC00000B7, None),
}
PR_SET_SECCOMP, PR_GET_SECCOMP, SECCOMP_MODE_FILTER = 22, 21, 2

# What pthread_create asks of clone, and nothing else: no process, no namespace. 0x400000 is without effect.
THREAD, NO_EFFECT = 0x003D0F00, 0x00400000
WAIT_AND_WAKE = (0, 1, 3, 4, 5, 9, 10)  # no futex with priority inheritance
FUTEX_OPTIONS = 0x180  # private, realtime
SHARED, ANONYMOUS, GROWS_DOWN, LOCKED, HUGE_PAGES = 0x01, 0x20, 0x0100, 0x2000, 0x40000
READ_WRITE_EXECUTE = 0x07  # torch's convolutions are compiled at run time, so memory may be executable
MAY_MOVE_OR_FIXED = 0x03
# Hints that concern this process alone: no merging of equal pages (it tells what other processes hold), no poison.
ADVICE = (0, 1, 2, 3, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 102, 103)
NUMA_MOVE_ALL = 0x04
PATH_ONLY, UNNAMED, ASYNC, TRUNCATE, ACCESS = 0x200000, 0x400000, 0x2000, 0x200, 0x03
TERMINAL_QUESTIONS = (0x5401, 0x5413)  # is it a terminal, how large
CLOSE_ON_EXEC = (0x5450, 0x5451)
DUPLICATE, GET_FLAGS, SET_FLAGS, DUPLICATE_CLOEXEC = 0, 3, 4, 1030
NAMES = (15, 16)  # PR_SET_NAME, PR_GET_NAME
# No clocks that wake a machine, of devices, or of another process' CPU time: how busy other jobs are is theirs.
CLOCKS, CPU_TIME, OF_THREAD = (1, 0, 2, 3, 4, 5, 6, 7, 11), 2, 4
TILE_REGISTERS = (0x1021, 0x1022, 0x1023)  # x86 AMX, which oneDNN asks for


def opening(flags: int) -> Code:
    """An open for reading or writing, by the flags in that argument.

    O_PATH passes Landlock; an unnamed file cannot be counted; O_TRUNC without writing, and the access mode 3, pass
    Landlock before its ABI 3; O_ASYNC sends signals.
    """
    return [
        *no_bits(flags, PATH_ONLY | UNNAMED | ASYNC),
        *not_equal(flags, TRUNCATE, TRUNCATE | ACCESS),
        *not_equal(flags, ACCESS, ACCESS),
    ]


def mapping(cuda: bool) -> Code:
    """Memory that RLIMIT_DATA counts: neither shared and anonymous nor a growing stack."""
    private = [] if cuda else not_equal(3, SHARED | ANONYMOUS, SHARED | ANONYMOUS)
    return [*no_bits(3, GROWS_DOWN | LOCKED | HUGE_PAGES), *private]


def clocks(pid: int) -> list[int]:
    """The clocks that a process may read: the machine's, and its own CPU time's by either name."""
    own = [~pid << 3 | CPU_TIME, ~0 << 3 | CPU_TIME, ~0 << 3 | CPU_TIME | OF_THREAD]
    return [*CLOCKS, *(clock & 0xFFFFFFFF for clock in own)]


def rules(pid: int, cuda: bool) -> dict[str, Code]:
    """The checks of each call in `calls.CHECKED`; a pid of 0 means oneself."""
    return {
        "futex": one_of(1, WAIT_AND_WAKE, ~FUTEX_OPTIONS & 0xFFFFFFFF),
        "clock_gettime": one_of(0, clocks(pid)),
        "clock_getres": one_of(0, clocks(pid)),
        "clock_nanosleep": one_of(0, clocks(pid)),
        "madvise": one_of(2, ADVICE),
        "mmap": mapping(cuda),
        "mprotect": no_bits(2, ~READ_WRITE_EXECUTE & 0xFFFFFFFF),
        "mremap": no_bits(3, ~MAY_MOVE_OR_FIXED & 0xFFFFFFFF),
        "mbind": no_bits(5, NUMA_MOVE_ALL),
        "openat": opening(2),
        "open": opening(1),
        "ioctl": one_of(1, (*TERMINAL_QUESTIONS, *CLOSE_ON_EXEC)),
        # no locks, leases, owners, signals or sizes of pipes
        "fcntl": [
            *one_of(1, (DUPLICATE, 1, 2, GET_FLAGS, SET_FLAGS, DUPLICATE_CLOEXEC)),
            *unless(1, SET_FLAGS, no_bits(2, ASYNC)),
        ],
        "clone": one_of(0, [THREAD], ~NO_EFFECT & 0xFFFFFFFF),
        "tgkill": one_of(0, [pid]),
        "prctl": one_of(0, NAMES),
        "arch_prctl": one_of(0, TILE_REGISTERS),
        # limits may be read: who is root could raise them
        "prlimit64": [*one_of(0, (0, pid)), *null(2)],
        "sched_getaffinity": one_of(0, (0, pid)),
    }


def program(machine: Machine, pid: int, *, cuda: bool = False) -> bytes:
    """The filter for one process."""
    code: Code = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, machine.audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if machine.foreign is not None:
        code += [(AT_LEAST, 0, 1, machine.foreign), (RETURN, 0, 0, KILL)]
    free = {**ALLOWED, **(CUDA if cuda else {})}
    for name, checks in rules(pid, cuda).items():
        if name not in free:
            code += permission(CHECKED[name], machine, checks)
    for number in free.values():
        code += permission(number, machine, [])
    for number in UNKNOWN.values():
        code += [(EQUAL, 0, 1, _there(number, machine)), (RETURN, 0, 0, NO_SUCH_CALL)]
    return packed([*code, REFUSE])


def permission(number: Number, machine: Machine, checks: Code) -> Code:
    """The part of the filter for one call; empty where the architecture does not have it."""
    return [] if number[machine.column] is None else call(_there(number, machine), checks)


def _there(number: Number, machine: Machine) -> int:
    value = number[machine.column]
    assert value is not None
    return value


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def available(prctl: Callable[..., int]) -> bool:
    """Whether this kernel and architecture have it."""
    return platform.machine() in MACHINES and prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def install(prctl: Callable[..., int], *, cuda: bool = False) -> None:
    """Bind this thread and all that it starts; needs no_new_privs."""
    code = program(MACHINES[platform.machine()], os.getpid(), cuda=cuda)
    buffer = ctypes.create_string_buffer(code, len(code))
    length = len(code) // INSTRUCTION.size
    fprog = FilterProgram(length, ctypes.cast(buffer, ctypes.c_void_p))
    if prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(fprog), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the seccomp filter was refused")


def numbers(machine: Machine, table: Mapping[str, Number]) -> list[int]:
    """The numbers of a table on that machine."""
    return [value for number in table.values() if (value := number[machine.column]) is not None]
