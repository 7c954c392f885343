"""Strong ETags and 304 for what never changes once it exists."""

from starlette.datastructures import Headers
from starlette.responses import Response

from erfscope_contract.hashing import sha256_of

IMMUTABLE = "private, max-age=86400, immutable"


def etag(*parts: str) -> str:
    """A strong entity tag from everything that decides the bytes."""
    return f'"{sha256_of(chr(0).join(parts))[:32]}"'


def immutable_headers(tag: str) -> dict[str, str]:
    """Headers of a response that never changes."""
    return {"ETag": tag, "Cache-Control": IMMUTABLE}


def holds(headers: Headers, tag: str) -> bool:
    """Whether the client says that it has `tag` itself (RFC 9110, 13.1.2: weak comparison)."""
    return tag in _held(headers)


def _held(headers: Headers) -> list[str]:
    return [candidate.strip().removeprefix("W/") for candidate in headers.get("if-none-match", "").split(",")]


def not_modified(headers: Headers, tag: str, cache_control: str = IMMUTABLE) -> Response | None:
    """304 where the client says that it has `tag`, or (*) anything."""
    if not holds(headers, tag) and "*" not in _held(headers):
        return None
    return unchanged(tag, cache_control)


def unchanged(tag: str, cache_control: str = IMMUTABLE) -> Response:
    """A 304."""
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": cache_control})
