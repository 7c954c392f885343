"""Routes of /jobs, where every kind of job is alike: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from erfscope_contract.job import JobKind, ListedJob, ListedJobs, Status
from erfscope_jobs.records import Kind
from erfscope_service.bodies import json_response
from erfscope_service.jobs import service
from erfscope_service.preferences import PageDep, PreferHeader, Purge, applied, seconds_to_wait
from erfscope_service.problems import of_tenant
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[str, Path(description="The id of a job of any kind.", examples=["QGKk9X7yq3zvN1cJ0lBw6A"])]


@router.get(
    "",
    operation_id="list_jobs",
    summary="List jobs of every kind, newest first",
    response_description="One page; with `status` it may hold fewer jobs than asked for, and still have a next page.",
    responses=of_tenant("invalid-request"),
)
async def every(
    services: ServicesDep,
    tenant: TenantDep,
    page: PageDep,
    kind: Annotated[JobKind | None, Query(description="Only jobs of this kind.")] = None,
    status: Annotated[Status | None, Query(description="Only jobs in this state.")] = None,
) -> ListedJobs:
    """Requests and results are left out; `links.self` leads to them."""
    return await service.page(services, tenant, page, Kind(kind) if kind else None, status)


@router.get(
    "/{id}",
    response_model=ListedJob,
    operation_id="get_job",
    summary="Look at a job of any kind",
    response_description="As it is now.",
    responses=of_tenant("not-found"),
)
async def look(id: JobId, services: ServicesDep, tenant: TenantDep, prefer: PreferHeader = None) -> Response:
    """Without its request and its result; `links.self` leads to them."""
    seconds = seconds_to_wait(prefer, services)
    return json_response(await service.look(services, tenant, id, seconds or 0.0), 200, applied(seconds))


@router.delete(
    "/{id}",
    response_model=ListedJob,
    operation_id="cancel_job",
    summary="Cancel a job of any kind, or remove one that has ended",
    responses=of_tenant("not-found", "conflict", "invalid-request")
    | {
        200: {"description": "The job had ended and is unchanged."},
        202: {"model": ListedJob, "description": "The job is being canceled."},
        204: {"description": "The job is removed (purge)."},
    },
)
async def delete(id: JobId, services: ServicesDep, tenant: TenantDep, purge: Purge = False) -> Response:
    """Repeating it is safe."""
    if purge:
        await service.purge(services, tenant, id)
        return Response(status_code=204)
    job, had_ended = await service.cancel(services, tenant, id)
    return json_response(job, 200 if had_ended else 202, {})
