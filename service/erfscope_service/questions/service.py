"""What happens to questions about a model: each is a job of its own kind."""

import asyncio
import json
from typing import Any, TypeVar

from pydantic import BaseModel

from erfscope_contract import architecture
from erfscope_contract.hashing import sha256_of
from erfscope_contract.job import Status, Work
from erfscope_contract.version import __version__
from erfscope_jobs.digest import canonical, question
from erfscope_jobs.records import Idempotency, Record, Submission
from erfscope_service import work
from erfscope_service.admission import require_disk
from erfscope_service.bodies import shaped
from erfscope_service.edge import strict_json
from erfscope_service.questions.question import Question
from erfscope_service.reading import read_result
from erfscope_service.services import Services
from erfscope_service.stored import FILE, MODEL, require
from erfscope_service.work import fields_of

R = TypeVar("R", bound=BaseModel)
J = TypeVar("J", bound=Work)


async def read(kind: Question[R, J], body: bytes) -> R:
    """Raises ProblemError `bad-request`, `invalid-request`, `invalid-architecture`, `shape-mismatch`."""
    return await asyncio.to_thread(_read, kind, body)


def _read(kind: Question[R, J], body: bytes) -> R:
    request: Any = shaped(kind.request, strict_json.parse(body))
    if request.model.architecture is not None:
        architecture.check(request.model.architecture, request.input.shape)
    return request  # type: ignore[no-any-return]  # every question has a model and an input


async def submit(services: Services, tenant: str, kind: Question[R, J], request: R, key: str | None) -> J:
    """Record the job, unless it is there already, and notify a worker."""
    require_disk(services)
    fields = request.model_dump(mode="json")
    sha256, spec = fields["model"]["sha256"], fields["model"]["architecture"]
    stored = await require(services, tenant, MODEL, sha256, "/model/sha256") if sha256 else None
    images = fields["input"]["images"]
    if images:
        await require(services, tenant, FILE, images, "/input/images")
    name = stored.name if stored else (spec["name"] if spec else "")
    asks = question(tenant, kind.kind, sha256 or canonical(fields["model"]).decode(), fields, __version__)
    payload = {
        "request": fields, "model": sha256, "images": images, "name": name, **(stored.parts if stored else {}),
    }  # fmt: skip
    submitted = await services.ledger.submit(
        Submission(
            kind=kind.kind,
            tenant=tenant,
            payload=canonical(payload).decode(),
            question=asks,
            blobs=(*(stored.used if stored else ()), *([images] if images else ())),
            idempotency=_idempotency(kind, key, fields),
        )
    )
    if submitted.record.status is Status.QUEUED:
        await services.doorbell.ring_async(submitted.record.id, kind.kind)
    job = await asyncio.to_thread(_job, kind, submitted.record, request)
    return job.model_copy(update={"note": await work.note_of(services, submitted.record)})


def _idempotency(kind: Question[R, J], key: str | None, fields: dict[str, Any]) -> Idempotency | None:
    """Each kind has keys of its own."""
    if key is None:
        return None
    return Idempotency(f"{kind.kind} {key}", sha256_of(canonical(fields)))


async def look(services: Services, tenant: str, kind: Question[R, J], id: str, seconds: float = 0.0) -> J:
    """The job, once it has ended or after `seconds`; `not-found` for an unknown id and another tenant's alike."""
    record = await _record(services, tenant, kind, id)
    if seconds > 0:
        record = await work.wait(services, record, seconds, lambda known: _record(services, tenant, kind, known))
    return await asyncio.to_thread(_job, kind, record)


async def cancel(services: Services, tenant: str, kind: Question[R, J], id: str) -> tuple[J, bool]:
    """Ask for the job's end; one that had ended comes back unchanged, and True."""
    record, had_ended = await work.cancel(services, await _record(services, tenant, kind, id), kind.noun)
    return await asyncio.to_thread(_job, kind, record), had_ended


async def purge(services: Services, tenant: str, kind: Question[R, J], id: str) -> None:
    """Remove a job that has ended."""
    await work.purge(services, await _record(services, tenant, kind, id), kind.noun)


async def _record(services: Services, tenant: str, kind: Question[R, J], id: str) -> Record:
    return await work.find(services, tenant, id, (kind.kind,), kind.noun)


def _job(kind: Question[R, J], record: Record, request: R | None = None) -> J:
    """Who has just checked the record's request gives it, so that it is not validated again."""
    payload: dict[str, Any] = json.loads(record.payload)
    parts = {
        "request": request or kind.request.model_validate(payload["request"]),
        "result": read_result(kind.answer, record.id, record.result) if record.result else None,
        "links": {"self": f"{kind.path}/{record.id}"},
    }
    return kind.job.model_validate(fields_of(record) | parts)
