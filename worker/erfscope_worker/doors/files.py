"""Doors to files of others: their content, their metadata, and new things that are not files."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from erfscope_worker.doors.door import Door, Place, libc

O_PATH, ACCESS_MODE_3 = 0x200000, 3


def every(place: Place, act: Callable[[str], object]) -> object:
    """Do it with each canary until it succeeds; raises what the last one raised."""
    for canary in place.canaries[:-1]:
        try:
            return act(canary)
        except OSError:
            continue
    return act(place.canaries[-1])


def of_canaries(act: Callable[[str], object]) -> Callable[[Place], object]:
    """An attempt on each canary."""
    return lambda place: every(place, act)


def imports_start_folder(place: Place) -> object:
    """Code beside the files of people would be found by `import`."""
    if os.path.realpath(place.start) not in {os.path.realpath(part or ".") for part in sys.path}:
        raise PermissionError(1, "not on sys.path")
    return sys.path


def by_link(link: Callable[[str, str], None]) -> Callable[[str], object]:
    """Read a canary by a name in the child's own folder."""

    def read(canary: str) -> object:
        link(canary, "door-link")
        return Path("door-link").read_text()

    return read


def change_times(canary: str) -> object:
    """To what they are."""
    known = os.stat(canary)
    os.utime(canary, ns=(known.st_atime_ns, known.st_mtime_ns))
    return known


def new_node(kind: int) -> Callable[[Place], object]:
    """A device, pipe or socket in the child's own folder."""
    return lambda place: os.mknod(f"door-node-{kind:o}", kind | 0o600, os.makedev(1, 3))


def lock_of_a_library(place: Place) -> object:
    """A lock on a file that all jobs read."""
    import fcntl

    with open(os.__file__, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return file.name


def unnamed(place: Place) -> object:
    """A file that nobody can count."""
    return os.open(".", os.O_TMPFILE | os.O_RDWR)


def removed(place: Place) -> object:
    """A file that goes on without a name: nobody could count it."""
    path = Path("door-file")
    path.write_text("x")
    path.unlink()
    return path


def opens(name: str) -> Callable[[Place], object]:
    """An attempt to open a file of the kernel's, and nothing more."""
    return lambda place: os.close(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))


# Devices and settings through which one leaves a machine, where root may open them.
KERNEL_FILES = (
    *(f"/dev/{name}" for name in ("tty", "ptmx", "kmsg", "mem", "kvm", "fuse", "vsock", "net/tun", "userfaultfd")),
    *(f"/proc/{name}" for name in ("kallsyms", "kcore", "sysrq-trigger", "sys/kernel/core_pattern", "loadavg")),
    *(f"/sys/{name}" for name in ("kernel/debug", "fs/cgroup", "fs/bpf", "class/net")),
)

DOORS = [
    Door("files", "read a file of people", of_canaries(lambda canary: Path(canary).read_text())),
    Door("files", "read it through /proc/self/root", of_canaries(lambda c: Path(f"/proc/self/root{c}").read_text())),
    Door("files", "read it through /proc/self/cwd", lambda place: os.listdir("/proc/self/cwd/..")),
    Door("files", "read it through a symbolic link", of_canaries(by_link(os.symlink))),
    Door("files", "read it through a hard link", of_canaries(by_link(os.link))),
    Door("files", "list its folder", of_canaries(lambda canary: os.listdir(Path(canary).parent))),
    Door("files", "list the start folder", lambda place: os.listdir(place.start)),
    Door("files", "import from the start folder", imports_start_folder),
    Door("files", "open it without access (O_PATH)", of_canaries(lambda canary: os.open(canary, O_PATH))),
    Door("files", "open it in access mode 3", of_canaries(lambda canary: os.open(canary, ACCESS_MODE_3))),
    Door("files", "write beside it", of_canaries(lambda canary: Path(f"{canary}.new").write_text("x"))),
    Door("files", "append to it", of_canaries(lambda canary: open(canary, "a", encoding="utf-8").close())),
    Door("files", "truncate it", of_canaries(lambda canary: os.truncate(canary, 6))),
    Door("files", "truncate it when it is opened", of_canaries(lambda c: os.open(c, os.O_RDONLY | os.O_TRUNC))),
    Door("files", "rename it", of_canaries(lambda canary: os.rename(canary, f"{canary}.new"))),
    Door("files", "change its mode", of_canaries(lambda canary: os.chmod(canary, 0o600))),
    Door("files", "change its owner", of_canaries(lambda canary: os.chown(canary, os.getuid(), -1))),
    Door("files", "change its times", of_canaries(change_times)),
    Door("files", "set an attribute of it", of_canaries(lambda canary: os.setxattr(canary, "user.door", b"1"))),
    Door("files", "read attributes of it", of_canaries(os.listxattr)),
    Door("files", "watch it (inotify)", lambda place: libc("inotify_init1", 0)),
    Door("files", "watch it (fanotify)", lambda place: libc("fanotify_init", 0, 0)),
    Door("files", "read /etc/passwd", lambda place: Path("/etc/passwd").read_text()),
    Door("files", "list /", lambda place: os.listdir("/")),
    Door("files", "write beside the code", lambda place: open(__file__, "a", encoding="utf-8").close()),
    Door("files", "lock a library", lock_of_a_library),
    Door("files", "read the worker's environment", lambda p: Path(f"/proc/{p.worker}/environ").read_bytes()),
    Door("files", "read the fork server's environment", lambda p: Path(f"/proc/{p.parent}/environ").read_bytes()),
    Door("files", "read the network's addresses", lambda place: Path("/proc/self/net/tcp").read_text()),
    Door("files", "read the mounts", lambda place: Path("/proc/self/mountinfo").read_text()),
    *(Door("files", f"open {name}", opens(name)) for name in KERNEL_FILES),
    Door("own folder", "make a pipe", new_node(stat.S_IFIFO)),
    Door("own folder", "make a socket", new_node(stat.S_IFSOCK)),
    Door("own folder", "make a character device", new_node(stat.S_IFCHR)),
    Door("own folder", "make a block device", new_node(stat.S_IFBLK)),
    Door("own folder", "make a symbolic link", lambda place: os.symlink("x", "door-symlink")),
    Door("own folder", "open a file without a name", unnamed),
    Door("own folder", "remove the name of a file", removed),
]
