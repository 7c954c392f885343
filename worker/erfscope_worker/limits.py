"""Limits that the kernel holds for a child: memory, CPU time, files, descriptors, threads."""

import contextlib
import os
import resource
import threading
import time
from pathlib import Path

DESCRIPTORS = 256
THREADS = 512  # of a job, at most; torch starts as many as the job has cores, and oneDNN and BLAS a few
ARENA = 128 << 20  # address space that the C library reserves for a thread's heap; little of it becomes memory
STACKS = 16 << 20  # address space of a thread's stack with its guard
RESERVE = 512 << 20  # address space for files that are mapped: libraries that are loaded late
STACK = 64 << 20
PROBE_SECONDS = 5.0


def status(name: str) -> int:
    """A size in this process' status (VmData, VmSize), in bytes; 0 where the system has none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def reserve(threads: int, mapped_bytes: int = 0) -> int:
    """Address space that a job may take beyond its memory: heaps and stacks of threads, and the files it maps."""
    return RESERVE + threads * (ARENA + STACKS) + mapped_bytes


def limit(memory_bytes: int, cpu_seconds: float, file_bytes: int, address_bytes: int | None = None) -> None:
    """Bounds by the kernel.

    RLIMIT_DATA bounds private writable memory. Memory that was written and then made read-only leaves that count, so
    the address space is bounded too, by `address_bytes` beyond the memory; None for CUDA, which reserves far more
    than it uses.
    """
    seconds = int(cpu_seconds) + 1
    bounds = {
        resource.RLIMIT_DATA: (status("VmData") + memory_bytes,) * 2,
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (file_bytes,) * 2,
        resource.RLIMIT_NOFILE: (DESCRIPTORS,) * 2,
        resource.RLIMIT_STACK: (STACK,) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    if address_bytes is not None and (size := status("VmSize")):
        bounds[resource.RLIMIT_AS] = (size + memory_bytes + address_bytes,) * 2
        bounds[resource.RLIMIT_MEMLOCK] = (0, 0)
    for what, (soft, hard) in bounds.items():
        set_at_most(what, soft, hard)


def set_at_most(what: int, soft: int, hard: int) -> None:
    """Set a limit, never above what is allowed already."""
    _, most = resource.getrlimit(what)
    fits = hard if most == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(what, (min(soft, fits), fits))


def limit_threads(threads: int) -> None:
    """RLIMIT_NPROC: room for `threads` more than this user has now (the kernel does not hold root to it).

    The kernel counts all threads of the user, those in other containers too, which nobody here can see: so the limit
    doubles until a thread can be started under it.
    """
    if not hasattr(resource, "RLIMIT_NPROC") or not Path("/proc/self/task").is_dir():
        return
    if os.geteuid() == 0:  # nothing is counted for root: no need to look, which takes some milliseconds
        return set_at_most(resource.RLIMIT_NPROC, threads + THREADS, threads + THREADS)
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    bound = threads_of_user()
    while True:
        bound = bound * 2 if bound else THREADS
        fits = bound if most == resource.RLIM_INFINITY else min(bound, most)
        resource.setrlimit(resource.RLIMIT_NPROC, (fits, most))
        if can_start_thread() or fits == most:
            break
    final = fits + max(threads, THREADS)
    final = final if most == resource.RLIM_INFINITY else min(final, most)
    resource.setrlimit(resource.RLIMIT_NPROC, (final, final))


def can_start_thread() -> bool:
    """Whether the kernel lets this process have one more thread now; it is gone afterwards."""
    thread = threading.Thread(target=lambda: None)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    give_up_at = time.monotonic() + PROBE_SECONDS
    while thread_count() != 1 and time.monotonic() < give_up_at:  # the kernel ends it a moment after Python
        time.sleep(0)
    return True


def threads_of_user() -> int:
    """Threads of all processes of this user, as far as they can be seen."""
    total, user = 0, os.getuid()
    with os.scandir("/proc") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # it has ended
                if entry.name.isdecimal() and entry.stat().st_uid == user:
                    total += os.stat(f"{entry.path}/task").st_nlink - 2
    return total


def thread_count() -> int:
    """Threads of this process; the fork server, and a child before its jail, must have one."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1
