"""Which folders of libraries a jailed child may read, and the refusal when files of people are among them."""

import functools
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from erfscope_jobs.settings import Settings

# What torch, numpy and the dynamic loader read besides the Python installation. Not /dev/zero: mapped shared, it is
# memory that no limit counts. Not all of /proc/self: its `net` folder names the addresses of the store.
SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self/maps",
    "/proc/self/stat",
    "/proc/self/statm",
    "/proc/self/status",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/dev/urandom",
)
CUDA = (
    "/proc/driver/nvidia",
    "/proc/devices",
    "/proc/self/maps",
    "/sys/bus/pci",
    "/sys/devices",
    "/sys/module",
    "/usr/local/cuda",
)
PATHS = ("stdlib", "platstdlib", "purelib", "platlib")  # of sysconfig


@functools.cache
def libraries() -> list[Path]:
    """Where this interpreter finds Python code and the libraries beside it; the start folder only if it was asked for.

    An interpreter that was started without `-P` has its start folder on sys.path, which must never be readable.
    Looked up once: children inherit the answer.
    """
    places = [sysconfig.get_path(name) for name in PATHS]
    places += [str(Path(prefix) / "lib") for prefix in (sys.prefix, sys.base_prefix)]
    places += sys.path if sys.flags.safe_path else sys.path[1:]
    absolute = (Path(place).resolve() for place in places if place and Path(place).is_absolute())
    return list(dict.fromkeys(absolute))


def private(settings: Settings) -> dict[str, Path]:
    """Folders whose files belong to people, by what they are called."""
    folders = {
        "data folder": settings.data_dir,
        "file store": settings.blobs,
        "folder for temporary files": Path(tempfile.gettempdir()),
        "home folder": Path(os.path.expanduser("~")),
    }
    return {name: folder.resolve() for name, folder in folders.items()}


def exposed(folders: Iterable[Path], settings: Settings) -> list[str]:
    """What readable library folders would show of private ones; empty when nothing."""
    return [
        f"{library} (libraries) contains {folder} ({name})"
        for library in folders
        for name, folder in private(settings).items()
        if folder.is_relative_to(library) and folder != Path(folder.anchor)
    ]


def check(folders: Iterable[Path], settings: Settings) -> None:
    """End the process when a library folder, or one of the system, would show children the files of people."""
    if shown := exposed([*folders, *map(Path, SYSTEM)], settings):
        raise SystemExit(
            f"Jobs could read files of people: {'; '.join(shown)}. Take the folder out of PYTHONPATH, or set "
            "ERFSCOPE_DATA_DIR, TMPDIR or HOME to a folder outside of it."
        )
