"""Routes of the pages: a closed list of files, read once."""

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from erfscope.contract.problem import ProblemError
from erfscope_service.caching import etag, not_modified

router = APIRouter(include_in_schema=False)

_FOLDER = files("erfscope_service.page") / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {entry.name: entry.read_bytes() for entry in _FOLDER.iterdir() if entry.is_file()}


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _static(request, "index.html")


@router.get("/docs")
async def reference(request: Request) -> Response:
    """The REST interface, from its own OpenAPI document (Swagger UI would come from a CDN)."""
    return _static(request, "docs.html")


@router.get("/page/{name}")
async def asset(name: str, request: Request) -> Response:
    """Its scripts, style and icon."""
    return _static(request, name)


def _static(request: Request, name: str) -> Response:
    content = _FILES.get(name)
    if content is None:
        raise ProblemError("not-found", f"There is nothing at {request.url.path[:200]}.")
    tag = etag("page", name, content.hex())
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if known := not_modified(request.headers, tag, "no-cache"):
        return known
    return Response(content, media_type=_TYPES[name[name.rindex(".") :]], headers=headers)
