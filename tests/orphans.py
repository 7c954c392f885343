"""Processes that a test starts end with it, however it ends: also when pytest is killed."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PARENT = os.getpid()
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: after a fork that is not safe


def ends_with_us() -> None:
    """As `preexec_fn` of Popen: the kernel sends the child SIGTERM when this process has gone. Linux alone has it."""
    if LIBC is None:
        return
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != PARENT:  # it has gone before we asked
        os._exit(1)
