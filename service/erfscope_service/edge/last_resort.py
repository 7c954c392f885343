"""Whatever escapes the endpoints or the middleware below becomes a problem, never a stack trace."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erfscope_service.problems import from_exception, problem_response

log = logging.getLogger(__name__)


class LastResortMiddleware:
    """Answers an exception with its problem; one after the response began closes the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever happens below."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_started = False

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            log.info("the client went away while it was sending")
        except Exception as error:
            problem = from_exception(error)
            if has_started:
                log.warning("the response broke off: %s", problem.detail)
                raise
            await problem_response(problem)(scope, receive, send)
