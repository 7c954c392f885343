"""A small service that speaks the contract and misbehaves on request, over real sockets; both faces of the SDK."""

import asyncio
import inspect
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import uvicorn

from erfscope import AsyncClient, Client
from erfscope_contract.problem import ProblemError

from .command_line import run, spec  # noqa: F401 – fixtures of the tests here

MAP = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
PNG = b"\x89PNG\r\n\x1a\n not a picture, but bytes"


def result_json() -> dict[str, Any]:
    """A whole ErfResult."""
    return {
        "layer": {"name": "/last/Conv", "operator": "Conv", "shape": [4, 8, 8], "spatial_axes": [1, 2]},
        "unit": [4, 4],
        "input_shape": [3, 8, 8],
        "trf": {
            "size": [5, 5], "stride": [1, 1], "box": [[2, 7], [2, 7]], "center": [4.0, 4.0],
            "clipped": False, "global": False, "widened_by": [],
        },
        "erf": {"size": 3.5, "ratio": 0.7, "ratio_clipped": 0.7, "size_1sigma": 2.0, "size_peak": 3.4, "limited": []},
        "mass": {"0.50": {"side": 2.5, "ratio": 0.1, "pixels": 6}},
        "gaussian": {"sigma": [1.25, 1.0], "theta": 0.5, "r2": None},
        "radial": {"r50": 1.0, "r90": 2.0, "r99": 3.0},
        "shape": {
            "offset": [0.0, 0.0], "anisotropy": 1.25, "border_mass": 0.0, "participation": 9.0,
            "entropy": 2.0, "lattice": 0.0,
        },
        "stderr": {"erf_size": 0.125},
        "samples": {"used": 32, "dead": 0},
        "scale_log2": -3.0,
        "provenance": {
            "engine": "0.1.0", "torch": "2.8", "device": "cpu", "dtype": "float32", "threads": 1,
            "micro_batch": 4, "seed": 0, "layer": "/last/Conv", "statistic": "abs", "channels": "sum",
            "source": "normal", "weights": "given", "samples": 32, "input_shape": [3, 8, 8],
            "notes": ["a note [with brackets]"],
        },
    }  # fmt: skip


def modern_result_json() -> dict[str, Any]:
    """An ErfResult with every field that only some measurements have: causal, global through statistics, verified."""
    body = result_json()
    layer = {"passed_over": [
        {"name": "logits", "why": "none of its axes follows the input."},
        {"name": "<i>gate</i>", "why": "its gradient is 0"},
        {"name": "pool", "why": "its axes have one position"},
        {"name": "stem", "why": "never told: the fourth"},
    ]}  # fmt: skip
    trf = {
        "global": True, "widened_by": ["norm_1", "norm_2"], "box": [[-1, 9], [0, 8]], "center": [4.5, 7.0],
        "stride": [2, None], "seen": [[0, 8], [0, 8]], "alignment": [2, 2], "causal": True,
        "reach": {"before": [5.5, 7.0], "after": [4.5, 0.0]},
        "local_box": [[2, 7], [3, 8]], "local_without": ["norm_1", "norm_2"],
    }  # fmt: skip
    autograd = [{"operator": "aten.stft", "why": "windows of a complex tensor"}]
    return body | {
        "layer": body["layer"] | layer,
        "trf": body["trf"] | trf,
        "shape": body["shape"] | {"mass_before": 0.75},
        "verify": {"relative_difference": 3.1e-7},
        "provenance": body["provenance"] | {"autograd": autograd},
    }


def job_json(id: str = "job-1", status: str = "queued", **changes: Any) -> dict[str, Any]:
    """A whole Job."""
    return {
        "id": id,
        "status": status,
        "created_at": datetime(2026, 1, 2, tzinfo=UTC).isoformat(),
        "model": {"name": "net.onnx"},
        "request": {},
        "links": {name: f"/erf/{id}/{name}" for name in ("self", "events", "heatmap", "map")},
        **changes,
    }


def succeeded(id: str = "job-1") -> dict[str, Any]:
    return job_json(id, "succeeded", progress=1.0, result=result_json())


def problem_json(kind: str, detail: str) -> dict[str, Any]:
    return ProblemError(kind, detail).problem.model_dump(mode="json")


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """One answer; `cut` closes the connection after the chunks without ending the body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[str] | None = None
    cut: bool = False


@dataclass
class Service:
    """Scripted: the replies of a route are given one after another, the last one again and again."""

    url: str = ""
    routes: dict[str, list[Reply]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def on(self, route: str, *replies: Reply) -> None:
        """`service.on("GET /erf/job-1", Reply(503), Reply(body=…))`."""
        self.routes[route] = list(replies)

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.seen]

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = b"".join([chunk async for chunk in _body(receive)])
        query = scope["query_string"].decode()
        request = Seen(scope["method"], scope["path"], query, headers, body)
        self.seen.append(request)
        replies = self.routes.get(f"{request.method} {request.path}")
        missing = Reply(404, problem_json("not-found", f"no {request.path} here"))
        reply = missing if replies is None else replies.pop(0) if len(replies) > 1 else replies[0]
        await _send(reply, send)


async def _body(receive: Callable[[], Awaitable[Any]]) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _send(reply: Reply, send: Any) -> None:
    content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    kind = "text/event-stream" if reply.chunks is not None else "application/json"
    headers = {"content-type": kind, **reply.headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    for chunk in reply.chunks or ():
        await send({"type": "http.response.body", "body": chunk.encode(), "more_body": True})
    if reply.cut:
        raise ConnectionResetError("cut on purpose")
    await send({"type": "http.response.body", "body": b"" if reply.chunks is not None else content})


class Front:
    """An application that hands each request to the scripted service of the test that runs."""

    def __init__(self) -> None:
        self.behind = Service()

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await self.behind(scope, receive, send)


@pytest.fixture(scope="session")
def front() -> Iterator[Front]:
    """One server on a free port for all tests of a process: one for each would take a tenth of a second to stop."""
    app = Front()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.005)
    app.behind.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield app
    server.should_exit = True
    thread.join()


@pytest.fixture
def service(front: Front) -> Service:
    """A scripted service."""
    front.behind = Service(url=front.behind.url)
    return front.behind


class Blocking:
    """The async face as if it blocked, so that every test of the SDK runs over both."""

    def __init__(self, subject: Any, runner: asyncio.Runner) -> None:
        self._subject = subject
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._wrap(getattr(self._subject, name))

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._wrap(self._subject(*positional, **named))

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                yield self._wrap(self._runner.run(anext(self._subject)))
            except StopAsyncIteration:
                return

    def _wrap(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            return self._wrap(self._runner.run(value))
        module = getattr(type(value), "__module__", "")
        is_ours = module.startswith("erfscope._") and type(value).__name__.startswith("Async")
        is_live = is_ours or inspect.ismethod(value) or inspect.isasyncgen(value)
        return Blocking(value, self._runner) if is_live else value


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """`connect(url, **options)`: a client of either face, closed afterwards."""
    with asyncio.Runner() as runner:
        opened: list[Any] = []

        def open_client(url: str, **options: Any) -> Any:
            client = Client(url, **options) if request.param == "sync" else AsyncClient(url, **options)
            opened.append(client)
            return client if request.param == "sync" else Blocking(client, runner)

        yield open_client
        for client in opened:
            closing = client.close()
            if inspect.iscoroutine(closing):
                runner.run(closing)


@pytest.fixture
def client(connect: Callable[..., Any], service: Service) -> Any:
    """A client of the scripted service."""
    return connect(service.url)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.fixture
def served(service: Service) -> Service:
    """A service with one result."""
    service.on("POST /erf", Reply(202, job_json()))
    service.on("GET /erf/job-1/events", Reply(chunks=[f"data: {json.dumps(succeeded())}\n\n"]))
    service.on("GET /erf/job-1", Reply(body=succeeded()))
    service.on("GET /erf/job-1/map.npy", Reply(body=npy(MAP)))
    service.on("GET /erf/job-1/heatmap.png", Reply(body=PNG))
    return service
