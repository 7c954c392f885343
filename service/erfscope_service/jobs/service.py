"""What happens to jobs of any kind: list, look, wait, cancel, remove."""

import asyncio
import json

from erfscope_contract.job import JobAddress, JobKind, ListedJob, ListedJobs, Status
from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Kind, Record
from erfscope_service import work
from erfscope_service.preferences import Page
from erfscope_service.services import Services
from erfscope_service.work import fields_of


async def page(
    services: Services,
    tenant: str,
    asked: Page,
    kind: Kind | None = None,
    status: Status | None = None,
) -> ListedJobs:
    """One page of a tenant's jobs, newest first, without requests and results."""
    page = await services.ledger.list(tenant, size=asked.size, token=asked.token, kind=kind, status=status)
    jobs = await asyncio.to_thread(lambda: [listed(record) for record in page.records])
    return ListedJobs(jobs=jobs, next_page_token=page.next_token)


async def look(services: Services, tenant: str, id: str, seconds: float = 0.0) -> ListedJob:
    """The job, once it has ended or after `seconds`; `not-found` for an unknown id and another tenant's alike."""
    record = await _record(services, tenant, id)
    if seconds > 0:
        record = await work.wait(services, record, seconds, lambda known: _record(services, tenant, known))
    return listed(record)


async def cancel(services: Services, tenant: str, id: str) -> tuple[ListedJob, bool]:
    """Ask for the job's end; one that had ended comes back unchanged, and True."""
    record, had_ended = await work.cancel(services, await _record(services, tenant, id), _unknown(id))
    return listed(record), had_ended


async def purge(services: Services, tenant: str, id: str) -> None:
    """Remove a job that has ended."""
    await work.purge(services, await _record(services, tenant, id), _unknown(id))


async def _record(services: Services, tenant: str, id: str) -> Record:
    record = await services.ledger.get(id, tenant)
    if record is None or record.kind is Kind.SHARD:
        raise _unknown(id)
    return record


def _unknown(id: str) -> ProblemError:
    return ProblemError("not-found", f"There is no job {id[:64]!r} (any more; results have a time to live).")


def listed(record: Record) -> ListedJob:
    """What every kind of job says of itself, and where the job is."""
    kind = JobKind(record.kind)
    return ListedJob(**fields_of(record), kind=kind, links=JobAddress(self=_address(record)))


def _address(record: Record) -> str:
    """An inspection is a part of its model; every other job has a path of its kind."""
    if record.kind is Kind.INSPECT:
        return f"/models/{json.loads(record.payload)['model']}"
    return f"/{record.kind}/{record.id}"
