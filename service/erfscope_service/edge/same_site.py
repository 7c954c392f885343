"""No writing from other sites: a form on a foreign page can POST to a local service without asking CORS."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from erfscope_contract.problem import ProblemError

_HARMLESS = ("GET", "HEAD", "OPTIONS")
_OWN = ("same-origin", "none")  # none: typed by the user. Other clients than browsers send no such header.


class SameSiteMiddleware:
    """Refuses what a browser sends on behalf of another site (Fetch Metadata, Origin); reads are free.

    Browsers send Fetch Metadata to trustworthy addresses only (https, loopback), and Origin with every write.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse where it comes from."""
        if scope["type"] == "http" and scope["method"] not in _HARMLESS:
            headers = Headers(scope=scope)
            if headers.get("sec-fetch-site", "none") not in _OWN or not _is_own(headers):
                raise ProblemError("bad-request", "Pages of other sites may not write here.")
        await self.app(scope, receive, send)


def _is_own(headers: Headers) -> bool:
    """Whether the page that writes was served by this host; clients that are no browsers send no Origin."""
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # no browser sends it: an address that is none
        return False
