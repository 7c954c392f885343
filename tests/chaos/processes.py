"""What the kernel tells of processes: who descends from whom, who lives, what they hold."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process by number and start, so that a reused number is another one."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        fields = stat_of(self.pid)
        return bool(fields) and fields[0] not in "ZX" and fields[19] == self.started

    @property
    def command(self) -> str:
        """Its command line; empty when it has gone."""
        try:
            return (PROC / str(self.pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""


def stat_of(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty when it has gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def process(pid: int) -> Process | None:
    """That process, if it lives."""
    fields = stat_of(pid)
    return Process(pid, fields[19]) if fields and fields[0] not in "ZX" else None


def children(pid: int) -> Iterator[int]:
    """Direct children of all threads of `pid`."""
    for task in (PROC / str(pid) / "task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue


def descendants(pid: int) -> list[Process]:
    """Everything below `pid`, nearest first."""
    found, layer = [], [pid]
    while layer:
        layer = [child for parent in layer for child in children(parent)]
        found += [known for child in layer if (known := process(child))]
    return found


def resident_bytes(pid: int) -> int:
    """Memory that the process has and shares with no file (RssAnon); 0 when it has gone."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def cpu_seconds(pid: int, *, children: bool = False) -> float:
    """CPU time of a process, or of its children that have ended; 0 when it has gone."""
    fields = stat_of(pid)
    first = 13 if children else 11
    return sum(map(int, fields[first : first + 2])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """Open descriptors; 0 when it has gone."""
    try:
        return sum(1 for _ in (PROC / str(pid) / "fd").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return 0
