"""One log line and one observation per request, whatever became of it."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erfscope_jobs import log as facts
from erfscope_service.meters import Meters

log = logging.getLogger("erfscope_service.access")
QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})  # asked every few seconds by machines
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "none"
"""The route or method of a request that has none we know: labels must not grow with what strangers ask for."""


class TelemetryMiddleware:
    """Measures each request until its answer begins (streams go on for long) and logs it when it is over."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, method, status = time.perf_counter(), scope["method"], 0
        if client := scope.get("client"):  # uvicorn has put in the address that a trusted proxy names
            facts.note(client=client[0][:64])

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self.meters.answered(_route(scope), _known(method), status, time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if kind := facts.noted("problem"):
                self.meters.refused(kind)
            seconds = round(time.perf_counter() - began, 4)
            if id := scope.get("path_params", {}).get("id"):
                facts.note(**{"series" if _route(scope).startswith("/series/") else "job": id[:64]})
            level = logging.DEBUG if _route(scope) in QUIET and status < 400 else logging.INFO
            # The path without its query; status 0 is a client that went away before there was an answer.
            told = {"status": status, "seconds": seconds}
            log.log(level, "%s %s", method, scope["path"][:300], extra={"facts": told})


def _known(method: str) -> str:
    return method if method in METHODS else UNKNOWN


def _route(scope: Scope) -> str:
    """The route's own spelling, e.g. /erf/{id}."""
    return getattr(scope.get("route"), "path", UNKNOWN)
