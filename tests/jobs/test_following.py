"""One reader of events for all who follow jobs in a process, against a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import redis

from erfscope_contract.problem import ProblemError
from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.call import plain
from erfscope_jobs.operations import MOST_EVENTS
from erfscope_jobs.records import Kind, Record, Submission
from erfscope_jobs.settings import Settings

T = TypeVar("T")
TENANT = "alice"
MANY = 120


def told(settings: Settings, story: Callable[[AsyncLedger], Awaitable[T]]) -> T:
    async def run() -> T:
        roomy = {"max_open_jobs": 2 * MANY, "max_open_jobs_per_tenant": 2 * MANY, "redis_timeout": 10.0}
        async with AsyncLedger(settings.model_copy(update=roomy)) as ledger:
            return await story(ledger)

    return asyncio.run(run())


async def submitted(ledger: AsyncLedger, name: str = "") -> Record:
    job = Submission(kind=Kind.ERF, tenant=TENANT, payload="{}", question=f"q{name}")
    return (await ledger.submit(job, settle=False)).record


def followed(ledger: AsyncLedger, record: Record, after: str | None = None, wait: float = 30) -> "asyncio.Task[Any]":
    return asyncio.create_task(ledger.events(record.id, after or record.last_event, wait))


async def begun(ledger: AsyncLedger) -> None:
    """Until the reader waits for all who were asked to follow."""
    await asyncio.sleep(0)
    while not ledger._following[0]._followers:
        await asyncio.sleep(0.01)


def test_many_follow_by_one_connection_and_each_hears_of_its_own_job(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> tuple[list[Any], list[str], int]:
        records = [await submitted(ledger, str(n)) for n in range(MANY)]
        waiting = [followed(ledger, record) for record in records]
        await begun(ledger)
        with redis.Redis.from_url(settings.redis_url) as look:
            readers = 0
            while not readers:  # one read or the other is always under way, but for the moment between two
                await asyncio.sleep(0.01)
                readers = sum(client["cmd"] == "xread" for client in look.client_list())
        for record in records:
            await ledger.cancel(record.id, TENANT)
        heard = [[event.data["status"] for event in await each] for each in waiting]
        return heard, [record.id for record in records], readers

    heard, ids, readers = told(settings, story)
    assert len(set(ids)) == MANY
    assert heard == [["canceled"]] * MANY
    assert readers == 1


def test_followers_of_one_job_hear_what_came_after_their_own_event(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> tuple[list[Any], list[Any]]:
        record = await submitted(ledger)
        late = followed(ledger, record)
        await begun(ledger)
        early = followed(ledger, record, "0-0")
        first = await early
        await ledger.cancel(record.id, TENANT)
        return [event.data["status"] for event in first], [event.data["status"] for event in await late]

    assert told(settings, story) == (["queued"], ["canceled"])


def test_who_waits_in_vain_gets_nothing_and_the_reader_ends_with_the_last(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> tuple[list[Any], bool, list[Any]]:
        record = await submitted(ledger)
        nothing = await ledger.events(record.id, record.last_event, 0.05)
        reader = ledger._following[0]._reader
        assert reader is not None
        await reader
        again = followed(ledger, record)
        await begun(ledger)
        await ledger.cancel(record.id, TENANT)
        return nothing, reader.done(), [event.data["status"] for event in await again]

    assert told(settings, story) == ([], True, ["canceled"])


def test_one_who_goes_away_takes_nobody_along(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> list[Any]:
        record = await submitted(ledger)
        stays, goes = followed(ledger, record), followed(ledger, record)
        await begun(ledger)
        goes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await goes
        await ledger.cancel(record.id, TENANT)
        return [event.data["status"] for event in await stays]

    assert told(settings, story) == ["canceled"]


def test_an_outage_is_told_to_every_follower(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> list[str]:
        waiting = [asyncio.create_task(ledger.events(f"job{n}", "0-0", 30)) for n in range(3)]
        kinds = []
        for each in waiting:
            with pytest.raises(ProblemError) as caught:
                await each
            kinds.append(caught.value.kind)
        return kinds

    away = settings.model_copy(update={"redis_url": "unix:///nowhere/s?db=0"})
    assert told(away, story) == ["unavailable"] * 3


def test_an_event_that_nobody_gave_out_is_refused_before_anybody_waits(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> str:
        with pytest.raises(ProblemError) as caught:
            await ledger.events("job", "yesterday", 30)
        return caught.value.kind

    assert told(settings, story) == "invalid-request"


def test_followers_from_the_beginning_hold_nobody_back(settings: Settings) -> None:
    """One read has all that is kept of a job, so who follows from the end is told of it in the same read."""

    async def story(ledger: AsyncLedger) -> tuple[list[Any], int]:
        record = await submitted(ledger)
        await ledger.run(plain(bool, "DEL", f"{settings.namespace}:events:{record.id}"))
        for n in range(1, 201):
            entry = ("MAXLEN", "256", f"{n}-0", "data", '{"status": "running"}')
            await ledger.run(plain(bool, "XADD", f"{settings.namespace}:events:{record.id}", *entry))
        first, last = (followed(ledger, record, after) for after in ("0-0", "199-0"))
        return [event.id for event in await last], len(await first)

    assert told(settings, story) == (["200-0"], 200)


def test_all_that_is_kept_of_a_job_comes_in_one_read(settings: Settings) -> None:
    async def story(ledger: AsyncLedger) -> int:
        record = await submitted(ledger)
        claim = ledger._parts.first.claim(record.id, "w")
        await ledger.run(claim)
        for n in range(MOST_EVENTS + 20):
            await ledger.run(ledger._parts.first.beat(record.id, 1, f"stage {n}", 0.5))
        return len(await ledger.events(record.id))

    assert told(settings.model_copy(update={"lease_seconds": 30.0}), story) == MOST_EVENTS
