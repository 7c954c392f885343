"""No writing from other sites: a form on a foreign page can POST to a local service without asking CORS."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from erfscope.contract.problem import ProblemError

_HARMLESS = ("GET", "HEAD", "OPTIONS")
_OWN = ("same-origin", "none")  # none: typed by the user. Other clients than browsers send no such header.


class SameSiteMiddleware:
    """Refuses what a browser sends on behalf of another site (Fetch Metadata), reads excepted."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse where it comes from."""
        if scope["type"] == "http" and scope["method"] not in _HARMLESS:
            origin = Headers(scope=scope).get("sec-fetch-site", "none")
            if origin not in _OWN:
                raise ProblemError("bad-request", "Pages of other sites may not write here.")
        await self.app(scope, receive, send)
