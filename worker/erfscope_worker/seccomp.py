"""The system calls that a jailed child may not make, as a seccomp filter; no library needed."""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
from typing import NamedTuple

# name: (x86-64, arm64); None where the architecture has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    # network
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    # other programs and processes
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setrlimit": (160, 164),
    # file systems and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # the kernel's wide doors
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "acct": (163, 89),
    "iopl": (172, None),
    "ioperm": (173, None),
    "personality": (135, 92),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
}


class Machine(NamedTuple):
    """What differs between architectures besides the numbers above."""

    column: int
    audit: int
    clone: int
    clone3: int
    tgkill: int
    prlimit64: int
    foreign: int | None  # from here on another ABI's numbers (x32)


MACHINES = {
    "x86_64": Machine(0, 0xC000003E, 56, 435, 234, 302, 0x40000000),
    "aarch64": Machine(1, 0xC00000B7, 220, 435, 131, 261, None),
}

LOAD, EQUAL, AT_LEAST, HAS_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
CLONE_THREAD = 0x00010000
PR_SET_SECCOMP, PR_GET_SECCOMP, SECCOMP_MODE_FILTER = 22, 21, 2
INSTRUCTION = struct.Struct("=HBBI")

DENY = ERRNO | errno.EPERM
NO_SUCH_CALL = ERRNO | errno.ENOSYS  # makes glibc fall back from clone3 to clone, whose flags can be read


def low(argument: int) -> int:
    """Offset of an argument's low half (both architectures are little-endian)."""
    return 16 + 8 * argument


def high(argument: int) -> int:
    """Offset of an argument's high half."""
    return low(argument) + 4


def program(machine: Machine, pid: int) -> bytes:
    """The filter: allow all but the table, threads but no processes, signals to oneself alone."""
    code: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    if machine.foreign is not None:
        code += [(AT_LEAST, 0, 1, machine.foreign), (RETURN, 0, 0, KILL)]
    for numbers in DENIED.values():
        if (number := numbers[machine.column]) is not None:
            code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, DENY)]
    code += [
        (EQUAL, 0, 1, machine.clone3),
        (RETURN, 0, 0, NO_SUCH_CALL),
        # clone only of threads
        (EQUAL, 0, 4, machine.clone),
        (LOAD, 0, 0, low(0)),
        (HAS_BITS, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, ALLOW),
        # tgkill (abort) only of oneself
        (EQUAL, 0, 4, machine.tgkill),
        (LOAD, 0, 0, low(0)),
        (EQUAL, 1, 0, pid),
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, ALLOW),
        # prlimit64 reads limits, never sets them (its third argument is null): root could raise them
        (EQUAL, 0, 6, machine.prlimit64),
        (LOAD, 0, 0, low(2)),
        (EQUAL, 0, 3, 0),
        (LOAD, 0, 0, high(2)),
        (EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def available(prctl: Callable[..., int]) -> bool:
    """Whether this kernel and architecture have it."""
    return platform.machine() in MACHINES and prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def install(prctl: Callable[..., int]) -> None:
    """Bind this thread and all that it starts; needs no_new_privs."""
    code = program(MACHINES[platform.machine()], os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    length = len(code) // INSTRUCTION.size
    fprog = FilterProgram(length, ctypes.cast(buffer, ctypes.c_void_p))
    if prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(fprog), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the seccomp filter was refused")
