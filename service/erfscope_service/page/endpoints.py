"""Routes of the pages: a closed list of files, read once, presets, limits of uploads and words as JSON."""

import json
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from erfscope_contract.limits import BOUNDS
from erfscope_contract.meanings import TABLE, TERMS
from erfscope_contract.problem import ProblemError
from erfscope_service.caching import etag, not_modified
from erfscope_service.page import presets
from erfscope_service.services import ServicesDep

router = APIRouter(include_in_schema=False)

_FOLDER = files("erfscope_service.page") / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_VENDORED = ("observable-plot.js",)
_FILES = {
    **{entry.name: entry.read_bytes() for entry in _FOLDER.iterdir() if entry.is_file()},
    **{name: (_FOLDER / "vendor" / name).read_bytes() for name in _VENDORED},
}
_TAGS = {name: etag("page", name, content.hex()) for name, content in _FILES.items()}
PRESETS, LIMITS, WORDS = "presets.json", "limits.json", "words.json"
_LABELS = {name: row.label for name, row in TABLE.items()}
_WORDS = json.dumps({"metrics": _LABELS, "terms": TERMS, "marks": BOUNDS}).encode()


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _static(request, "index.html")


@router.get("/docs")
async def reference(request: Request) -> Response:
    """The REST interface, from its own OpenAPI document (Swagger UI would come from a CDN)."""
    return _static(request, "docs.html")


@router.get(f"/page/{PRESETS}")
def examples(request: Request) -> Response:
    """The specs to start from; in a thread, because the first call builds them all."""
    content = presets.as_json()
    return _answer(request, PRESETS, content, etag("page", PRESETS, content.hex()))


@router.get(f"/page/{LIMITS}")
async def limits(request: Request, services: ServicesDep) -> Response:
    """What an upload may hold, in bytes: the page says so before it sends."""
    names = ("max_model_bytes", "max_data_bytes", "max_file_bytes")
    content = json.dumps({name: getattr(services.settings, name) for name in names}).encode()
    return _answer(request, LIMITS, content, etag("page", LIMITS, content.hex()))


@router.get(f"/page/{WORDS}")
async def words(request: Request) -> Response:
    """The labels of metrics by their flat names, a glossary, and what the marks of numbers mean."""
    return _answer(request, WORDS, _WORDS, etag("page", WORDS, _WORDS.hex()))


@router.get("/page/{name}")
async def asset(name: str, request: Request) -> Response:
    """Its scripts, style and icon."""
    return _static(request, name)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """What browsers ask for unasked where no page names an icon: a picture, an array, the JSON."""
    return _static(request, "icon.svg")


def _static(request: Request, name: str) -> Response:
    content = _FILES.get(name)
    if content is None:
        raise ProblemError("not-found", f"There is nothing at {request.url.path[:200]}.")
    return _answer(request, name, content, _TAGS[name])


def _answer(request: Request, name: str, content: bytes, tag: str) -> Response:
    if known := not_modified(request.headers, tag, "no-cache"):
        return known
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    return Response(content, media_type=_TYPES[name[name.rindex(".") :]], headers=headers)
