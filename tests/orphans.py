"""Processes that a test starts end with it, however it ends: also when pytest is killed."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PARENT = os.getpid()
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: after a fork that is not safe


def tied() -> Callable[[], None] | None:
    """A `preexec_fn` for Popen: the kernel sends the child SIGTERM when we have gone; None where it cannot be had.

    Linux alone has it, and there the end of the thread that started the child counts: other threads get None.
    """
    if LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    return _ask


def _ask() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))  # type: ignore[union-attr]
    if os.getppid() != PARENT:  # it has gone before we asked
        os._exit(1)
