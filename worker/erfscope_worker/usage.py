"""What a child uses, as its worker sees it from outside: memory that no limit of the kernel counts, and files."""

import os
import stat
from pathlib import Path

MOST_FILES = 4096  # in a job's folder, folders included
DEEPEST = 16  # levels of folders; no job needs more than one
MEMORY_FIELDS = ("RssAnon:", "RssShmem:")
MARGIN = 512 << 20  # pages that a fresh interpreter or a driver takes before and beside the job's own


def memory(pid: int) -> int:
    """Anonymous and shared memory of a process in bytes, without mapped files; 0 when it cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(MEMORY_FIELDS))


def overfull(folder: Path, most_bytes: int) -> bool:
    """Whether a job's folder holds more bytes, more files or deeper folders than a job may have."""
    size, count, levels = 0, 0, [(folder, 0)]
    while levels:
        place, depth = levels.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    facts = entry.stat(follow_symlinks=False)
                    size, count = size + max(facts.st_size, facts.st_blocks * 512), count + 1
                    if size > most_bytes or count > MOST_FILES or depth >= DEEPEST:
                        return True
                    if stat.S_ISDIR(facts.st_mode):
                        levels.append((Path(entry.path), depth + 1))
        except PermissionError:  # a folder that its child has made unreadable: nothing is to be hidden there
            return True
        except OSError:
            continue
    return False
