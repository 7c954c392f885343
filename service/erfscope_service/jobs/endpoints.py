"""The route of /jobs: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from erfscope_contract.job import JobKind, ListedJobs, Status
from erfscope_jobs.records import Kind
from erfscope_service.jobs import service
from erfscope_service.preferences import PageSize, PageToken
from erfscope_service.problems import of_tenant
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/jobs", tags=["jobs"])


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
    response: Response,
    kind: Annotated[JobKind | None, Query(description="Only jobs of this kind.")] = None,
    status: Annotated[Status | None, Query(description="Only jobs in this state.")] = None,
    page_size: PageSize = 20,
    page_token: PageToken = None,
) -> ListedJobs:
    """Requests and results are left out; `links.self` leads to them."""
    response.headers["Cache-Control"] = "no-store"
    return await service.page(services, tenant, page_size, page_token, Kind(kind) if kind else None, status)
