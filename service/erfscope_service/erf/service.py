"""What happens to measurements: submit, look, wait, list, cancel, remove."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from erfscope_contract.job import JobPage, Status
from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult
from erfscope_contract.version import __version__
from erfscope_jobs.digest import canonical, question
from erfscope_jobs.records import Idempotency, Kind, Record, Submission, Submitted, Upload
from erfscope_service import work
from erfscope_service.erf import submission
from erfscope_service.erf.submission import Asked
from erfscope_service.erf.view import job_of
from erfscope_service.preferences import Page
from erfscope_service.services import Services
from erfscope_service.stored import FILE, MODEL, require, uploaded

NO_RESULT = {
    Status.QUEUED: "wait for it at /erf/{id}",
    Status.RUNNING: "wait for it at /erf/{id}",
    Status.CANCELED: "submit it again to have one",
}


async def submit(
    services: Services, tenant: str, asked: Asked, key: str | None, *, settle: bool = True, holder: str | None = None
) -> Submitted:
    """Record the job, unless it is there already, and ring for a worker.

    `settle` is that of the ledger's `submit`, `holder` a name by which the caller may take the job back (`withdraw`).
    The order matters: what a record refers to exists before it, and a lost ring is made good by the reaper.
    """
    model = await _model(services, tenant, asked)
    await _require_images(services, tenant, asked)
    job = replace(_submission(tenant, asked, model, key), holder=holder)
    submitted = await services.ledger.submit(job, settle=settle)
    if submitted.record.status is Status.QUEUED:  # one that was there before may have lost its ring
        await services.doorbell.ring_async(submitted.record.id, Kind.ERF)
    return submitted


async def _model(services: Services, tenant: str, asked: Asked) -> Upload | None:
    """The tenant's ONNX model that is asked about, remembered if it came with the request; None for a spec."""
    if asked.sha256 is None:
        return None
    if asked.stored is None:
        return await require(services, tenant, MODEL, asked.sha256, "/model/sha256")
    known = await services.ledger.find_upload(tenant, MODEL, asked.sha256)
    if known is None:
        known = uploaded(tenant, asked.stored, asked.name)
        await services.ledger.put_upload(known)
    return replace(known, name=asked.name or known.name)


async def _require_images(services: Services, tenant: str, asked: Asked) -> None:
    images = asked.request.input.images
    if images:
        await require(services, tenant, FILE, images, "/input/images")


def _submission(tenant: str, asked: Asked, model: Upload | None, key: str | None) -> Submission:
    request = asked.as_json
    images = asked.request.input.images
    name, parts = (model.name, model.parts) if model else (asked.name, {})
    asks = question(tenant, Kind.ERF, asked.sha256 or _spec_text(request), request, __version__)
    return Submission(
        kind=Kind.ERF,
        tenant=tenant,
        payload=canonical(
            {"request": request, "model": asked.sha256, "images": images, "name": name, **parts}
        ).decode(),
        question=asks,
        blobs=(*(model.used if model else ()), *([images] if images else ())),
        idempotency=Idempotency(key, submission.fingerprint(asked)) if key else None,
    )


def _spec_text(request: Mapping[str, Any]) -> str:
    return canonical(request["model"]["architecture"]).decode()


async def look(services: Services, tenant: str, id: str) -> Record:
    """The job's record; `not-found` for an unknown id, an expired one and another tenant's alike."""
    return await work.find(services, tenant, id, (Kind.ERF,))


async def wait(services: Services, tenant: str, record: Record, seconds: float) -> Record:
    """The record once the job has ended, or as it is after `seconds`; at once where too many wait already."""
    return await work.wait(services, record, seconds, lambda id: look(services, tenant, id))


async def page(services: Services, tenant: str, asked: Page) -> JobPage:
    """One page of a tenant's jobs, newest first, without their results."""
    found = await services.ledger.list(tenant, size=asked.size, token=asked.token, kind=Kind.ERF)
    jobs = await asyncio.to_thread(lambda: [job_of(record) for record in found.records])
    return JobPage(jobs=jobs, next_page_token=found.next_token)


async def cancel(services: Services, tenant: str, id: str) -> tuple[Record, bool]:
    """Ask for the job's end; a job that had ended already comes back unchanged, and True."""
    return await work.cancel(services, await look(services, tenant, id))


async def purge(services: Services, tenant: str, id: str) -> None:
    """Remove a job that has ended."""
    await work.purge(services, await look(services, tenant, id))


async def succeeded(services: Services, tenant: str, id: str) -> tuple[Record, str, ErfResult]:
    """The record, model name and result of a measurement that has one; `conflict` otherwise."""
    record = await look(services, tenant, id)
    job = await asyncio.to_thread(job_of, record)
    if job.result is None:
        hint = NO_RESULT.get(record.status, "its error is at /erf/{id}").format(id=id)
        raise ProblemError("conflict", f"The job is {record.status}, it has no result; {hint}.")
    return record, job.model.name, job.result
