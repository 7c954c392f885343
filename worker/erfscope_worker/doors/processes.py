"""Attempts that the jail must refuse: to reach other processes, start programs, or change this process' own limits."""

import ctypes
import fcntl
import os
import resource
import subprocess
import time
from pathlib import Path

from erfscope_worker.doors.door import Door, Place, libc

PRIO_PROCESS = 0
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_SET_NAME = 1, 4, 23, 15
PTRACE_SEIZE = 0x4206  # does not stop it
OWNER, SIGNAL, LEASE = 8, 10, 1024  # of fcntl
CHANNEL = 3
CPU_TIME = 2


def fork(place: Place) -> object:
    """A second process."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def program_from_memory(place: Place) -> object:
    """A program that no file holds."""
    return os.execve(os.memfd_create("program"), ["program"], {})


def raise_limit(what: int) -> object:
    """Set a limit to what it is: nothing changes, but it could."""
    same = (ctypes.c_ulong * 2)(*(limit & 0xFFFFFFFFFFFFFFFF for limit in resource.getrlimit(what)))
    return libc("setrlimit", what, ctypes.addressof(same))


def capabilities(place: Place) -> object:
    """What is left of the privileges of root."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        sets = [line for line in status if line.startswith(("CapPrm", "CapEff", "CapAmb"))]
    if not any(int(line.split()[1], 16) for line in sets):
        raise PermissionError(1, "no capability")
    return sets


def own_memory_by_proc(place: Place) -> object:
    """Write to memory past its protection."""
    return os.open("/proc/self/mem", os.O_RDWR)


def pages_of(pid: int) -> object:
    """Read another's memory."""
    return libc("process_vm_readv", pid, 0, 0, 0, 0, 0)


def affinity(pid: int) -> object:
    """Give another process the cores that it may use now."""
    mask = ctypes.create_string_buffer(b"\xff" * 128, 128)
    return libc("sched_setaffinity", pid, 128, ctypes.addressof(mask))


def cpu_time_of(pid: int) -> object:
    """How much another process has computed, by the clock that the kernel keeps for it."""
    return time.clock_gettime(~pid << 3 | CPU_TIME)


DOORS = [
    Door("processes", "start a process", fork),
    Door("processes", "start a program", lambda place: subprocess.run(["/bin/true"], check=True)),
    Door("processes", "start a program from memory", program_from_memory),
    Door("processes", "signal the fork server", lambda place: os.kill(place.parent, 0)),
    Door("processes", "signal the worker", lambda place: os.kill(place.worker, 0)),
    Door("processes", "signal all processes", lambda place: os.kill(-1, 0)),
    Door("processes", "open the worker (pidfd)", lambda place: os.pidfd_open(place.worker)),
    Door("processes", "trace the fork server", lambda p: libc("ptrace", PTRACE_SEIZE, p.parent, 0, 0)),
    Door("processes", "read the fork server's memory", lambda place: pages_of(place.parent)),
    Door("processes", "open the fork server's memory", lambda p: os.open(f"/proc/{p.parent}/mem", os.O_RDONLY)),
    Door("processes", "open own memory as a file", own_memory_by_proc),
    Door("processes", "priority of the fork server", lambda p: libc("setpriority", PRIO_PROCESS, p.parent, 0)),
    Door("processes", "own priority", lambda place: os.nice(0)),
    Door("processes", "cores of the fork server", lambda place: affinity(place.parent)),
    Door("processes", "own cores", lambda place: affinity(0)),
    Door("processes", "cores of the worker, read", lambda place: os.sched_getaffinity(place.worker)),
    Door("processes", "scheduler of the fork server", lambda p: os.sched_getscheduler(p.parent)),
    Door("processes", "own scheduler", lambda p: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))),
    Door("processes", "limits of the fork server", lambda p: resource.prlimit(p.parent, resource.RLIMIT_NOFILE)),
    Door("processes", "own limits", lambda place: raise_limit(resource.RLIMIT_NOFILE)),
    Door("processes", "own memory limit", lambda place: raise_limit(resource.RLIMIT_DATA)),
    Door("processes", "signals of a descriptor to another", lambda p: fcntl.fcntl(CHANNEL, OWNER, p.parent)),
    Door("processes", "signal number of a descriptor", lambda place: fcntl.fcntl(CHANNEL, SIGNAL, 9)),
    Door("processes", "outlive the fork server", lambda place: libc("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0)),
    Door("processes", "become readable to others", lambda place: libc("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)),
    Door("processes", "leave the session", lambda place: os.setsid()),
    Door("processes", "leave the group", lambda place: os.setpgid(0, 0)),
    Door("processes", "another user", lambda place: os.setuid(os.getuid())),
    Door("processes", "another group", lambda place: os.setgid(os.getgid())),
    Door("processes", "capabilities", capabilities),
    Door("processes", "CPU time of the worker", lambda place: cpu_time_of(place.worker)),
    Door("processes", "CPU time of the fork server", lambda place: cpu_time_of(place.parent)),
    Door("processes", "command line of the worker", lambda p: Path(f"/proc/{p.worker}/cmdline").read_bytes()),
    Door("processes", "state of the fork server", lambda p: Path(f"/proc/{p.parent}/stat").read_text()),
    Door("processes", "list of all processes", lambda place: os.listdir("/proc")),
    Door("processes", "own descriptors by name", lambda place: os.listdir("/proc/self/fd")),
    Door("processes", "last to be killed", lambda place: open("/proc/self/oom_score_adj", "r+b").close()),
    Door("processes", "what a core file holds", lambda place: open("/proc/self/coredump_filter", "r+b").close()),
    Door("processes", "own security label", lambda place: open("/proc/self/attr/exec", "r+b").close()),
]
