"""One attempt at a job: watch its child, keep the lease, relay progress, and say how it ended."""

import contextlib
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Beat
from erfscope_jobs.settings import Settings
from erfscope_worker import usage
from erfscope_worker.frames import Frame, FrameError, Reader
from erfscope_worker.harvest import Harvest
from erfscope_worker.launcher import Child

CANCEL_SECONDS = 1.0  # a canceled job's child is dead within 2 s, so the ledger is asked this often at least
WEIGH_SECONDS = 0.2  # between two looks at memory and files
RELAY_SECONDS = 0.2  # progress is told this often at most
DEATH_SECONDS = 5.0  # a killed child that has not been reaped by then: the zygote is ill
CHUNK = 1 << 18
MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")
log = logging.getLogger(__name__)


class Ending(StrEnum):
    """How an attempt ended."""

    ANSWERED = "answered"
    PROBLEM = "problem"
    ERROR = "error"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"  # the kernel killed it for the container's limit
    TOO_MANY_FILES = "too-many-files"  # its folder holds more than it may
    STORE_FAILED = "store-failed"
    TOO_LARGE = "too-large"  # more than may be stored, today and tomorrow
    STOPPED = "stopped"  # the worker is shutting down
    ORPHANED = "orphaned"  # the zygote is gone or ill
    TAKEN = "taken"  # canceled, expired, or another worker's now


def memory_kills(events: Path = MEMORY_EVENTS) -> int:
    """Processes of this container that the kernel has killed for its memory limit."""
    try:
        lines = events.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


class Attempt:
    """Watches one child to its end. `beat(stage, share)` asks the ledger; `must_stop()` asks the worker."""

    def __init__(
        self,
        settings: Settings,
        child: Child,
        harvest: Harvest,
        beat: Callable[[str, float], Beat],
        must_stop: Callable[[], bool],
        folder: Path,
        memory_events: Path = MEMORY_EVENTS,
    ) -> None:
        self._child = child
        self._folder = folder
        self._file_bytes = settings.job_file_bytes
        self._most_memory = usage.memory(child.pid) + settings.job_memory_bytes + usage.MARGIN
        self._harvest = harvest
        self._beat = beat
        self._must_stop = must_stop
        self._interval = min(settings.lease_seconds / 3, CANCEL_SECONDS)
        self._reader, self._watch = Reader(), Reader()
        now = time.monotonic()
        self._end_at = now + settings.job_seconds
        self._beat_at = now + self._interval
        self._relay_at = self._weigh_at = now
        self._told: tuple[str, float] = ("", 0.0)
        self._killed: Ending | None = None
        self._dead_by = 0.0
        self._code: int | None = None
        self._watched = True
        self._memory_events = memory_events
        self._memory_kills = memory_kills(memory_events)

    def run(self) -> Ending:
        """Until the child is dead."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.channel, selectors.EVENT_READ, self._hear)
            selector.register(self._child.watch, selectors.EVENT_READ, self._see)
            while self._code is None and self._watched and not self._overdue():
                for key, _ in selector.select(min(RELAY_SECONDS, self._interval / 2)):
                    if not key.data():
                        selector.unregister(key.fileobj)
                self._look_around()
        self._drain()
        return self._verdict()

    def _hear(self) -> bool:
        """Bytes from the child; False at their end."""
        try:
            data = self._child.channel.recv(CHUNK)
        except ConnectionResetError:  # it died before it had read its orders
            return False
        if self._killed is None:
            try:
                for frame in self._reader.feed(data):
                    self._harvest.take(frame)
            except FrameError as error:
                log.warning("the child breaks the protocol: %s", error)
                self._kill(Ending.CRASHED)
            except ProblemError as error:
                log.warning("the answer cannot be stored: %s", error.problem.detail)
                self._kill(Ending.STORE_FAILED if error.kind == "unavailable" else Ending.TOO_LARGE)
        return bool(data)

    def _see(self) -> bool:
        """Word from the zygote; False when it is gone."""
        data = self._child.watch.recv(CHUNK)
        for frame in self._watch.feed(data):
            self._notice(frame)
        self._watched = bool(data)
        return self._watched

    def _notice(self, frame: Frame) -> None:
        if frame.type == "exited":
            self._code = int(frame.header["code"])

    def _look_around(self) -> None:
        """Time limit, shutdown, lease: whatever asks for the child's death first."""
        now = time.monotonic()
        if self._killed is not None or self._code is not None:
            return
        if now >= self._end_at:
            self._kill(Ending.TIMEOUT)
        elif self._must_stop():
            self._kill(Ending.STOPPED)
        elif now >= self._weigh_at and (excess := self._excess(now)):
            self._kill(excess)
        elif now >= self._beat_at or (now >= self._relay_at and self._news() != self._told):
            self._keep_lease(now)

    def _excess(self, now: float) -> Ending | None:
        """More memory or files than the job may have, by ways that the limits of the kernel do not count."""
        self._weigh_at = now + WEIGH_SECONDS
        if usage.memory(self._child.pid) > self._most_memory:
            return Ending.OUT_OF_MEMORY
        return Ending.TOO_MANY_FILES if usage.overfull(self._folder, self._file_bytes) else None

    def _news(self) -> tuple[str, float]:
        return self._harvest.stage, self._harvest.share

    def _keep_lease(self, now: float) -> None:
        self._beat_at, self._relay_at = now + self._interval, now + RELAY_SECONDS
        news = self._news()
        try:
            answer = self._beat(*news)
        except ProblemError as error:  # Redis is away: go on, the ledger decides when it is back
            log.warning("cannot report: %s", error)
            return
        self._told = news
        if answer is not Beat.HELD:
            log.info("the job is %s", answer)
            self._kill(Ending.TAKEN)

    def _kill(self, why: Ending) -> None:
        self._killed = why
        self._dead_by = time.monotonic() + DEATH_SECONDS
        self._child.kill()

    def _overdue(self) -> bool:
        return self._killed is not None and time.monotonic() >= self._dead_by

    def _drain(self) -> None:
        """What a dead child had said before its end."""
        os.set_blocking(self._child.channel.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while self._killed is None and self._hear():
                pass

    def _verdict(self) -> Ending:
        """The first that holds, from what we did ourselves to what the child said."""
        killed_for_memory = self._code == -signal.SIGKILL and memory_kills(self._memory_events) > self._memory_kills
        signs = (
            (self._code is None, Ending.ORPHANED),
            (self._code == -signal.SIGXCPU, Ending.TIMEOUT),
            (killed_for_memory, Ending.OUT_OF_MEMORY),
            (self._harvest.problem is not None, Ending.PROBLEM),
            (self._harvest.error is not None, Ending.ERROR),
            (self._harvest.done and self._code == 0, Ending.ANSWERED),
        )
        return self._killed or next((ending for holds, ending in signs if holds), Ending.CRASHED)

    @property
    def zygote_is_ill(self) -> bool:
        """It did not do or tell what it should."""
        return self._code is None

    @property
    def exit(self) -> str:
        """How the child's process ended, for the log: by us, or with which code (negative for a signal)."""
        return "killed by the worker" if self._killed is not None else f"exit code {self._code}"
