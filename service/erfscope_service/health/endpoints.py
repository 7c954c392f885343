"""Routes of /health."""

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from erfscope_contract.job import Health
from erfscope_contract.problem import ProblemError
from erfscope_contract.version import __version__
from erfscope_service.problems import documented
from erfscope_service.services import Services, ServicesDep
from erfscope_service.work import NOBODY

router = APIRouter(prefix="/health", tags=["health"])


@router.get(
    "/live", operation_id="get_liveness", summary="Liveness", response_description="Alive.", responses=documented()
)
async def live(response: Response) -> dict[str, str]:
    """The process answers; nothing else is looked at."""
    response.headers["Cache-Control"] = "no-store"
    return {"status": "ok", "version": __version__}


@router.get(
    "/ready",
    operation_id="get_readiness",
    summary="Readiness",
    response_description="Ready.",
    responses=documented("unavailable"),
)
async def ready(response: Response, services: ServicesDep) -> Health:
    """200 when jobs can be taken: store and blobs answer. `workers` says how many work on them; 0 is a `warning`."""
    response.headers["Cache-Control"] = "no-store"
    (redis, levels), ailment = await asyncio.gather(_redis(services), services.blobs_probe.ailment())
    if ailment or not redis:
        why = [*([] if redis else ["no answer from the job store."]), *([ailment] if ailment else [])]
        raise ProblemError("unavailable", f"Not ready: {' '.join(why)}", redis=redis, blobs=not ailment)
    return Health(
        status="ready",
        redis=redis,
        blobs=True,
        workers=len(levels),
        warning=None if levels else f"Jobs are taken and wait: {NOBODY}",
        landlock=min(levels, default=None),
        version=__version__,
    )


async def _redis(services: Services) -> tuple[bool, list[int]]:
    """Whether the store answers, and the levels of the live workers' jails."""
    try:
        return True, [worker.landlock for worker in await services.ledger.workers()]
    except ProblemError:
        return False, []
