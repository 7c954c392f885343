"""What the operating system says about a file, in words instead of numbers."""

import errno
import os

_WORDS = {
    errno.EACCES: "may not be used by this user",
    errno.EEXIST: "is there already, and is no folder",
    errno.EISDIR: "is a folder, where a file is needed",
    errno.ELOOP: "is a link that leads back to itself",
    errno.ENAMETOOLONG: "has too long a name",
    errno.ENOENT: "does not exist",
    errno.ENOSPC: "does not fit: the disk is full",
    errno.ENOTDIR: "lies below a file, where a folder is needed",
    errno.EPERM: "may not be used by this user",
    errno.EROFS: "is on a read-only file system",
}


def trouble(error: OSError) -> str:
    """`reports/a.xml is on a read-only file system`; the system's own words where the table has none."""
    words = _WORDS.get(error.errno or 0)
    name = None if error.filename is None else os.fsdecode(error.filename)
    if words is None:
        words = f"cannot be used: {error.strerror}" if error.strerror else str(error)
    return f"{name} {words}" if name is not None else words.removeprefix("cannot be used: ")
