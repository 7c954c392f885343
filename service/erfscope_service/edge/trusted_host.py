"""Only the host names the service goes by: a page elsewhere cannot rebind its name to a local service."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from erfscope_contract.problem import ProblemError


class TrustedHostMiddleware:
    """Refuses a Host header that is not in `allowed`; `*` allows any, `*.example.org` every subdomain."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self.app = app
        self.allowed = [pattern.lower() for pattern in allowed]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse its host."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "").lower()
            if not any(_matches(_without_port(host), pattern) for pattern in self.allowed):
                raise ProblemError(
                    "bad-request", "The Host header is none of this service's names (ERFSCOPE_ALLOWED_HOSTS)."
                )
        await self.app(scope, receive, send)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _matches(host: str, pattern: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
