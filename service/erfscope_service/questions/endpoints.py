"""The three routes of a kind of question: parse, call, return."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response

from erfscope_jobs.log import note
from erfscope_service.bodies import json_body, json_response
from erfscope_service.preferences import IdempotencyHeader, idempotency_key_of, seconds_to_wait
from erfscope_service.problems import of_submission, of_tenant
from erfscope_service.questions import service
from erfscope_service.questions.question import Question
from erfscope_service.services import ServicesDep, TenantDep

JobId = Annotated[str, Path(description="The job's id.", examples=["QGKk9X7yq3zvN1cJ0lBw6A"])]
Prefer = Annotated[
    str | None, Header(description="`wait=10` holds the answer up to 10 seconds, until the job has ended.")
]


def router_of(kind: Question[Any, Any]) -> APIRouter:
    """Submit, look, cancel."""
    router = APIRouter(prefix=kind.path, tags=[str(kind.kind)])

    @router.post(
        "",
        status_code=202,
        response_model=kind.job,
        operation_id=f"submit_{kind.kind}",
        summary=kind.summary,
        description=kind.description,
        response_description="Submitted.",
        responses=of_submission(),
        openapi_extra={"requestBody": kind.body},
    )
    async def submit(
        request: Request, services: ServicesDep, tenant: TenantDep, idempotency_key: IdempotencyHeader = None
    ) -> Response:
        key = idempotency_key_of(idempotency_key)
        asked = await service.read(kind, await json_body(request))
        job = await service.submit(services, tenant, kind, asked, key)
        note(job=job.id)
        return json_response(job, 202, {"Location": f"{kind.path}/{job.id}", "Retry-After": "1"})

    @router.get(
        "/{id}",
        response_model=kind.job,
        operation_id=f"get_{kind.kind}",
        summary=f"Look at a job of /{kind.kind}",
        description="Its `result` is there when it has succeeded.",
        response_description="As it is now.",
        responses=of_tenant("not-found"),
    )
    async def look(id: JobId, services: ServicesDep, tenant: TenantDep, prefer: Prefer = None) -> Response:
        seconds = seconds_to_wait(prefer, services)
        applied = {} if seconds is None else {"Preference-Applied": f"wait={seconds:g}"}
        return json_response(await service.look(services, tenant, kind, id, seconds or 0.0), 200, applied)

    @router.delete(
        "/{id}",
        status_code=202,
        response_model=kind.job,
        operation_id=f"cancel_{kind.kind}",
        summary=f"Cancel a job of /{kind.kind}",
        description="Repeating it is safe.",
        response_description="It is being canceled, or had ended.",
        responses=of_tenant("not-found"),
    )
    async def delete(id: JobId, services: ServicesDep, tenant: TenantDep) -> Response:
        return json_response(await service.cancel(services, tenant, kind, id), 202, {})

    return router
