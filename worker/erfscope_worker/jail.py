"""The jail of a child: within limits, without network, secrets, other programs or others' files.

Called in the child before any byte of a model is read, while it has one thread: Landlock and seccomp bind the
calling thread and what it starts later.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from erfscope_worker import landlock, seccomp

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
DESCRIPTORS = 256

# What torch, numpy and the dynamic loader read besides the Python installation.
SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/urandom",
    "/dev/zero",
)
CUDA_READABLE = (
    "/proc/driver/nvidia",
    "/proc/devices",
    "/sys/bus/pci",
    "/sys/devices",
    "/sys/module",
    "/usr/local/cuda",
)
DEVICES = ("/dev/null",)


def prctl(option: int, *arguments: int) -> int:
    """The system call, by libc."""
    libc = ctypes.CDLL(None, use_errno=True)
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


def data_bytes() -> int:
    """Private writable memory that this process has now (VmData), which RLIMIT_DATA counts."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)


def limit(memory_bytes: int, cpu_seconds: float, file_bytes: int) -> None:
    """Bounds by the kernel. RLIMIT_DATA, not RLIMIT_AS: torch and CUDA reserve far more than they use."""
    seconds = int(cpu_seconds) + 1
    limits = {
        resource.RLIMIT_DATA: (data_bytes() + memory_bytes,) * 2,
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (file_bytes,) * 2,
        resource.RLIMIT_NOFILE: (DESCRIPTORS,) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    for what, (soft, hard) in limits.items():
        _, most = resource.getrlimit(what)
        fits = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(what, (min(soft, fits), fits))


def thread_count() -> int:
    """Threads of this process; a zygote, and a child before its jail, must have one."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def libraries() -> Iterable[Path]:
    """Where Python code comes from."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path}
    return [Path(place).resolve() for place in places if place and Path(place).is_absolute()]


def enter(folder: Path, readable: Iterable[Path], device: str) -> None:
    """Close the doors: no new privileges, no files but these, no forbidden system calls."""
    if thread_count() != 1:
        raise RuntimeError("the jail binds one thread, and there are others already")
    if prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    cuda = device.startswith("cuda")
    reads = [*libraries(), *map(Path, SYSTEM), *readable, *(map(Path, CUDA_READABLE) if cuda else ())]
    gpus = sorted(Path("/dev").glob("nvidia*")) if cuda else []
    landlock.restrict(reads, [folder, *map(Path, DEVICES), *gpus])
    seccomp.install(prctl)
