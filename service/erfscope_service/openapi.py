"""The OpenAPI document: FastAPI's, with our problems instead of its validation errors."""

from threading import Lock
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from erfscope_contract.problem import KINDS, Problem
from erfscope_contract.request import ErfRequest
from erfscope_contract.series import SeriesRequest
from erfscope_service.problems import MEDIA_TYPE
from erfscope_service.questions.table import QUESTIONS

DESCRIPTION = """\
Effective and theoretical receptive fields of convolutional networks.

Send an ONNX file or describe a network layer by layer, follow the job, fetch the metrics, the heat map and
the array. Every error is an RFC 9457 `application/problem+json` object with one of these types;
`GET /problems/{kind}` says what to do about each:

| type | status | meaning |
|---|---|---|
"""
ANY_PROBLEM = {
    "description": "Any other problem.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
TAGS = [
    {"name": "jobs", "description": "Jobs of every kind in one list."},
    {"name": "erf", "description": "Measurements: submit one, follow it, fetch its picture and its map."},
    {"name": "series", "description": "Several models, or a swept spec: the trend of a metric."},
    {"name": "advice", "description": "The smallest changes of a network that give a wanted receptive field."},
    {"name": "tiles", "description": "Halo, alignment and crop with which tiles give what the whole image gives."},
    {"name": "fit", "description": "Which heads and levels of a network hold objects of which sizes."},
    {"name": "models", "description": "Stored ONNX files and what is inside them."},
    {"name": "files", "description": "Images to measure on."},
    {"name": "usage", "description": "What you store of what you may."},
    {"name": "schemas", "description": "The contract as JSON Schema."},
    {"name": "problems", "description": "What each type of problem means."},
    {"name": "health", "description": "Liveness, readiness, metrics."},
]


SERVERS = [{"url": "/", "description": "The service that sent this document."}]
EVENT_STREAM = "text/event-stream"

BODIES: tuple[type[BaseModel], ...] = (Problem, ErfRequest, SeriesRequest, *(kind.request for kind in QUESTIONS))
"""What FastAPI does not find by itself: bodies that we read ourselves, and problems."""


# Of every service in this process: no setting changes a route, and it takes a second to write.
_document: dict[str, Any] = {}
_building = Lock()


def description() -> str:
    """The introduction, with every row of the error table."""
    rows = (f"| `/problems/{kind}` | {row.status} | {row.title} |" for kind, row in KINDS.items())
    return DESCRIPTION + "\n".join(rows)


def install(app: FastAPI) -> None:
    """Have `app.openapi()` answer with the finished document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        with _building:  # a thread begins with it soon after the start
            if not _document:
                _document.update(_finished(generate()))
            return _document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _finished(document: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in BODIES:
        for name, schema in _schemas(model).items():
            schemas.setdefault(name, schema)
    for path in document["paths"].values():
        for operation in path.values():
            _drop_default_422(operation["responses"])
            _stream_as_text(operation["responses"])
            operation["responses"]["default"] = ANY_PROBLEM
    return document


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _stream_as_text(responses: dict[str, Any]) -> None:
    """FastAPI describes a stream by OpenAPI 3.2's `itemSchema`, which validators refuse in a document of 3.1."""
    for response in responses.values():
        if stream := response.get("content", {}).get(EVENT_STREAM):
            stream.pop("itemSchema", None)
            stream["schema"] = {"type": "string"}


def _drop_default_422(responses: dict[str, Any]) -> None:
    """FastAPI documents its own validation error wherever there is a parameter; ours are `documented`."""
    content = responses.get("422", {}).get("content", {})
    content.pop("application/json", None)
    if "422" in responses and not content:
        del responses["422"]
