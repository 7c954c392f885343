"""Routes of /erf: parse, call, return."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from erfscope_contract import parts
from erfscope_contract.job import Job, JobPage
from erfscope_contract.request import ErfRequest
from erfscope_jobs.log import note
from erfscope_jobs.records import Record
from erfscope_picture import COLORMAPS
from erfscope_service import work
from erfscope_service.caching import immutable_headers, not_modified
from erfscope_service.callers import CredentialsDep
from erfscope_service.erf import events, examples, figures, held, service, submission
from erfscope_service.erf.view import json_of
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
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/erf", tags=["erf"])

CHANGING = {"Cache-Control": "no-store", "Retry-After": "1"}  # seconds until another look is worth it
AT_ONCE = 8192  # bytes of a job that are written as JSON in less time than a thread takes to be called
Colormap = Literal["viridis", "cividis", "magma", "inferno", "gray"]
assert get_args(Colormap) == COLORMAPS, "the colour maps of the picture, spelt out for OpenAPI"

UnitQuery = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,9}(,[0-9]{1,9}){0,7}$",
        description="One unit of a grid, e.g. 3,4, or the full index that was measured.",
    ),
]
LayerQuery = Annotated[
    str | None, Query(max_length=4096, description="One layer of a profile, by the name that the result gives it.")
]
JobId = Annotated[str, Path(description="The job's id.", examples=["QGKk9X7yq3zvN1cJ0lBw6A"])]


@router.post(
    "",
    status_code=202,
    response_model=Job,
    operation_id="submit_erf",
    summary="Submit a measurement",
    responses=of_submission() | {202: examples.ACCEPTED},
    openapi_extra={"requestBody": examples.REQUEST_BODY},
)
async def submit(
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    idempotency_key: IdempotencyHeader = None,
    prefer: PreferHeader = None,
) -> Response:
    """Measure an ONNX file (multipart), a stored one, or an architecture spec (JSON).

    The answer is always 202 and a Job; one that was computed before has already succeeded (`cached`).
    """
    key, seconds = idempotency_key_of(idempotency_key), seconds_to_wait(prefer, services)
    asked = await submission.read(request, services, tenant)
    record = (await service.submit(services, tenant, asked, key)).record
    note(job=record.id)
    if seconds is not None:
        record = await service.wait(services, tenant, record, seconds)
    headers = {"Location": f"/erf/{record.id}", **CHANGING, **applied(seconds)}
    return await _job_response(record, 202, headers, asked.request, await work.note_of(services, record))


@router.get(
    "",
    operation_id="list_erf",
    summary="List jobs, newest first",
    response_description="One page.",
    responses=of_tenant("invalid-request"),
)
async def list_jobs(
    services: ServicesDep,
    tenant: TenantDep,
    page: PageDep,
) -> JobPage:
    """Results are left out; GET /erf/{id} has them."""
    return await service.page(services, tenant, page)


@router.get(
    "/{id}",
    response_model=Job,
    operation_id="get_erf",
    summary="Look at a job",
    responses=of_tenant("not-found") | {200: examples.JOB, 304: examples.NOT_MODIFIED},
)
async def look(
    id: JobId,
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    prefer: PreferHeader = None,
) -> Response:
    """A job that has ended never changes: it comes with a strong ETag."""
    seconds = seconds_to_wait(prefer, services)
    if known := await held.held(services, tenant, id, request.headers, held.of_job):
        return known
    record = await service.look(services, tenant, id)
    if seconds is not None:
        record = await service.wait(services, tenant, record, seconds)
    if not record.status.is_terminal:
        note_now = await work.note_of(services, record)
        return await _job_response(record, 200, CHANGING | applied(seconds), note=note_now)
    tag = held.of_job(record.glance)
    if known := not_modified(request.headers, tag):
        return known
    return await _job_response(record, 200, immutable_headers(tag) | applied(seconds))


@router.delete(
    "/{id}",
    response_model=Job,
    operation_id="cancel_erf",
    summary="Cancel a job, or remove one that has ended",
    responses=of_tenant("not-found", "conflict", "invalid-request")
    | {
        200: {"description": "The job had ended and is unchanged."},
        202: {"model": Job, "description": "The job is being canceled."},
        204: {"description": "The job is removed (purge)."},
    },
)
async def delete(
    id: JobId,
    services: ServicesDep,
    tenant: TenantDep,
    purge: Purge = False,
) -> Response:
    """Repeating it is safe."""
    if purge:
        await service.purge(services, tenant, id)
        return Response(status_code=204)
    record, had_ended = await service.cancel(services, tenant, id)
    return await _job_response(record, 200 if had_ended else 202, {"Cache-Control": "no-store"})


async def _followed(
    id: JobId,
    response: Response,
    services: ServicesDep,
    tenant: TenantDep,
    credentials: CredentialsDep,
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Look the job up before the stream begins, so that an unknown one is a 404."""
    record = await service.look(services, tenant, id)
    after = events.resume_point(last_event_id)
    if events.has_seen_the_end(record, after):
        response.status_code = 204
        return events.nothing()
    services.watchers.require_room(tenant)
    return events.follow(services, tenant, record, after, partial(services.door.still_open, credentials))


@router.get(
    "/{id}/events",
    response_class=EventSourceResponse,
    operation_id="follow_erf",
    summary="Follow a job",
    responses=of_tenant("not-found")
    | {200: examples.EVENTS, 204: {"description": "Last-Event-ID was the end; do not come again."}},
)
async def follow(
    stream: Annotated[AsyncIterator[ServerSentEvent], Depends(_followed)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `snapshot` (a Job), `progress` (what changed), `end` (the Job, finished)."""
    async for event in stream:
        yield event


@router.get(
    "/{id}/heatmap.png",
    response_class=Response,
    operation_id="get_erf_heatmap",
    summary="The picture",
    responses=of_tenant("not-found", "conflict", "invalid-request") | {200: examples.PNG, 304: examples.NOT_MODIFIED},
)
async def heatmap(
    *,
    id: JobId,
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    scale: Annotated[Literal["linear", "sqrt", "log"], Query(description="Of the colours.")] = "sqrt",
    colormap: Annotated[Colormap, Query(description="Name of the colour map.")] = "viridis",
    overlay: Annotated[
        bool, Query(description="Draw the map over the first image; for input.source=images alone.")
    ] = False,
    unit: UnitQuery = None,
    layer: LayerQuery = None,
) -> Response:
    """Axes in pixels, colour bar, TRF box and contours; the default look is stored, others are drawn now."""
    drawn = figures.Look(scale, colormap, overlay)
    tag_of = partial(held.of_picture, look=repr(drawn), unit=unit, layer=layer)
    if known := await held.held(services, tenant, id, request.headers, tag_of):
        return known
    record, name, result = await service.succeeded(services, tenant, id)
    part, tag = parts.select(result, unit, layer), tag_of(record.glance)
    return await figures.heatmap(services, record, part, name, drawn, request.headers, tag)


@router.get(
    "/{id}/map.npy",
    response_class=Response,
    operation_id="get_erf_map",
    summary="The map as a NumPy array",
    responses=of_tenant("not-found", "conflict", "invalid-request") | {200: examples.NPY, 304: examples.NOT_MODIFIED},
)
async def map_array(
    *,
    id: JobId,
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    unit: UnitQuery = None,
    layer: LayerQuery = None,
) -> Response:
    """The input's spatial shape, maximum 1; times 2**scale_log2 it is the raw gradient map."""
    tag_of = partial(held.of_array, unit=unit, layer=layer)
    if known := await held.held(services, tenant, id, request.headers, tag_of):
        return known
    record, _, result = await service.succeeded(services, tenant, id)
    return await figures.array(
        services, record, parts.select(result, unit, layer), request.headers, tag_of(record.glance)
    )


async def _job_response(
    record: Record, status: int, headers: dict[str, str], request: ErfRequest | None = None, note: str | None = None
) -> Response:
    is_small = len(record.payload) + len(record.result or b"") < AT_ONCE
    body = json_of(record, request, note) if is_small else await asyncio.to_thread(json_of, record, request, note)
    return Response(body, status_code=status, media_type="application/json", headers=headers)
