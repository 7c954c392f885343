"""The seccomp filter as a table, run by an interpreter of classic BPF of our own, for every architecture."""

import errno
import struct
from collections.abc import Iterator

import pytest

from erfscope_worker.calls import ALLOWED, CHECKED, UNKNOWN, Number
from erfscope_worker.seccomp import MACHINES, Machine, program

PID = 4242
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
HUGE = 1 << 32


def verdict(
    code: bytes, machine: Machine, number: int, arguments: tuple[int, ...] = (), audit: int | None = None
) -> int:
    """What the filter answers to a call: struct seccomp_data in, a 32-bit action out."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<iIQ6Q", number, machine.audit if audit is None else audit, 0, *(n % (1 << 64) for n in padded))
    steps = list(struct.iter_unpack("<HBBI", code))
    at, value = 0, 0
    while True:
        operation, yes, no, operand = steps[at]
        at += 1
        if operation == 0x06:
            return int(operand)
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            value &= operand
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[operation]
            at += yes if holds else no


# call: arguments that must pass, arguments that must not
TABLE: dict[str, tuple[list[tuple[int, ...]], list[tuple[int, ...]]]] = {
    "mmap": ([(0, 9, 3, 0x22), (0, 9, 3, 0x02), (0, 9, 1, 0x01)], [(0, 9, 3, 0x21), (0, 9, 3, 0x122), (0, 9, 3, 0x23)]),
    "mprotect": ([(0, 9, 0), (0, 9, 7)], [(0, 9, 0x01000003), (0, 9, 0x02000001)]),
    "mremap": ([(0, 9, 9, 1)], [(0, 9, 9, 4), (0, 9, 9, 5)]),
    "madvise": ([(0, 9, 4), (0, 9, 14)], [(0, 9, 12), (0, 9, 9), (0, 9, 100), (0, 9, 25)]),
    "openat": (
        [(-100, 9, 0), (-100, 9, 0x80241), (-100, 9, 2 | 0x200)],
        [(-100, 9, 0x200000), (-100, 9, 0x410002), (-100, 9, 0x200), (-100, 9, 3), (-100, 9, 0x2000)],
    ),
    "open": ([(9, 0)], [(9, 0x200), (9, 0x200000), (9, 3)]),
    "fcntl": (
        [(3, 1), (3, 4, 0x800), (3, 1030, 9)],
        [(3, 4, 0x2000), (3, 8, PID), (3, 10), (3, 6), (3, 1024), (3, 1031)],
    ),
    "ioctl": ([(1, 0x5401), (1, 0x5451)], [(1, 0x5412), (1, 0x8901), (1, 0x40086602)]),
    "clone": (
        [(0x3D0F00,), (0x7D0F00,)],
        [(17,), (0x01200011,), (0x3D0F00 | 0x10000000,), (0x100,), (0x3D0F00 & ~0x10000,)],
    ),
    # the machine's clocks and one's own CPU time; not another's (~1 << 3 | 2), a thread's of it, a device's, an alarm
    **{
        name: ([(1,), (0,), (7,), (-6,), (-2,), (~PID << 3 | 2,)], [(-14,), (~1 << 3 | 6,), (-5,), (8,), (9,)])
        for name in ("clock_gettime", "clock_getres", "clock_nanosleep")
    },
    "tgkill": ([(PID, PID, 6)], [(PID - 1, PID, 6), (0, 0, 0), (-1, 1, 0)]),
    "prctl": ([(15, 9), (16, 9)], [(1, 0), (4, 1), (22, 2), (24, 0), (38, 1), (HUGE + 1, 0)]),
    "prlimit64": ([(0, 7, 0, 9), (PID, 7, 0, 9)], [(0, 7, 9, 0), (0, 7, HUGE, 0), (PID + 1, 7, 0, 9)]),
    "sched_getaffinity": ([(0, 8, 9), (PID, 8, 9)], [(1, 8, 9), (PID + 1, 8, 9)]),
    "futex": ([(9, 0x80), (9, 0x189)], [(9, 6), (9, 0x86), (9, 13)]),
    "mbind": ([(9, 9, 1, 0, 0, 0)], [(9, 9, 1, 0, 0, 4)]),
    "arch_prctl": ([(0x1023, 18)], [(0x1001, 9), (0x1012, 9)]),
}


def rows() -> Iterator[tuple[str, str, tuple[int, ...], bool]]:
    for name in MACHINES:
        for call, (passing, refused) in TABLE.items():
            yield from ((name, call, arguments, True) for arguments in passing)
            yield from ((name, call, arguments, False) for arguments in refused)


def number_of(number: Number, machine: Machine) -> int | None:
    return number[machine.column]


@pytest.mark.parametrize(("name", "call", "arguments", "passes"), list(rows()))
def test_arguments(name: str, call: str, arguments: tuple[int, ...], passes: bool) -> None:
    machine = MACHINES[name]
    number = number_of(CHECKED[call], machine)
    if number is not None:
        assert verdict(program(machine, PID), machine, number, arguments) == (ALLOW if passes else EPERM)


def test_every_checked_call_has_a_row() -> None:
    assert set(TABLE) == set(CHECKED)


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_not_listed_is_refused(name: str) -> None:
    machine = MACHINES[name]
    code = program(machine, PID)
    listed = {number_of(row, machine) for row in (ALLOWED | CHECKED | UNKNOWN).values()}
    free = {number_of(row, machine) for row in ALLOWED.values()}
    for number in range(1100):
        answer = verdict(code, machine, number, (9, 9, 9, 9, 9, 9))
        if number not in listed:
            assert answer == EPERM
        elif number in free:
            assert answer == ALLOW
    assert [verdict(code, machine, number_of(row, machine) or 0) for row in UNKNOWN.values()] == [ENOSYS] * len(UNKNOWN)


@pytest.mark.parametrize("name", MACHINES)
def test_another_architecture_is_killed(name: str) -> None:
    machine = MACHINES[name]
    assert verdict(program(machine, PID), machine, 0, audit=0x40000003) == KILL
    if name == "x86_64":
        assert verdict(program(machine, PID), machine, 0x40000000) == KILL
