"""Routes of /series: parse, call, return."""

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from erfscope_contract.problem import ProblemError
from erfscope_contract.series import Series, SeriesPage
from erfscope_jobs.log import note
from erfscope_picture import render_trend
from erfscope_service.bodies import json_body, json_response
from erfscope_service.preferences import (
    IdempotencyHeader,
    PageDep,
    PreferHeader,
    applied,
    idempotency_key_of,
    seconds_to_wait,
)
from erfscope_service.problems import of_submission, of_tenant
from erfscope_service.series import examples, expand, service
from erfscope_service.services import ServicesDep, TenantDep, count_beyond

router = APIRouter(prefix="/series", tags=["series"])

_METRICS = re.compile(r"[a-z0-9_]{1,64}(,[a-z0-9_]{1,64}){0,5}")
SeriesId = Annotated[str, Path(description="The series' id.", examples=["QGKk9X7yq3zvN1cJ0lBw6A"])]


@router.post(
    "",
    status_code=202,
    response_model=Series,
    operation_id="submit_series",
    summary="Measure several models as one series",
    response_description="Submitted.",
    responses=of_submission(),
    openapi_extra={"requestBody": examples.REQUEST_BODY},
)
async def submit(
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    idempotency_key: IdempotencyHeader = None,
    prefer: PreferHeader = None,
) -> Response:
    """Checkpoints of a training (`models`), or one spec with a parameter at several values (`sweep`).

    Each point is a job of its own under /erf, and counts as a call of its own; the series collects them, with trends
    and a chart.
    """
    key, seconds = idempotency_key_of(idempotency_key), seconds_to_wait(prefer, services)
    wanted, points = await expand.read(await json_body(request))
    await count_beyond(request, services, len(points) - 1)
    series = await service.submit(services, tenant, wanted, points, key)
    note(series=series.id)
    if seconds is not None:
        series = await service.wait(services, tenant, series.id, seconds)
    headers = {"Location": f"/series/{series.id}", "Retry-After": "1"}
    return json_response(series, 202, headers | applied(seconds))


@router.get(
    "",
    operation_id="list_series",
    summary="List series, newest first",
    response_description="One page.",
    responses=of_tenant("invalid-request"),
)
async def every(
    services: ServicesDep,
    tenant: TenantDep,
    page: PageDep,
) -> SeriesPage:
    """State, points and trends are left out; GET /series/{id} has them."""
    return await service.page(services, tenant, page)


@router.get(
    "/{id}",
    response_model=Series,
    operation_id="get_series",
    summary="Look at a series",
    response_description="As its jobs stand now.",
    responses=of_tenant("not-found"),
)
async def look(
    id: SeriesId,
    services: ServicesDep,
    tenant: TenantDep,
    prefer: PreferHeader = None,
) -> Response:
    """Points with their metrics and standard errors, and the trend of each metric."""
    seconds = seconds_to_wait(prefer, services)
    if seconds is None:
        return json_response(await service.look(services, tenant, id), 200, {})
    series = await service.wait(services, tenant, id, seconds)
    return json_response(series, 200, applied(seconds))


@router.get(
    "/{id}/chart.png",
    response_class=Response,
    operation_id="get_series_chart",
    summary="The chart",
    responses=of_tenant("not-found", "conflict", "invalid-request") | {200: examples.CHART},
)
async def chart(
    id: SeriesId,
    services: ServicesDep,
    tenant: TenantDep,
    metric: Annotated[
        str, Query(max_length=400, description="One metric of the series, or several with commas between.")
    ] = "",
) -> Response:
    """Points with standard errors; on logarithmic axes with the fitted law where every value is positive."""
    series = await service.look(services, tenant, id)
    metrics = _metrics(metric, series)
    if not any(point.metrics.get(name) is not None for point in series.points for name in metrics):
        raise ProblemError(
            "conflict", f"No point of the series has {' or '.join(metrics)} yet; wait for it at /series/{id}."
        )
    png = await asyncio.to_thread(render_trend, series.model_dump(mode="json"), metrics)
    return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})


def _metrics(wanted: str, series: Series) -> list[str]:
    metrics = wanted.split(",") if wanted else series.metrics[:1]
    unknown = [name for name in metrics if name not in series.metrics]
    if unknown or (wanted and not _METRICS.fullmatch(wanted)):
        raise ProblemError(
            "invalid-request",
            f"The series has no metric {(unknown or [wanted])[0][:64]!r}; it has: {', '.join(series.metrics)}.",
        )
    return metrics


@router.delete(
    "/{id}",
    response_model=Series,
    operation_id="cancel_series",
    summary="Cancel the jobs of a series, or remove one whose jobs have ended",
    responses=of_tenant("not-found", "conflict", "invalid-request")
    | {
        200: {"description": "Every job had ended; the series is unchanged."},
        202: {"model": Series, "description": "Those that had not ended are being canceled."},
        204: {"description": "The series and its jobs are removed (purge)."},
    },
)
async def delete(
    id: SeriesId,
    services: ServicesDep,
    tenant: TenantDep,
    purge: Annotated[bool, Query(description="Remove a series whose jobs have all ended, and these jobs.")] = False,
) -> Response:
    """Repeating it is safe."""
    if purge:
        await service.purge(services, tenant, id)
        return Response(status_code=204)
    series, had_ended = await service.cancel(services, tenant, id)
    return json_response(series, 200 if had_ended else 202, {})
