"""Connections are bounded: who does nothing makes room, who reads nothing is cut off, and the service still answers."""

import errno
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from tests.service.conftest import eventually, running_service

from erfscope_service.edge.connections import Connections, fitting
from erfscope_service.settings import ServiceSettings

IDLE = 1_100


@dataclass(eq=False)
class Line:
    """A connection that notes that it was dropped."""

    is_idle: bool = True
    dropped: list[bool] = field(default_factory=list)

    def drop(self) -> None:
        self.dropped.append(True)


def lines(count: int, **state: bool) -> list[Line]:
    return [Line(**state) for _ in range(count)]


def test_the_one_that_was_idle_for_longest_makes_room() -> None:
    open_, first, second, third, fourth = Connections(3, 3), *lines(4)
    for line in (first, second, third):
        open_.opened(line, "a")
    open_.used(first)
    open_.opened(fourth, "b")
    assert [len(line.dropped) for line in (first, second, third, fourth)] == [0, 1, 0, 0]
    assert len(open_) == 3


def test_busy_connections_are_not_dropped_for_a_new_one() -> None:
    open_, busy, new = Connections(2, 2), lines(2, is_idle=False), Line()
    for line in busy:
        open_.opened(line, "a")
    open_.opened(new, "b")
    assert new.dropped
    assert not any(line.dropped for line in busy)


def test_an_address_has_its_share_and_a_proxy_all() -> None:
    open_, mine, other = Connections(10, 2, ["10.0.0.0/8"]), lines(3), Line()
    open_.opened(other, "192.0.2.1")
    for line in mine:
        open_.opened(line, "192.0.2.2")
    assert [len(line.dropped) for line in (other, *mine)] == [0, 1, 0, 0]
    proxied = lines(5)
    for line in proxied:
        open_.opened(line, "10.1.2.3")
    assert not any(line.dropped for line in proxied)
    for line in (other, *mine, *proxied):
        open_.closed(line)
        open_.closed(line)
    assert len(open_) == 0


def test_bounds_follow_the_descriptors() -> None:
    assert [fitting(descriptors) for descriptors in (64, 1024, 10**6)] == [64, 768, 10_000]


@pytest.fixture
def poor(settings: ServiceSettings, tmp_path: Path) -> Iterator[str]:
    """A service that may have 1,024 descriptors; its address."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 300:
        pytest.skip("this machine does not let the test have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 300), hard))
    told = {"ERFSCOPE_REDIS_URL": settings.redis_url, "ERFSCOPE_DATA_DIR": str(tmp_path), "ERFSCOPE_PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], env={**os.environ, **told}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        found = re.search(r"(\d+)", process.stdout.readline())
        assert found
        url = f"http://127.0.0.1:{found[1]}"
        eventually(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=30)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


SERVE = """
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 1024))
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
print(port, flush=True)
from erfscope_service.serve import serve
from erfscope_service.settings import ServiceSettings
serve(ServiceSettings(), port=port)
"""


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/live", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_idle_connections_do_not_lock_others_out(poor: str) -> None:
    host, port = poor.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        assert httpx2.get(f"{poor}/health/live", timeout=5, trust_env=False).status_code == 200


def test_a_reader_that_takes_nothing_is_cut_off(settings: ServiceSettings) -> None:
    changed = settings.model_copy(update={"namespace": "slow-reader", "patience_seconds": 0.5})
    with running_service(changed) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(20)
            reader.connect((host, int(port)))
            ask = f"GET /openapi.json HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
            reader.sendall(ask * 60)  # 10 MB of answers, of which none is read
            eventually(lambda: reader.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET)


def test_a_reader_that_is_slow_gets_all_of_it(settings: ServiceSettings) -> None:
    changed = settings.model_copy(update={"namespace": "slower-reader", "patience_seconds": 0.5})
    with running_service(changed) as url, httpx2.Client(base_url=url, timeout=30) as client:
        whole = client.get("/openapi.json").content
        got = b""
        with client.stream("GET", "/openapi.json") as response:
            for chunk in response.iter_bytes(len(whole) // 8 + 1):
                got += chunk
                time.sleep(0.2)
        assert got == whole
