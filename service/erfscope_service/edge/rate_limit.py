"""RateLimit and RateLimit-Policy: how much a caller has left, on every answer to a call that was counted.

The form is that of the IETF's draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-09).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erfscope_jobs.rates import Allowance, TooManyRequestsError

KEY = "erfscope.allowance"


class RateLimitMiddleware:
    """Writes down in headers what was told in `telling`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        allowances: list[Allowance] = []
        scope[KEY] = allowances

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and allowances:
                MutableHeaders(scope=message).update(headers_of(allowances[-1]))
            await send(message)

        await self.app(scope, receive, told if scope["type"] == "http" else send)


@contextmanager
def telling(scope: Scope) -> Iterator[Callable[[Allowance | None], None]]:
    """Have the answer to this request say what its caller has left, a refusal in this block too."""

    def tell(allowance: Allowance | None) -> None:
        if allowance is not None:
            scope[KEY].append(allowance)

    try:
        yield tell
    except TooManyRequestsError as error:
        tell(error.allowance)
        raise


def headers_of(allowance: Allowance) -> dict[str, str]:
    """The two headers: calls per window, calls left and seconds until there are more."""
    return {
        "RateLimit-Policy": f'"default";q={allowance.most};w={allowance.window}',
        "RateLimit": f'"default";r={allowance.left};t={allowance.seconds}',
    }
