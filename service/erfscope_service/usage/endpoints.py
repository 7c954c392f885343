"""The route of /usage: what the caller's tenant stores of what it may."""

from fastapi import APIRouter
from starlette.responses import Response

from erfscope_contract.usage import Share, Usage
from erfscope_service.problems import of_tenant
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/usage", tags=["usage"])


@router.get("", operation_id="get_usage", summary="What you store", response_description="Now.", responses=of_tenant())
async def usage(response: Response, services: ServicesDep, tenant: TenantDep) -> Usage:
    """Bytes of models, images and results, stored and unfinished jobs; each with its limit."""
    response.headers["Cache-Control"] = "no-store"
    now, limits = await services.ledger.usage(tenant), services.settings
    return Usage(
        tenant=tenant,
        model_bytes=Share(used=now.models, limit=limits.max_model_bytes_per_tenant),
        image_bytes=Share(used=now.images, limit=limits.max_file_bytes_per_tenant),
        result_bytes=Share(used=now.results, limit=limits.max_result_bytes_per_tenant),
        jobs=Share(used=now.jobs, limit=limits.max_jobs_per_tenant),
        open_jobs=Share(used=now.open_jobs, limit=limits.max_open_jobs_per_tenant),
    )
