"""The memory of this process (Linux). `ru_maxrss` will not do: it begins with the peak of whoever started it."""

from pathlib import Path


def peak_resident() -> int:
    """Bytes of the largest resident memory since the program was started."""
    return _status("VmHWM")


def data_bytes() -> int:
    """Bytes that count for RLIMIT_DATA now."""
    return _status("VmData")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
