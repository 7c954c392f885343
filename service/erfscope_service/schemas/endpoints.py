"""Routes of /schemas."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode
from starlette.responses import JSONResponse, Response

from erfscope import __version__
from erfscope.contract.architecture import Architecture
from erfscope.contract.request import ErfRequest
from erfscope.contract.result import ErfResult
from erfscope.contract.series import SeriesRequest
from erfscope_service.caching import etag, not_modified
from erfscope_service.problems import documented

router = APIRouter(prefix="/schemas", tags=["schemas"])

_SCHEMAS: dict[str, tuple[type[BaseModel], JsonSchemaMode]] = {
    "request": (ErfRequest, "validation"),
    "result": (ErfResult, "serialization"),
    "architecture": (Architecture, "validation"),
    "series": (SeriesRequest, "validation"),
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@router.get(
    "/{name}",
    response_class=Response,
    summary="JSON Schema of a part of the contract",
    responses=documented("not-found")
    | {200: {"description": "JSON Schema 2020-12.", "content": {"application/schema+json": {}}}},
)
async def schema(
    name: Annotated[Literal["request", "result", "architecture", "series"], Path(description="Which part.")],
    request: Request,
) -> Response:
    """For editors, generators and validation before sending."""
    tag = etag("schema", name, __version__)
    if known := not_modified(request.headers, tag, cache_control="no-cache"):
        return known
    model, mode = _SCHEMAS[name]
    head = {"$schema": DIALECT, "$id": f"/schemas/{name}"}
    body: dict[str, Any] = head | model.model_json_schema(mode=mode)
    return JSONResponse(body, media_type="application/schema+json", headers={"ETag": tag, "Cache-Control": "no-cache"})
