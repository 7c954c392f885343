"""Routes of /advice: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response

from erfscope.contract.advice import AdviceJob
from erfscope_jobs.log import note
from erfscope_service.advice import examples, service
from erfscope_service.bodies import json_body, json_response
from erfscope_service.preferences import IdempotencyHeader, idempotency_key_of, seconds_to_wait
from erfscope_service.problems import of_submission, of_tenant
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/advice", tags=["advice"])

AdviceId = Annotated[str, Path(description="The advice's id.", examples=["QGKk9X7yq3zvN1cJ0lBw6A"])]


@router.post(
    "",
    status_code=202,
    response_model=AdviceJob,
    summary="Ask how a network reaches a wanted receptive field",
    response_description="Submitted.",
    responses=of_submission(),
    openapi_extra={"requestBody": examples.REQUEST_BODY},
)
async def submit(
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    idempotency_key: IdempotencyHeader = None,
) -> Response:
    """Of a spec or a stored model: the ERF along depth, idle layers, and the smallest changes that reach `want`.

    Changes are found by the analytic method; the best are measured by gradient.
    """
    key = idempotency_key_of(idempotency_key)
    wanted = await service.read(await json_body(request))
    job = await service.submit(services, tenant, wanted, key)
    note(job=job.id)
    return json_response(job, 202, {"Location": f"/advice/{job.id}", "Retry-After": "1"})


@router.get(
    "/{id}",
    response_model=AdviceJob,
    summary="Look at an advice",
    response_description="As it stands now.",
    responses=of_tenant("not-found"),
)
async def look(
    id: AdviceId,
    services: ServicesDep,
    tenant: TenantDep,
    prefer: Annotated[
        str | None, Header(description="`wait=10` holds the answer up to 10 seconds, until the job has ended.")
    ] = None,
) -> Response:
    """Its `result` is there when it has succeeded."""
    seconds = seconds_to_wait(prefer, services)
    applied = {} if seconds is None else {"Preference-Applied": f"wait={seconds:g}"}
    return json_response(await service.look(services, tenant, id, seconds or 0.0), 200, applied)


@router.delete(
    "/{id}",
    status_code=202,
    response_model=AdviceJob,
    summary="Cancel an advice",
    response_description="It is being canceled, or had ended.",
    responses=of_tenant("not-found"),
)
async def delete(id: AdviceId, services: ServicesDep, tenant: TenantDep) -> Response:
    """Repeating it is safe."""
    return json_response(await service.cancel(services, tenant, id), 202, {})
