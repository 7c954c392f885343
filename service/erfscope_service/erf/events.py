"""A job's progress as server-sent events.

    event: snapshot   data: the Job as it is when the stream begins        (not after Last-Event-ID)
    event: progress   data: {"status", "stage", "progress", "attempt"}
    event: end        data: the Job in its terminal state, result or error included; the stream ends

Every event carries an id, so that a client that lost the connection goes on where it was.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.sse import ServerSentEvent

from erfscope_contract.job import Status
from erfscope_contract.problem import ProblemError
from erfscope_jobs.operations import is_event_id
from erfscope_jobs.records import Record
from erfscope_service.erf.service import look
from erfscope_service.erf.view import json_of
from erfscope_service.services import Services
from erfscope_service.work import WAIT_SLICE

RETRY_MILLISECONDS = 1000
CHECK_SECONDS = 2.0  # a revoked key ends its streams within this time and a slice of waiting
Check = Callable[[], Awaitable[None]]


def resume_point(last_event_id: str | None) -> str | None:
    """The id to go on after; None for a new stream, or where the header is not one of our ids."""
    is_ours = last_event_id is not None and is_event_id(last_event_id)
    return last_event_id if is_ours else None


def has_seen_the_end(record: Record, after: str | None) -> bool:
    """Browsers reconnect after every stream; a 204 is what makes them stop (WHATWG HTML, 9.2.3)."""
    return record.status.is_terminal and after == record.last_event


async def nothing() -> AsyncIterator[ServerSentEvent]:
    """A stream without events."""
    return
    yield  # what makes this a generator


async def follow(
    services: Services, tenant: str, record: Record, after: str | None, check: Check
) -> AsyncIterator[ServerSentEvent]:
    """The events of a job until it ends, the server stops, or the store goes away (clients reconnect).

    `check` is called now and then; what it raises (the caller's key is revoked) ends the stream.
    """
    try:
        with services.watchers.watching(tenant):
            if after is None:
                yield await _job_event("snapshot", record)
            async for event in _changes(services, tenant, record, after or record.last_event, check):
                yield event
    except ProblemError as problem:
        yield ServerSentEvent(comment=f"interrupted: {problem.kind}")


async def _changes(
    services: Services, tenant: str, record: Record, after: str, check: Check
) -> AsyncIterator[ServerSentEvent]:
    spoke = checked = time.monotonic()
    while not services.stopping.is_set():
        if time.monotonic() - checked >= CHECK_SECONDS:
            await check()
            checked = time.monotonic()
        patience = 0.0 if record.status.is_terminal else WAIT_SLICE
        changes = await services.ledger.events(record.id, after=after, wait=patience)
        for change in changes:
            if Status(change.data["status"]).is_terminal:
                yield await _job_event("end", await look(services, tenant, record.id))
                return
            yield ServerSentEvent(event="progress", id=change.id, data=dict(change.data))
        if changes:
            after, spoke = changes[-1].id, time.monotonic()
        elif record.status.is_terminal:
            yield await _job_event("end", record)
            return
        elif time.monotonic() - spoke >= services.settings.keep_alive_seconds:
            yield ServerSentEvent(comment="keep-alive")
            spoke = time.monotonic()
            record = await look(services, tenant, record.id)  # a purge takes the events along


async def _job_event(name: str, record: Record) -> ServerSentEvent:
    data = await asyncio.to_thread(json_of, record)
    retry = RETRY_MILLISECONDS if name == "snapshot" else None
    return ServerSentEvent(event=name, id=record.last_event, raw_data=data, retry=retry)
