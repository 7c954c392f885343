"""`GET http://host/path` is `GET /path` at that host (RFC 9112, 3.2.2): proxies may ask so, servers must take it."""

import re
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_TARGET = re.compile(rb"https?://([^/]+)(/.*)?", re.IGNORECASE)


class AbsoluteFormMiddleware:
    """Gives the rest of the service a path, and the named host as the Host that is checked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and (target := _TARGET.fullmatch(scope["raw_path"])):
            host, path = target[1], target[2] or b"/"
            headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
            there = {"path": unquote(path.decode("ascii")), "raw_path": path, "headers": [*headers, (b"host", host)]}
            scope = {**scope, **there}
        await self.app(scope, receive, send)
