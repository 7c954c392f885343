"""Real processes on one machine: stores, API replicas, workers and a sweeper; each can be killed and started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import redis
from tests.chaos.parts import Part, free_port, text_of
from tests.chaos.processes import Process, children, cpu_seconds, descendants, process
from tests.chaos.stores import OneStore, ThreeNodes

from erfscope_contract.problem import ProblemError
from erfscope_jobs import keys
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.partitions import partition_of, space_of
from erfscope_jobs.settings import Settings

PATIENCE = (
    600.0  # seconds until a part that does not get ready is a failure: a loaded machine imports torch for minutes
)
SERVE = [sys.executable, "-P", "-m", "erfscope_service"]
WORK = [sys.executable, "-P", "-m", "erfscope_worker"]
SWEEP = [sys.executable, "-m", "tests.chaos.sweeping"]
WIRE = [sys.executable, "-m", "tests.chaos.wire"]
DISK = "64m"  # of the file store's own disk, where one can be mounted


def wait_until(what: str, ready: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer of `ready`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, f"waited {seconds:g} s for: {what}"
        time.sleep(0.05)
    return found


class Town:
    """The parts, started in order and stopped in the reverse; `folder` must be short (unix socket).

    `sweeps` adds a sweeper without pause; `wired` puts the last replica and the last worker behind a wire that can be
    cut; `disk` gives the file store a small disk of its own, where we may mount one; `cluster` the ledger three nodes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 2,
        workers: int = 3,
        tenants: Sequence[str] = (),
        fsync: str = "everysec",
        cluster: bool = False,
        sweeps: bool = False,
        wired: bool = False,
        disk: bool = False,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.tenants = tenants  # with any, callers need keys
        self.tokens: dict[str, str] = {}
        for name in ("logs", "data", "scratch", "disk"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.has_disk = disk and is_mounted(folder / "disk")
        self._environment: dict[str, str] = {}  # of parts of ours; the stores need none
        self.stores = (ThreeNodes if cluster else OneStore)(folder, self._part, fsync)
        ours: dict[str, Any] = {**self.stores.settings, "data_dir": folder / "data"}
        if self.has_disk:
            ours["blob_dir"] = folder / "disk"
        self.settings = Settings(**{"threads": 1, "device": "cpu", **settings, **ours})
        self._environment = self._told()
        self.wires = [self._wire()] if wired and not cluster else []
        self.ports = [free_port() for _ in range(replicas)]
        self.replicas = [self._part(f"api-{i}", SERVE, ERFSCOPE_PORT=str(p)) for i, p in enumerate(self.ports)]
        self.workers = [self._part(f"worker-{i}", WORK) for i in range(workers)]
        self.sweepers = [self._part("sweeper", SWEEP)] if sweeps else []
        for part in (self.replicas[-1], self.workers[-1]) if self.wires else ():
            part.tell(ERFSCOPE_REDIS_URL=f"unix://{folder / 'w'}?db=0")
        self.ledger = Ledger(self.settings)

    def _told(self) -> dict[str, str]:
        """What all our processes are told."""
        settings = self.settings.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        told = {f"ERFSCOPE_{key.upper()}": text_of(value) for key, value in settings.items()}
        return {**told, "ERFSCOPE_KEYS": "on" if self.tenants else "off", "TMPDIR": str(self.folder / "scratch")}

    def _part(self, name: str, command: list[str], **more: str) -> Part:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ERFSCOPE_")}
        environment = {**inherited, **self._environment, "PYTHONUNBUFFERED": "1", **more}
        return Part(name, command, environment, self.folder / "logs" / f"{name}.log")

    def _wire(self) -> Part:
        return self._part("wire", [*WIRE, str(self.folder / "w"), str(self.folder / "s")])

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order of their start."""
        return [*self.stores.parts, *self.wires, *self.replicas, *self.workers, *self.sweepers]

    @property
    def redis(self) -> Any:
        """The harness' client of the ledger."""
        return self.stores.client

    @property
    def store(self) -> Part:
        """The only store, or the cluster's first."""
        return self.stores.parts[0]

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
            for store in self.stores.parts:
                store.start()
            wait_until("the stores", self._stores_listen)
            self.stores.join()
            wait_until("the ledger", self.store_answers)
            self.tokens = {tenant: self._key(tenant) for tenant in self.tenants}
            for part in self.parts[len(self.stores.parts) :]:
                part.start()
            wait_until("replicas and workers", self.is_whole)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.ledger.close()
        for part in self.workers:  # all at once: their graces run side by side
            if part.is_up:
                part.signal(signal.SIGTERM)
        for part in reversed(self.parts):
            part.stop()
        for client in self.stores.clients():
            client.close()
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self.folder / "disk")], check=True)

    def _stores_listen(self) -> bool:
        try:
            return all(client.ping() for client in self.stores.clients())
        except redis.RedisError:
            return False

    def store_answers(self) -> bool:
        """Whether the stores take commands, and all of the ledger's."""
        return self.stores.answer()

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
        """A key of the ledger on one store."""
        return ":".join((self.settings.namespace, *parts))

    def every_key(self, *parts: str) -> list[str]:
        """A key of the ledger in each of its partitions."""
        spaces = (space_of(self.settings, n) for n in range(self.settings.partitions))
        return [":".join((space, *parts)) for space in spaces]

    def key_of(self, id: str) -> str:
        """The key of a job's record."""
        return self.every_key("job", id)[partition_of(self.settings, id.partition(".")[0])]

    def open_ids(self) -> list[str]:
        """The jobs that have not ended."""
        return [id for key in self.every_key("open") for id in self.redis.zrange(key, 0, -1)]

    def revive(self) -> None:
        """Start every killed part whose time has come."""
        for part in self.parts:
            if part.back_at is not None and time.monotonic() >= part.back_at:
                self.stores.remove_socket(part)
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


def is_mounted(place: Path) -> bool:
    """Mount a small disk there; False where we may not."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def listens(port: int) -> bool:
    """Whether somebody accepts there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
