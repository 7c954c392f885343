"""What happens to lists of jobs: a page of records as the contract has them."""

import asyncio
import json

from erfscope_contract.job import JobAddress, JobKind, ListedJob, ListedJobs, Status
from erfscope_jobs.records import Kind, Record
from erfscope_service.services import Services
from erfscope_service.work import fields_of


async def page(
    services: Services,
    tenant: str,
    size: int,
    token: str | None,
    kind: Kind | None = None,
    status: Status | None = None,
) -> ListedJobs:
    """One page of a tenant's jobs, newest first, without requests and results."""
    page = await services.ledger.list(tenant, size=size, token=token, kind=kind, status=status)
    jobs = await asyncio.to_thread(lambda: [listed(record) for record in page.records])
    return ListedJobs(jobs=jobs, next_page_token=page.next_token)


def listed(record: Record) -> ListedJob:
    """What every kind of job says of itself, and where the job is."""
    kind = JobKind(record.kind)
    return ListedJob(**fields_of(record), kind=kind, links=JobAddress(self=_address(record)))


def _address(record: Record) -> str:
    """An inspection is a part of its model; every other job has a path of its kind."""
    if record.kind is Kind.INSPECT:
        return f"/models/{json.loads(record.payload)['model']}"
    return f"/{record.kind}/{record.id}"
