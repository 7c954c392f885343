"""Routes of /schemas."""

import json
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode
from starlette.responses import Response

from erfscope_contract.architecture import Architecture
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_contract.series import SeriesRequest
from erfscope_contract.version import __version__
from erfscope_service.caching import etag, not_modified
from erfscope_service.problems import documented
from erfscope_service.questions.table import QUESTIONS

router = APIRouter(prefix="/schemas", tags=["schemas"])

_SCHEMAS: dict[str, tuple[type[BaseModel], JsonSchemaMode]] = {
    "request": (ErfRequest, "validation"),
    "result": (ErfResult, "serialization"),
    "architecture": (Architecture, "validation"),
    "series": (SeriesRequest, "validation"),
    **{str(kind.kind): (kind.request, "validation") for kind in QUESTIONS},
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@router.get(
    "/{name}",
    response_class=Response,
    operation_id="get_schema",
    summary="JSON Schema of a part of the contract",
    responses=documented("not-found")
    | {200: {"description": "JSON Schema 2020-12.", "content": {"application/schema+json": {}}}},
)
async def schema(
    name: Annotated[str, Path(description="Which part.", json_schema_extra={"enum": list(_SCHEMAS)})],
    request: Request,
) -> Response:
    """For editors, generators and validation before sending."""
    if name not in _SCHEMAS:
        raise ProblemError("not-found", f"There is no schema {name[:64]!r}; there are {', '.join(_SCHEMAS)}.")
    tag = etag("schema", name, __version__)
    if known := not_modified(request.headers, tag, cache_control="no-cache"):
        return known
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    return Response(_document(name), media_type="application/schema+json", headers=headers)


@cache
def _document(name: str) -> str:
    """Made once: the route is open to everyone, and to make one takes some milliseconds."""
    model, mode = _SCHEMAS[name]
    head = {"$schema": DIALECT, "$id": f"/schemas/{name}"}
    return json.dumps(head | model.model_json_schema(mode=mode))
