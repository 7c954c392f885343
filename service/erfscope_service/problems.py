"""Problems as HTTP: the response, FastAPI's handlers, and what OpenAPI says about each kind."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from erfscope.contract.problem import KINDS, FieldError, Problem, ProblemError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"unavailable": "2", "too-many-requests": "5"}
"""Seconds that a client should wait, for the kinds that pass by themselves."""

_STATUS_TO_KIND = {
    400: "bad-request",
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "too-many-requests",
    503: "unavailable",
}
_OWN_WORDS = {404: "There is nothing at {path}.", 405: "{path} does not take {method}."}
SPEC = "/model/architecture"
MAX_FIELD_ERRORS = 20  # a spec of 10⁶ bad layers must not answer with 10⁶ sentences


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as `application/problem+json`, with Retry-After where waiting helps."""
    sent = dict(headers or {})
    if problem.kind in RETRY_AFTER:
        sent.setdefault("Retry-After", str(problem.context.get("retry_after", RETRY_AFTER[problem.kind])))
    sent.setdefault("Cache-Control", "no-store")
    body = problem.model_dump_json(exclude_defaults=True)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=sent)


def invalid_request(errors: Iterable[Any], data: object = None) -> ProblemError:
    """A 422 from pydantic's error list; `data` is what was validated, to turn locations into pointers."""
    merged: dict[str, list[str]] = {}
    for error in errors:
        sentences = merged.setdefault(pointer(error["loc"], data), [])
        if error["msg"] not in sentences:
            sentences.append(error["msg"])
    fields = [FieldError(pointer=at, detail="; or ".join(said)) for at, said in merged.items()]
    first = f"{fields[0].pointer or 'the request'}: {fields[0].detail}"
    more = f" (and {len(fields) - 1} more, see errors)" if len(fields) > 1 else ""
    in_spec = all(field.pointer.startswith(SPEC) for field in fields)
    kind = "invalid-architecture" if in_spec else "invalid-request"
    return ProblemError(kind, first + more, errors=fields[:MAX_FIELD_ERRORS])


def pointer(location: Sequence[str | int], data: object) -> str:
    """The JSON pointer (RFC 6901) of a pydantic location; names of union branches are left out."""
    parts: list[str] = []
    here = data
    for position, part in enumerate(location, start=1):
        if _is_in(here, part):
            here = here[part]  # type: ignore[index]  # `_is_in` found it
        elif data is not None and not (position == len(location) and isinstance(here, dict)):
            continue  # pydantic names the union branch it tried, which the user never wrote
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def _is_in(container: object, part: str | int) -> bool:
    if isinstance(container, dict):
        return part in container
    return isinstance(container, list) and isinstance(part, int) and part < len(container)


def from_validation(error: ValidationError, data: object) -> ProblemError:
    """The 422 of a body that pydantic refused."""
    return invalid_request(error.errors(include_url=False, include_context=False, include_input=False), data)


def from_exception(error: Exception) -> Problem:
    """The problem that any exception is; what nobody foresaw is `internal` and logged with its traceback."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, RedisError):
        log.warning("redis: %s", error)
        return ProblemError("unavailable", "The job store does not answer; try again shortly.").problem
    log.error("unexpected error", exc_info=error)
    return ProblemError("internal", "The error is in the log under this response's X-Request-ID.").problem


def _from_http_exception(request: Request, error: HTTPException) -> Response:
    kind = _STATUS_TO_KIND.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    words = _OWN_WORDS.get(error.status_code, str(error.detail))
    detail = words.format(path=request.url.path[:200], method=request.method)
    return problem_response(ProblemError(kind, detail).problem, error.headers)


def install(app: FastAPI) -> None:
    """Make FastAPI answer with problems, for its own 404, 405 and 422 too."""

    def http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _from_http_exception(request, error)

    def problem(_: Request, error: Exception) -> Response:
        return problem_response(from_exception(error))

    def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if all(entry["loc"][0] == "path" for entry in error.errors()):
            return http_exception(request, HTTPException(404))
        return problem_response(invalid_request(error.errors()).problem)

    app.add_exception_handler(HTTPException, http_exception)
    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(RequestValidationError, validation)


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses=` for these kinds, written from the table."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        row = KINDS[kind]
        new = {"description": row.title, "content": {MEDIA_TYPE: _media()}}
        entry = responses.setdefault(row.status, new)
        if row.title not in entry["description"]:
            entry["description"] += f"; or: {row.title[0].lower()}{row.title[1:]}"
        entry["content"][MEDIA_TYPE]["examples"][kind] = {"value": _example(kind)}
    return responses


def _media() -> dict[str, Any]:
    return {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}


def _example(kind: str) -> dict[str, Any]:
    row = KINDS[kind]
    return {"type": f"/problems/{kind}", "title": row.title, "status": row.status, "detail": "…"}
