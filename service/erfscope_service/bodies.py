"""What a body is said to be, and bodies of JSON: from bytes to a checked value, and back."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from erfscope_contract.problem import ProblemError
from erfscope_service.problems import from_validation

JSON = "application/json"
Shape = TypeVar("Shape", bound=BaseModel)


def media_type_of(headers: Mapping[str, str]) -> str:
    """The Content-Type without its parameters, in lower case; empty without one."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_encoded(headers: Mapping[str, str]) -> None:
    """415 for a compressed body: limits count the bytes that come in, and those must be the ones that are read."""
    given = headers.get("content-encoding", "").strip().lower()
    if given not in ("", "identity"):
        raise ProblemError(
            "unsupported-media-type",
            f"The body has Content-Encoding {given[:100]!r}; send it as it is, without compression.",
        )


async def json_body(request: Request) -> bytes:
    """The body of a route that takes nothing but JSON; raises `unsupported-media-type`."""
    refuse_encoded(request.headers)
    if media_type_of(request.headers) != JSON:
        raise ProblemError(
            "unsupported-media-type",
            f"{request.method} {request.scope['route'].path} takes {JSON}; store ONNX files by POST /models first.",
        )
    return await request.body()


def shaped(shape: type[Shape], data: Any) -> Shape:
    """JSON's value as that shape; raises `invalid-request` or `invalid-architecture`.

    From JSON text and strictly: true and "4" are no numbers, while words of an enumeration stay words.
    """
    try:
        return shape.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise from_validation(error, data, shape) from None


def json_response(body: BaseModel, status: int, headers: Mapping[str, str]) -> Response:
    """What changes while one looks: nobody keeps it."""
    sent = {"Cache-Control": "no-store", **headers}
    return Response(body.model_dump_json(), status_code=status, media_type=JSON, headers=sent)
