"""System calls by name: the number on each architecture, and which of them a jailed child may make unconditionally.

Calls with checked arguments are in `seccomp.py`; whatever is in neither table fails with EPERM.
"""

from typing import NamedTuple


class Number(NamedTuple):
    """A call's number; None where the architecture does not have the call."""

    x86_64: int | None
    aarch64: int | None


# The most frequent first: the kernel walks the filter in this order.
ALLOWED: dict[str, Number] = {
    "read": Number(0, 63),
    "write": Number(1, 64),
    "munmap": Number(11, 215),
    "newfstatat": Number(262, 79),
    "close": Number(3, 57),
    "lseek": Number(8, 62),
    "brk": Number(12, 214),
    "getrandom": Number(318, 278),
    "rt_sigprocmask": Number(14, 135),
    "sched_yield": Number(24, 124),
    # files that are open, or that Landlock lets this process open
    "fstat": Number(5, 80),
    "stat": Number(4, None),
    "lstat": Number(6, None),
    "statx": Number(332, 291),
    "access": Number(21, None),
    "faccessat": Number(269, 48),
    "faccessat2": Number(439, 439),
    "readlink": Number(89, None),
    "readlinkat": Number(267, 78),
    "getdents64": Number(217, 61),
    "getcwd": Number(79, 17),
    "chdir": Number(80, 49),
    "mkdir": Number(83, None),
    "mkdirat": Number(258, 34),
    "ftruncate": Number(77, 46),
    "readv": Number(19, 65),
    "writev": Number(20, 66),
    "pread64": Number(17, 67),
    "pwrite64": Number(18, 68),
    "dup": Number(32, 23),
    "dup2": Number(33, None),
    "dup3": Number(292, 24),
    "poll": Number(7, None),
    "ppoll": Number(271, 73),
    "select": Number(23, None),
    "pselect6": Number(270, 72),
    # this thread and this process
    "rt_sigaction": Number(13, 134),
    "rt_sigreturn": Number(15, 139),
    "sigaltstack": Number(131, 132),
    "set_tid_address": Number(218, 96),
    "set_robust_list": Number(273, 99),
    "rseq": Number(334, 293),
    "restart_syscall": Number(219, 128),
    "getpid": Number(39, 172),
    "gettid": Number(186, 178),
    "getppid": Number(110, 173),
    "getuid": Number(102, 174),
    "geteuid": Number(107, 175),
    "getgid": Number(104, 176),
    "getegid": Number(108, 177),
    "getrlimit": Number(97, 163),
    "getrusage": Number(98, 165),
    "times": Number(100, 153),
    "exit": Number(60, 93),
    "exit_group": Number(231, 94),
    # the machine and its clocks
    "uname": Number(63, 160),
    "sysinfo": Number(99, 179),
    "getcpu": Number(309, 168),
    "time": Number(201, None),
    "gettimeofday": Number(96, 169),
    "nanosleep": Number(35, 101),
}

# What the CUDA driver needs besides: its own device files and caches, events, pinned and shared memory.
CUDA: dict[str, Number] = {
    "ioctl": Number(16, 29),
    "eventfd2": Number(290, 19),
    "pipe2": Number(293, 59),
    "epoll_create1": Number(291, 20),
    "epoll_ctl": Number(233, 21),
    "epoll_wait": Number(232, None),
    "epoll_pwait": Number(281, 22),
    "memfd_create": Number(319, 279),
    "mlock": Number(149, 228),
    "munlock": Number(150, 229),
    "get_mempolicy": Number(239, 236),
    "membarrier": Number(324, 283),
    "sched_getscheduler": Number(145, 120),
    "sched_getparam": Number(143, 121),
    "sched_get_priority_max": Number(146, 125),
    "sched_get_priority_min": Number(147, 126),
    "statfs": Number(137, 43),
    "fstatfs": Number(138, 44),
    "fsync": Number(74, 82),
    "msync": Number(26, 227),
}

# Calls whose arguments are checked (`seccomp.rules`).
CHECKED: dict[str, Number] = {
    "futex": Number(202, 98),
    "clock_gettime": Number(228, 113),
    "clock_getres": Number(229, 114),
    "clock_nanosleep": Number(230, 115),
    "madvise": Number(28, 233),
    "mmap": Number(9, 222),
    "mprotect": Number(10, 226),
    "mremap": Number(25, 216),
    "mbind": Number(237, 235),
    "openat": Number(257, 56),
    "open": Number(2, None),
    "ioctl": Number(16, 29),
    "fcntl": Number(72, 25),
    "clone": Number(56, 220),
    "tgkill": Number(234, 131),
    "prctl": Number(157, 167),
    "arch_prctl": Number(158, None),
    "prlimit64": Number(302, 261),
    "sched_getaffinity": Number(204, 123),
}

# Calls that a C library tries first and replaces by an older one when the kernel does not have them; their
# arguments are in memory, where a filter cannot read.
UNKNOWN: dict[str, Number] = {"clone3": Number(435, 435), "openat2": Number(437, 437)}
