"""The routes of a kind of question: parse, call, return."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from erfscope_contract.job import ListedJobs
from erfscope_jobs.log import note
from erfscope_service.bodies import json_body, json_response
from erfscope_service.jobs import service as jobs
from erfscope_service.preferences import (
    IdempotencyHeader,
    PageDep,
    PreferHeader,
    Purge,
    applied,
    idempotency_key_of,
    seconds_to_wait,
)
from erfscope_service.problems import of_submission, of_tenant
from erfscope_service.questions import service
from erfscope_service.questions.question import Question
from erfscope_service.services import ServicesDep, TenantDep

JobId = Annotated[str, Path(description="The job's id.", examples=["QGKk9X7yq3zvN1cJ0lBw6A"])]


def router_of(kind: Question[Any, Any]) -> APIRouter:
    """Submit, look, list, cancel and remove."""
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
        request: Request,
        services: ServicesDep,
        tenant: TenantDep,
        idempotency_key: IdempotencyHeader = None,
        prefer: PreferHeader = None,
    ) -> Response:
        key, seconds = idempotency_key_of(idempotency_key), seconds_to_wait(prefer, services)
        asked = await service.read(kind, await json_body(request))
        job = await service.submit(services, tenant, kind, asked, key)
        note(job=job.id)
        if seconds is not None and not job.status.is_terminal:
            job = await service.look(services, tenant, kind, job.id, seconds)
        headers = {"Location": f"{kind.path}/{job.id}", "Retry-After": "1"}
        return json_response(job, 202, headers | applied(seconds))

    @router.get(
        "/{id}",
        response_model=kind.job,
        operation_id=f"get_{kind.kind}",
        summary=f"Look at a job of /{kind.kind}",
        description="Its `result` is there when it has succeeded.",
        response_description="As it is now.",
        responses=of_tenant("not-found"),
    )
    async def look(id: JobId, services: ServicesDep, tenant: TenantDep, prefer: PreferHeader = None) -> Response:
        seconds = seconds_to_wait(prefer, services)
        return json_response(await service.look(services, tenant, kind, id, seconds or 0.0), 200, applied(seconds))

    @router.get(
        "",
        operation_id=f"list_{kind.kind}",
        summary=f"List jobs of /{kind.kind}, newest first",
        description=f"Requests and results are left out; GET /{kind.kind}/{{id}} has them.",
        response_description="One page.",
        responses=of_tenant("invalid-request"),
    )
    async def every(
        services: ServicesDep,
        tenant: TenantDep,
        page: PageDep,
    ) -> ListedJobs:
        return await jobs.page(services, tenant, page, kind.kind)

    @router.delete(
        "/{id}",
        response_model=kind.job,
        operation_id=f"cancel_{kind.kind}",
        summary=f"Cancel a job of /{kind.kind}, or remove one that has ended",
        description="Repeating it is safe.",
        responses=of_tenant("not-found", "conflict", "invalid-request")
        | {
            200: {"description": "The job had ended and is unchanged."},
            202: {"model": kind.job, "description": "The job is being canceled."},
            204: {"description": "The job is removed (purge)."},
        },
    )
    async def delete(id: JobId, services: ServicesDep, tenant: TenantDep, purge: Purge = False) -> Response:
        if purge:
            await service.purge(services, tenant, kind, id)
            return Response(status_code=204)
        job, had_ended = await service.cancel(services, tenant, kind, id)
        return json_response(job, 200 if had_ended else 202, {})

    return router
