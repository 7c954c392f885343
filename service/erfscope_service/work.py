"""What every kind of job shares here: a record's common fields, and waiting for its end."""

import json
import time
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from typing import Any

from erfscope_contract.job import ModelName, Status
from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Kind, Purge, Record
from erfscope_service.services import Services

NOBODY = (
    "no worker is alive. `erfscope up` starts its own again within a minute; a worker of yours is started by "
    "`erfscope worker`, with this service's Redis and data folder."
)
WAIT_SLICE = 2.0  # seconds: how soon a waiting request notices that the server shuts down
Look = Callable[[str], Awaitable[Record]]


def fields_of(record: Record) -> dict[str, Any]:
    """The fields of the contract's `Work` that a record is."""
    payload: dict[str, Any] = json.loads(record.payload)
    return {
        "id": record.id,
        "status": record.status,
        "stage": record.stage,
        "progress": record.progress,
        "attempt": record.attempt,
        "cached": record.cached,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "model": ModelName(sha256=payload["model"], name=payload["name"]),
        "error": record.problem,
        "timing": record.timing,
    }


async def note_of(services: Services, record: Record) -> str | None:
    """What a queued job waits for beside its turn; None where a worker lives, or the store does not tell."""
    if record.status is not Status.QUEUED:
        return None
    with suppress(ProblemError):  # the job is accepted all the same
        return None if await services.ledger.workers() else f"The job waits: {NOBODY}"
    return None


def unknown(id: str, noun: str = "job") -> ProblemError:
    """The 404 of a job, which its sentence calls by `noun`."""
    return ProblemError("not-found", f"There is no {noun} {id[:64]!r} (any more; results have a time to live).")


async def find(services: Services, tenant: str, id: str, kinds: Container[Kind], noun: str = "job") -> Record:
    """The record of a job of these kinds; `not-found` for an unknown id, an expired one and another tenant's alike."""
    record = await services.ledger.get(id, tenant)
    if record is None or record.kind not in kinds:
        raise unknown(id, noun)
    return record


async def wait(services: Services, record: Record, seconds: float, look: Look) -> Record:
    """The record once the job has ended, or as it is after `seconds`; at once where too many wait already."""
    if services.watchers.is_full(record.tenant):
        return record
    with services.watchers.watching(record.tenant):
        return await _waited(services, record, time.monotonic() + seconds, look)


async def cancel(services: Services, record: Record, noun: str = "job") -> tuple[Record, bool]:
    """Ask for the job's end; a job that had ended already comes back unchanged, and True. Raises `not-found`."""
    canceled = await services.ledger.cancel(record.id, record.tenant)
    if canceled is None:
        raise unknown(record.id, noun)
    return canceled, not canceled.canceled_now


async def purge(services: Services, record: Record, noun: str = "job") -> None:
    """Remove a job that has ended; raises `conflict` for one that has not, and `not-found`."""
    removed = await services.ledger.purge(record.id, record.tenant)
    if removed is Purge.OPEN:
        raise ProblemError("conflict", "The job has not ended; cancel it first (DELETE without purge).")
    if removed is Purge.MISSING:
        raise unknown(record.id, noun)


async def _waited(services: Services, record: Record, until: float, look: Look) -> Record:
    after = record.last_event
    while not record.status.is_terminal and not services.stopping.is_set():
        left = until - time.monotonic()
        if left <= 0:
            break
        events = await services.ledger.events(record.id, after=after, wait=min(left, WAIT_SLICE))
        if events:
            after = events[-1].id
            record = await look(record.id)
    return record
