"""The worker's end of the zygote: starts it, orders children from it, replaces it when it dies."""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.settings import Settings
from erfscope_worker import environment, frames
from erfscope_worker.task import FORK, SPAWN, Orders

READY_SECONDS = 180.0  # a cold import of torch from a slow disk
FORK_SECONDS = 30.0  # a fork takes milliseconds
log = logging.getLogger(__name__)


class Child:
    """One running child: what it says comes over `channel`, what becomes of it over `watch`."""

    def __init__(self, channel: socket.socket, watch: socket.socket, pid: int, pidfd: int | None = None) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self.channel = channel
        self.watch = watch

    def order(self, orders: Orders) -> None:
        """Tell it what to do; one that has died already is seen over `watch`."""
        with contextlib.suppress(BrokenPipeError):
            frames.send(self.channel.fileno(), {"type": "orders", "orders": asdict(orders)})

    def kill(self) -> None:
        """Have the zygote kill it with its group; and by its descriptor, for the zygote may be dead or ill."""
        with contextlib.suppress(OSError):
            self.watch.send(b"k")
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Give it up; if it still runs, it is killed. Idempotent."""
        self.kill()
        self.channel.close()
        self.watch.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


class Launcher:
    """Orders children from a zygote, from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._spare: Child | None = None
        self.libraries: list[Path] = []  # folders that children may read; known after `start`
        self.device, self._about = self._choose_device()
        self.mode = FORK if self.device == "cpu" and sys.platform == "linux" else SPAWN

    def _choose_device(self) -> tuple[str, Mapping[str, Any]]:
        wanted = self.settings.device
        if wanted == "cpu" or (wanted == "auto" and not environment.has_gpu_driver()):
            return "cpu", {}
        about = self._probe("cuda")
        if about["device"] != "none":
            return "cuda", about
        if wanted == "cuda":
            raise RuntimeError("ERFSCOPE_DEVICE=cuda, but torch finds no usable GPU here")
        return "cpu", {}

    def _probe(self, device: str) -> dict[str, str]:
        """Ask a fresh process, for asking starts the driver."""
        command = [sys.executable, "-P", "-m", "erfscope_worker.environment", device]
        found = subprocess.run(command, env=self._environment(), check=True, stdout=subprocess.PIPE)
        about: dict[str, str] = json.loads(found.stdout)
        return about

    def _environment(self) -> dict[str, str]:
        return environment.clean(self.settings.job_threads)

    @property
    def fingerprint(self) -> Fingerprint:
        """What decides the bytes of answers of these children; known after `start`."""
        return Fingerprint(self._about["torch"], self._about["device"], self.settings.job_threads)

    @property
    def pid(self) -> int:
        """The zygote's process id; 0 before `start`."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the zygote and wait until it can fork."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-P",
            "-m",
            "erfscope_worker.zygote",
            str(theirs.fileno()),
            self.mode,
            self.settings.runner,
        ]
        self._process = subprocess.Popen(
            command,
            env=self._environment(),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is the worker's affair
        )
        theirs.close()
        ready = frames.receive(ours.fileno()) if wait_readable(ours, READY_SECONDS) else None
        if ready is None:
            ours.close()
            self._process.kill()
            raise RuntimeError(f"the zygote did not start (exit code {self._process.wait()})")
        if self.mode == FORK:
            self._about = ready.header
        elif not self._about:
            self._about = self._probe("cpu")
        self.libraries = [Path(folder) for folder in ready.header["libraries"]]
        if ready.header["threads"] != 1:
            log.warning("the zygote has %s threads; children forked from it may hang", ready.header["threads"])
        self._control = ours
        self._prepare_spare()

    def launch(self) -> Child:
        """A new child that waits for orders; a dead zygote is replaced first."""
        with self._lock:
            try:
                return self._take_spare() or self._order()
            except OSError:
                log.warning("the zygote is gone; starting another")
                self._stop()
                self._start()
                return self._order()
            finally:
                self._prepare_spare()

    def _order(self) -> Child:
        """Have the zygote start a child."""
        if self._control is None:
            raise BrokenPipeError("no zygote")
        channel, channel_there = socket.socketpair()
        watch, watch_there = socket.socketpair()
        pidfd: int | None = None
        with channel_there, watch_there:
            try:
                socket.send_fds(self._control, [b"f"], [channel_there.fileno(), watch_there.fileno()])
                pidfd = handed_over(watch) if wait_readable(watch, FORK_SECONDS) else None
                started = frames.receive(watch.fileno()) if wait_readable(watch, FORK_SECONDS) else None
                if started is None:
                    raise BrokenPipeError("the zygote died, or hangs")
            except OSError:
                channel.close()
                watch.close()
                if pidfd is not None:
                    os.close(pidfd)
                raise
        return Child(channel, watch, int(started.header["pid"]), pidfd)

    def _prepare_spare(self) -> None:
        """A fresh interpreter imports torch for seconds: let the next one do so while this job runs."""
        if self.mode == SPAWN and self._spare is None and self._control is not None:
            with contextlib.suppress(OSError):
                self._spare = self._order()

    def _take_spare(self) -> Child | None:
        spare, self._spare = self._spare, None
        if spare is not None and wait_readable(spare.watch, 0):  # it has ended already
            spare.close()
            return None
        return spare

    def replace(self) -> None:
        """Kill the zygote with all of its children; the next launch starts another."""
        with self._lock:
            self._stop()

    def close(self) -> None:
        """End the zygote and all of its children."""
        self.replace()

    def _stop(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def handed_over(watch: socket.socket) -> int | None:
    """The descriptor of a new child, as the zygote sends it ahead of its first word."""
    _, descriptors, _, _ = socket.recv_fds(watch, 1, 1)
    return descriptors[0] if descriptors else None


def wait_readable(source: socket.socket, seconds: float) -> bool:
    """Whether something, or the end, comes in time."""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        return bool(selector.select(seconds))
