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

PR_SET_PDEATHSIG = 1


@dataclass
class Part:
    """A running part."""

    name: str
    log: Path | None  # None: it writes to the stderr of `up`
    grace: float  # seconds between SIGTERM and SIGKILL
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path | None,
        grace: float,
        orphaned: signal.Signals,
        environment: Mapping[str, str] | None = None,
        keep: Sequence[int] = (),
    ) -> Self:
        """Start it, in a session of its own: Ctrl-C at a terminal reaches `up` alone, which keeps the order.

        `orphaned` is the signal it gets when `up` dies without a word (Linux); `keep` are descriptors that it
        inherits.
        """
        with open(2, "ab", closefd=False) if log is None else log.open("ab") as file:
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

    def keep_log_short(self, limit: int) -> None:
        """Move a log of more bytes to `.log.1`: by copying, since the part goes on writing at the end of this file."""
        if self.log and self.log.stat().st_size > limit:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    @property
    def evidence(self) -> str:
        """Where its log is, for a sentence about its death."""
        return f"its log is {self.log}" if self.log else "its log is above"

    def last_words(self, lines: int = 15) -> str:
        """The end of its log, headed by its name."""
        if self.log is None:
            return f"The log of the {self.name} is above."
        text = self.log.read_bytes()[-20_000:].decode("utf-8", "replace")
        return "\n".join([f"The end of {self.log}:", "", *text.splitlines()[-lines:]])


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
