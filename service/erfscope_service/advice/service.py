"""What happens to questions for advice: each is a job of its own kind."""

import asyncio
import hashlib
import json
from typing import Any

from erfscope import __version__
from erfscope.contract import architecture
from erfscope.contract.advice import Advice, AdviceJob, AdviceLinks, AdviceRequest
from erfscope.contract.job import Status
from erfscope.contract.problem import ProblemError
from erfscope_jobs.digest import canonical, question
from erfscope_jobs.records import Idempotency, Kind, Record, Submission
from erfscope_service import work
from erfscope_service.admission import require_disk
from erfscope_service.bodies import shaped
from erfscope_service.edge import strict_json
from erfscope_service.reading import read_result
from erfscope_service.services import Services
from erfscope_service.stored import MODEL, require
from erfscope_service.work import fields_of


async def read(body: bytes) -> AdviceRequest:
    """Raises ProblemError `bad-request`, `invalid-request`, `invalid-architecture`, `shape-mismatch`."""
    return await asyncio.to_thread(_read, body)


def _read(body: bytes) -> AdviceRequest:
    request = shaped(AdviceRequest, strict_json.parse(body))
    if request.model.architecture is not None:
        architecture.check(request.model.architecture, request.input.shape)
    return request


async def submit(services: Services, tenant: str, request: AdviceRequest, key: str | None) -> AdviceJob:
    """Record the job, unless it is there already, and ring for a worker."""
    require_disk(services)
    sha256, spec = request.model.sha256, request.model.architecture
    asked = request.model_dump(mode="json")
    stored = await require(services, tenant, MODEL, sha256, "/model/sha256") if sha256 else None
    name = stored.name if stored else (spec.name if spec else "")
    asks = question(tenant, Kind.ADVICE, sha256 or canonical(asked["model"]).decode(), asked, __version__)
    submitted = await services.ledger.submit(
        Submission(
            kind=Kind.ADVICE,
            tenant=tenant,
            payload=canonical(
                {"request": asked, "model": sha256, "name": name, **(stored.parts if stored else {})}
            ).decode(),
            question=asks,
            blobs=stored.used if stored else (),
            candidates=tuple(known.digest(asks) for known in await services.ledger.fingerprints()),
            idempotency=Idempotency(f"advice {key}", hashlib.sha256(canonical(asked)).hexdigest()) if key else None,
        )
    )
    if submitted.record.status is Status.QUEUED:
        await services.doorbell.ring_async(submitted.record.id, Kind.ADVICE)
    return await asyncio.to_thread(_job, submitted.record)


async def look(services: Services, tenant: str, id: str, seconds: float = 0.0) -> AdviceJob:
    """The job, once it has ended or after `seconds`; `not-found` for an unknown id and another tenant's alike."""
    record = await _record(services, tenant, id)
    if seconds > 0:
        record = await work.wait(services, record, seconds, lambda found: _record(services, tenant, found))
    return await asyncio.to_thread(_job, record)


async def cancel(services: Services, tenant: str, id: str) -> AdviceJob:
    """Ask for the job's end; one that had ended comes back unchanged."""
    await _record(services, tenant, id)
    record = await services.ledger.cancel(id, tenant)
    if record is None:
        raise _unknown(id)
    return await asyncio.to_thread(_job, record)


async def _record(services: Services, tenant: str, id: str) -> Record:
    record = await services.ledger.get(id, tenant)
    if record is None or record.kind is not Kind.ADVICE:
        raise _unknown(id)
    return record


def _unknown(id: str) -> ProblemError:
    return ProblemError("not-found", f"There is no advice {id[:64]!r} (any more; results have a time to live).")


def _job(record: Record) -> AdviceJob:
    payload: dict[str, Any] = json.loads(record.payload)
    return AdviceJob(
        **fields_of(record),
        request=AdviceRequest.model_validate(payload["request"]),
        result=read_result(Advice, record.id, record.result) if record.result else None,
        links=AdviceLinks(self=f"/advice/{record.id}"),
    )
