"""One child process of `erfscope up`: its process group, its log, and an end that leaves nothing behind."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOG_LIMIT = 10 << 20
PR_SET_PDEATHSIG = 1


@dataclass
class Part:
    """A running part."""

    name: str
    log: Path
    grace: float  # seconds between SIGTERM and SIGKILL
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        grace: float,
        orphaned: signal.Signals,
        environment: Mapping[str, str] | None = None,
        keep: Sequence[int] = (),
    ) -> Self:
        """Start it, in a session of its own: Ctrl-C at a terminal reaches `up` alone, which keeps the order.

        `orphaned` is the signal it gets when `up` dies without a word (Linux); `keep` are descriptors that it
        inherits.
        """
        with log.open("ab") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=keep,
                start_new_session=True,
                preexec_fn=_die_with_parent(orphaned),  # noqa: PLW1509 – `up` has one thread
            )
        return cls(name, log, grace, process)

    @property
    def ended(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """SIGTERM, patience, SIGKILL; then whatever is left of its process group."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(self.grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.kill()

    def kill(self) -> None:
        """At once, with its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left (macOS: EPERM for zombies)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def keep_log_short(self) -> None:
        """Move a long log to `.log.1`: by copying, since the part goes on writing at the end of this file."""
        if self.log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        text = self.log.read_bytes()[-20_000:].decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])


def _die_with_parent(orphaned: signal.Signals) -> Callable[[], None] | None:
    """What the child does before exec: ask the kernel for a signal when its parent dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded here: after the fork only async-signal-safe calls are sound
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(orphaned))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
