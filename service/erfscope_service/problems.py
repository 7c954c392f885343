"""Problems as HTTP: the response, FastAPI's handlers, and what OpenAPI says about each kind."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from erfscope_contract.invalid import field_errors, merged
from erfscope_contract.problem import KINDS, FieldError, Problem, ProblemError, kind_of_status
from erfscope_jobs.log import note

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="erfscope"'}
"""What every 401 must carry (RFC 9110, 11.6.1)."""

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OWN_WORDS = {404: "There is nothing at {path}.", 405: "{path} does not take {method}."}
ANY_KINDS = ("bad-request",)  # a foreign Host, a page of another site, a header that cannot be read
CALLER_KINDS = ("unauthorized", "forbidden", "invalid-request", "too-many-requests", "unavailable")
SUBMISSION_KINDS = (
    "bad-request",
    "too-large",
    "unsupported-media-type",
    "invalid-request",
    "invalid-architecture",
    "external-data",
    "shape-mismatch",
    "resource-limit",
    "idempotency-mismatch",
    "quota-exceeded",
)
SPEC = "/model/architecture"
MAX_FIELD_ERRORS = 20  # a spec of 10⁶ bad layers must not answer with 10⁶ sentences


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as `application/problem+json`, with Retry-After where waiting helps."""
    note(problem=problem.kind)
    sent = dict(headers or {})
    if problem.kind == "unauthorized":
        sent |= CHALLENGE
    if (seconds := KINDS[problem.kind].retry_after) is not None:
        sent.setdefault("Retry-After", str(problem.context.get("retry_after", seconds)))
    sent.setdefault("Cache-Control", "no-store")
    body = problem.model_dump_json(exclude_defaults=True)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=sent)


def from_validation(error: ValidationError, data: object, model: type[BaseModel] | None = None) -> ProblemError:
    """The 422 of a body that a model refused."""
    return _invalid(field_errors(error, data, model))


def _invalid(fields: Sequence[FieldError]) -> ProblemError:
    first = f"{fields[0].pointer or 'the request'}: {fields[0].detail}"
    more = f" (and {len(fields) - 1} more, see errors)" if len(fields) > 1 else ""
    in_spec = all(field.pointer.startswith(SPEC) for field in fields)
    kind = "invalid-architecture" if in_spec else "invalid-request"
    return ProblemError(kind, first + more, errors=list(fields[:MAX_FIELD_ERRORS]))


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
    kind = kind_of_status(error.status_code)
    words = _OWN_WORDS.get(error.status_code, str(error.detail))
    detail = words.format(path=request.url.path[:200], method=request.method)
    headers = {"Allow": ", ".join(_allowed(request))} if error.status_code == 405 else error.headers
    return problem_response(ProblemError(kind, detail).problem, headers)


def _allowed(request: Request) -> list[str]:
    """What this path takes: the framework names the methods of its first route only, and not HEAD."""

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)

    allowed = [method for method in _METHODS if takes(method)]
    return [*allowed, "HEAD"] if "GET" in allowed else allowed


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
        return problem_response(_invalid(merged(error.errors(), None)).problem)

    app.add_exception_handler(HTTPException, http_exception)
    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(RequestValidationError, validation)


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses=` for these kinds and those of every route, written from the table."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in dict.fromkeys((*ANY_KINDS, *kinds)):
        row = KINDS[kind]
        new = {"description": row.title, "content": {MEDIA_TYPE: _media()}}
        entry = responses.setdefault(row.status, new)
        if row.title not in entry["description"]:
            entry["description"] += f"; or: {row.title[0].lower()}{row.title[1:]}"
        entry["content"][MEDIA_TYPE]["examples"][kind] = {"value": _example(kind)}
    return responses


def of_tenant(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """`documented`, for a route that asks who calls."""
    return documented(*kinds, *CALLER_KINDS)


def of_submission() -> dict[int | str, dict[str, Any]]:
    """`of_tenant`, for a route that takes work."""
    return of_tenant(*SUBMISSION_KINDS)


def _media() -> dict[str, Any]:
    return {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}


def _example(kind: str) -> dict[str, Any]:
    row = KINDS[kind]
    return {"type": f"/problems/{kind}", "title": row.title, "status": row.status, "detail": "…"}
