"""Which files a jailed child may touch, by Landlock: its folder, what it is to read, and the libraries."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
VERSION_FLAG, PATH_BENEATH = 1, 1

WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEVICE = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
MAKE_DIR, MAKE_REGULAR = 1 << 7, 1 << 8
READ = READ_FILE | READ_DIR
# No devices, sockets, pipes and links; nothing is removed: a file without a name could not be counted.
OWN_FOLDER = READ | WRITE_FILE | TRUNCATE | MAKE_DIR | MAKE_REGULAR
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
DRIVER = DEVICE | IOCTL_DEVICE
OF_FILES = DRIVER
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # since which ABI
NET_TCP = 0b11  # bind and connect, ABI 4
SCOPES = 0b11  # abstract unix sockets and signals, ABI 6


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result


def version() -> int:
    """The kernel's Landlock ABI; 0 when it has none."""
    try:
        return _syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(VERSION_FLAG))
    except OSError:
        return 0


def handled(abi: int) -> int:
    """All file rights that this ABI knows; what no rule allows is denied."""
    return max(rights for since, rights in RIGHTS.items() if since <= abi)


def ruleset(abi: int) -> bytes:
    """struct landlock_ruleset_attr, as long as this ABI has it."""
    fields = [handled(abi), *([NET_TCP] if abi >= 4 else []), *([SCOPES] if abi >= 6 else [])]
    return struct.pack(f"={len(fields)}Q", *fields)


def restrict(rules: Iterable[tuple[Path, int]]) -> None:
    """Allow these rights below these paths, and nothing else, to this thread and all that it starts.

    Needs no_new_privs. Rights that the kernel's ABI does not know are left out.
    """
    abi = version()
    attributes = ruleset(abi)
    descriptor = _syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    try:
        for path, rights in rules:
            _allow(descriptor, path, rights & handled(abi))
        _syscall(RESTRICT_SELF, ctypes.c_int(descriptor), ctypes.c_uint(0))
    finally:
        os.close(descriptor)


def _allow(rules: int, path: Path, rights: int) -> None:
    """One rule; a path that does not exist, or that this user cannot reach, needs none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= OF_FILES
        rule = struct.pack("=Qi", rights, place)
        _syscall(ADD_RULE, ctypes.c_int(rules), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(place)
