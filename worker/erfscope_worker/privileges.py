"""Drops every capability of this process, the bounding and ambient sets too."""

import ctypes
import os
import struct
from collections.abc import Callable

PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 23, 24, 47, 4
VERSION_3 = 0x20080522
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
MOST = 64  # capabilities that the kernel's interface has room for


def drop(prctl: Callable[..., int]) -> None:
    """No capability is left, and none can be had again; raises OSError when the kernel keeps one."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(MOST):
        if prctl(PR_CAPBSET_READ, capability) == 1:
            prctl(PR_CAPBSET_DROP, capability)  # only who has CAP_SETPCAP may; others cannot use it (no_new_privs)
    header = struct.pack("=Ii", VERSION_3, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(SYS_CAPSET[os.uname().machine])
    if libc.syscall(number, header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities were not dropped")
