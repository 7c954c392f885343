"""The zygote: one thread, torch imported, no operator ever run; it forks one child per job.

A child of a process that has run a torch operator hangs, and a cold import takes seconds: so this one imports
and forks only. For a GPU (and where fork is unsafe) it imports nothing and starts each child as a fresh
interpreter. It holds, per child, a `watch` socket to the worker: "started" and "exited" go out; any byte that
comes in, or its end, kills.
"""

import contextlib
import fcntl
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from erfscope_contract.importing import claim_process, uncollected
from erfscope_worker import child, environment, frames, jail, readable
from erfscope_worker.task import FORK

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a terminal or a service manager may send them to all processes


@dataclass(frozen=True)
class Ward:
    """A running child and the socket to whoever watches it."""

    pid: int
    watch: socket.socket


class Zygote:
    """Starts children, tells of their end, kills them on request or when nobody watches."""

    def __init__(self, control: socket.socket, mode: str, runner: str) -> None:
        self._control = control
        self._mode = mode
        self._runner = runner
        self._wards: dict[int, Ward] = {}
        self._bell, self._clapper = socket.socketpair()
        for side in (self._bell, self._clapper):
            side.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._clapper.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        for source in (control, self._bell):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the worker is gone; then nothing of it is left."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._bell:
                    self._reap()
                elif isinstance(key.data, Ward):
                    self._kill(key.data)
                elif not self._accept():
                    for pid in self._wards:
                        kill_group(pid)
                    return

    def _accept(self) -> bool:
        """Take one order to start a child; False when the worker is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        if not data:
            return False
        channel, watch = descriptors
        pid = self._start(channel)
        os.close(channel)
        ward = Ward(pid, socket.socket(fileno=watch))
        self._wards[pid] = ward
        self._selector.register(ward.watch, selectors.EVENT_READ, ward)
        hand_over(ward)
        tell(ward, {"type": "started", "pid": pid})
        return True

    def _start(self, channel: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._become(channel, parent)
            finally:
                os._exit(child.BROKEN)
        return pid

    def _become(self, channel: int, parent: int) -> None:
        """In the child: leave everything of the zygote but the channel."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(channel, child.CHANNEL, inheritable=True)
        os.closerange(child.CHANNEL + 1, os.sysconf("SC_OPEN_MAX"))
        if self._mode == FORK:
            child.main(parent)
        os.execv(sys.executable, [sys.executable, "-P", "-m", "erfscope_worker.child", str(parent), self._runner])

    def _reap(self) -> None:
        """Tell of every child that has ended; what is left of its group ends with it."""
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                kill_group(ended.si_pid)
                _, status = os.waitpid(ended.si_pid, 0)
                ward = self._wards.pop(ended.si_pid)
                self._forget(ward)
                tell(ward, {"type": "exited", "code": os.waitstatus_to_exitcode(status)})
                ward.watch.close()

    def _kill(self, ward: Ward) -> None:
        """The worker said so, or is gone; the end is told when it is reaped."""
        if self._wards.get(ward.pid) is ward:
            self._forget(ward)
            kill_group(ward.pid)

    def _forget(self, ward: Ward) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(ward.watch)


def kill_group(pid: int) -> None:
    """The child and all of its group (before its setsid there is only itself)."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def hand_over(ward: Ward) -> None:
    """A byte, and with it a descriptor of the process: the worker can kill it, and only it, when we are gone."""
    with contextlib.suppress(OSError):
        if not hasattr(os, "pidfd_open"):  # macOS
            ward.watch.send(b"p")
            return
        pidfd = os.pidfd_open(ward.pid)  # not reaped yet, so the number is still its own
        try:
            socket.send_fds(ward.watch, [b"p"], [pidfd])
        finally:
            os.close(pidfd)


def tell(ward: Ward, header: dict[str, object]) -> None:
    """Say it to the worker, if it still listens."""
    with contextlib.suppress(OSError):
        frames.send(ward.watch.fileno(), header)


@contextlib.contextmanager
def dies_with_the_worker(control: socket.socket) -> Iterator[None]:
    """Imports take seconds in which nobody reads `control`: its end is a SIGIO, which nobody outlives."""
    flags = fcntl.fcntl(control, fcntl.F_GETFL)
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([control], [], [], 0)[0]:  # it ended before we asked
        os._exit(0)
    yield
    fcntl.fcntl(control, fcntl.F_SETFL, flags)


def main(descriptor: int, mode: str, runner: str) -> None:
    """Import what children need, say so, and serve."""
    control = socket.socket(fileno=descriptor)
    claim_process()
    for number in STOPS:  # children ignore them as well: the worker alone decides when a job ends
        signal.signal(number, signal.SIG_IGN)
    if mode == FORK:
        with dies_with_the_worker(control), uncollected():  # children share these pages until they write to them
            child.warm(runner)
    jail.hide()
    about = environment.describe() if mode == FORK else {}
    libraries = [str(folder) for folder in readable.libraries()]  # the worker looks whether they are libraries only
    frames.send(control.fileno(), {"type": "ready", "threads": jail.thread_count(), "libraries": libraries, **about})
    Zygote(control, mode, runner).serve()
    os._exit(0)  # what was imported need not be torn down; some of it complains when it is


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
