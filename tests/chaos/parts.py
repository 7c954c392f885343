"""One process of a town that can be killed, stopped and started again; and what its start needs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


class Part:
    """One process of the town, its log, and when it may come back after a kill."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.back_at: float | None = None  # monotonic; None while it is meant to run
        self.stopped = False

    def tell(self, **more: str) -> None:
        """More variables of its environment, from its next start on."""
        self._environment |= more

    def start(self) -> None:
        """Start it, in a session of its own."""
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=sink, stderr=sink, start_new_session=True
            )
        self.back_at, self.stopped = None, False

    @property
    def pid(self) -> int:
        """Its process number, also after its death."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_up(self) -> bool:
        """Whether the process runs and is not stopped."""
        return self._process is not None and self._process.poll() is None and not self.stopped

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and remember STOP and CONT."""
        os.kill(self.pid, number)
        self.stopped = number == signal.SIGSTOP

    def kill(self, away: float = 0.0) -> None:
        """kill -9; it may come back after `away` seconds."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self.stopped, self.back_at = False, time.monotonic() + away

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, patience, SIGKILL; the exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()
        return int(self._process.returncode)

    def last_words(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:]) if self.log.exists() else ""


def text_of(value: object) -> str:
    """A setting as its environment variable."""
    return value if isinstance(value, str) else json.dumps(value)


def free_port(highest: int = 65_535) -> int:
    """A port that nothing listens on, and not above that one."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= highest:
            return port
