"""Routes of a measurement as a document: a page that holds everything, Markdown, and the metrics as CSV."""

import asyncio
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from erfscope.report import content_of, to_html, to_markdown
from erfscope_contract import parts
from erfscope_contract.metrics import metrics_csv
from erfscope_service.caching import immutable_headers, not_modified
from erfscope_service.erf import examples, held, service
from erfscope_service.erf.endpoints import JobId
from erfscope_service.erf.figures import DEFAULT_LOOK, picture
from erfscope_service.problems import of_tenant
from erfscope_service.services import ServicesDep, TenantDep

router = APIRouter(prefix="/erf", tags=["erf"])

# The page holds its style and its picture, and may run nothing and fetch nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"


def _documented(media_type: str, words: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string"}}}
    return of_tenant("not-found", "conflict") | {
        200: {"description": words, "content": content},
        304: examples.NOT_MODIFIED,
    }


@router.get(
    "/{id}/report.html",
    response_class=Response,
    operation_id="get_erf_report_html",
    summary="The report as a page",
    responses=_documented("text/html", "One self-contained file: picture, metrics with errors, provenance."),
)
async def html(id: JobId, request: Request, services: ServicesDep, tenant: TenantDep) -> Response:
    """For mail, archives and people without the service: no script, nothing to fetch."""
    tag_of = partial(held.of_document, form="html")
    if known := await held.held(services, tenant, id, request.headers, tag_of):
        return known
    record, name, result = await service.succeeded(services, tenant, id)
    tag = tag_of(record.glance)
    if known := not_modified(request.headers, tag):
        return known
    png = await picture(services, record, parts.select(result, None, None), name, DEFAULT_LOOK)
    text = await asyncio.to_thread(lambda: to_html(content_of(result, name), png))
    headers = immutable_headers(tag) | {"Content-Security-Policy": POLICY}
    return Response(text, media_type="text/html", headers=headers)


@router.get(
    "/{id}/report.md",
    response_class=Response,
    operation_id="get_erf_report_markdown",
    summary="The report as Markdown",
    responses=_documented("text/markdown", "Metrics with errors and provenance; the picture by its address."),
)
async def markdown(id: JobId, request: Request, services: ServicesDep, tenant: TenantDep) -> Response:
    """For pull requests and notebooks."""
    tag_of = partial(held.of_document, form="markdown")
    if known := await held.held(services, tenant, id, request.headers, tag_of):
        return known
    record, name, result = await service.succeeded(services, tenant, id)
    tag = tag_of(record.glance)
    if known := not_modified(request.headers, tag):
        return known
    text = to_markdown(content_of(result, name), f"/erf/{record.id}/heatmap.png")
    return Response(text, media_type="text/markdown", headers=immutable_headers(tag))


@router.get(
    "/{id}/metrics.csv",
    response_class=Response,
    operation_id="get_erf_metrics",
    summary="The metrics as CSV",
    responses=_documented("text/csv", "A line for each metric: its flat name, value, standard error."),
)
async def metrics(id: JobId, request: Request, services: ServicesDep, tenant: TenantDep) -> Response:
    """The file that `Result.save("metrics.csv")` writes."""
    tag_of = partial(held.of_document, form="csv")
    if known := await held.held(services, tenant, id, request.headers, tag_of):
        return known
    record, _, result = await service.succeeded(services, tenant, id)
    tag = tag_of(record.glance)
    if known := not_modified(request.headers, tag):
        return known
    return Response(metrics_csv(result), media_type="text/csv", headers=immutable_headers(tag))
