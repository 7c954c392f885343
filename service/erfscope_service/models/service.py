"""What happens to stored models: inspection as a job of its own."""

import asyncio

from erfscope_contract.job import Inspection, ListedModel, ListedModels, Status, StoredModel
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_contract.version import __version__
from erfscope_jobs.digest import canonical, question
from erfscope_jobs.records import Kind, Record, Submission, Upload
from erfscope_service import work
from erfscope_service.preferences import Page
from erfscope_service.reading import read_result
from erfscope_service.services import Services
from erfscope_service.stored import MODEL, uploaded
from erfscope_service.upload.form import StoredFiles


async def keep(services: Services, tenant: str, stored: StoredFiles, name: str, seconds: float = 0.0) -> StoredModel:
    """Remember an uploaded model as the tenant's, and have it inspected; again, if that failed before."""
    upload = uploaded(tenant, stored, name)
    await services.ledger.put_upload(upload)
    try:
        return await inspect(services, tenant, stored.sha256, seconds)
    except ProblemError as error:
        if error.kind != "not-found":
            raise
        return _stored(upload, None)  # it was stored, and deleted by another call meanwhile


async def look(services: Services, tenant: str, sha256: str, seconds: float = 0.0) -> StoredModel:
    """The model and what is known of its inspection, once that has ended or after `seconds`; starts nothing."""
    upload, record = await _known(services, tenant, sha256)
    return await _waited(services, upload, record, seconds)


async def inspect(services: Services, tenant: str, sha256: str, seconds: float = 0.0) -> StoredModel:
    """`look`, after an inspection was started where there is none (any more), or one that failed."""
    upload, record = await _known(services, tenant, sha256)
    if record is None or has_failed(record):
        record = await _inspect(services, upload)
    return await _waited(services, upload, record, seconds)


async def _known(services: Services, tenant: str, sha256: str) -> tuple[Upload, Record | None]:
    upload = await services.ledger.find_upload(tenant, MODEL, sha256)
    if upload is None:
        raise _unknown(sha256)
    return upload, await services.ledger.get(upload.job, tenant) if upload.job else None


async def _waited(services: Services, upload: Upload, record: Record | None, seconds: float) -> StoredModel:
    async def again(id: str) -> Record:
        found = await services.ledger.get(id, upload.tenant)
        if found is None:
            raise _unknown(upload.sha256)
        return found

    if record is not None and seconds > 0:
        record = await work.wait(services, record, seconds, again)
    return await asyncio.to_thread(_stored, upload, record)


async def page(services: Services, tenant: str, asked: Page) -> ListedModels:
    """One page of a tenant's models, newest first."""
    page = await services.ledger.list_uploads(tenant, MODEL, asked.size, asked.token)
    models = [
        ListedModel(sha256=one.sha256, size=one.size, name=one.name, created_at=one.created_at, data=dict(one.data))
        for one in page.uploads
        if one.created_at is not None
    ]
    return ListedModels(models=models, next_page_token=page.next_token)


def has_failed(record: Record) -> bool:
    """It ended without an inspection."""
    return record.status.is_terminal and record.status is not Status.SUCCEEDED


async def drop(services: Services, tenant: str, sha256: str) -> None:
    """Forget the model; its bytes go when no job needs them."""
    if not await services.ledger.drop_upload(tenant, MODEL, sha256):
        raise _unknown(sha256)


async def _inspect(services: Services, upload: Upload) -> Record:
    options = InputOptions().model_dump(mode="json")
    asks = question(upload.tenant, Kind.INSPECT, upload.sha256, options, __version__)
    payload = {"options": options, "model": upload.sha256, "name": upload.name, **upload.parts}
    submitted = await services.ledger.submit(
        Submission(
            kind=Kind.INSPECT,
            tenant=upload.tenant,
            payload=canonical(payload).decode(),
            question=asks,
            blobs=upload.used,
            inspects=upload,  # whoever asks at the same time, or after the same failure, gets the same job
        )
    )
    record = submitted.record
    if not record.status.is_terminal:
        await services.doorbell.ring_async(record.id, Kind.INSPECT)
    return record


def _stored(upload: Upload, record: Record | None) -> StoredModel:
    return StoredModel(
        sha256=upload.sha256,
        size=upload.size,
        name=upload.name,
        data=dict(upload.data),
        status=record and record.status,
        inspection=read_result(Inspection, record.id, record.result) if record and record.result else None,
        error=record and record.problem,
    )


def _unknown(sha256: str) -> ProblemError:
    return ProblemError("not-found", f"There is no stored model {sha256[:64]!r}; send it to POST /models.")
