"""Routes of /advice: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response

from erfscope.contract.advice import AdviceJob
from erfscope.contract.problem import ProblemError
from erfscope_service.advice import examples, service
from erfscope_service.preferences import idempotency_key_of, seconds_to_wait
from erfscope_service.problems import of_submission, of_tenant
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/advice", tags=["advice"])

JSON = "application/json"
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
    idempotency_key: Annotated[str | None, Header(description="Repeat a submission safely.")] = None,
) -> Response:
    """Of a spec or a stored model: the ERF along depth, idle layers, and the smallest changes that reach `want`.

    Changes are found by the analytic method; the best are measured by gradient.
    """
    key = idempotency_key_of(idempotency_key)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ProblemError(
            "unsupported-media-type", f"POST /advice takes {JSON}; store ONNX files by POST /models first."
        )
    wanted = await service.read(await request.body())
    job = await service.submit(services, tenant, wanted, key)
    return _response(job, 202, {"Location": f"/advice/{job.id}", "Retry-After": "1"})


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
    return _response(await service.look(services, tenant, id, seconds or 0.0), 200, applied)


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
    return _response(await service.cancel(services, tenant, id), 202, {})


def _response(job: AdviceJob, status: int, headers: dict[str, str]) -> Response:
    sent = {"Cache-Control": "no-store"} | headers
    return Response(job.model_dump_json(), status_code=status, media_type=JSON, headers=sent)
