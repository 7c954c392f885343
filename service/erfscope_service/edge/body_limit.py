"""Limits of request bodies, in bytes by route and in seconds, kept while they stream in.

A declared length over the limit is refused before a byte is read; a chunked body as soon as it passes it.
Nothing is parsed first. A body must keep up a slowest rate, or a few thousand dripping connections hold everything.

What the client is still sending after the answer is read and dropped for a moment:
closing at once resets the connection, and many clients then never see the 413.
"""

import asyncio
import time
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erfscope_contract.problem import ProblemError
from erfscope_service.bodies import media_type_of

SLOWEST = 10 * 1024  # bytes per second, after the patience is used up
LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 2**20


class BodyLimitMiddleware:
    """Refuses bodies over the limit of their route; `limits` maps (path, media type) to bytes."""

    def __init__(self, app: ASGIApp, limits: Mapping[tuple[str, str], int], default: int, patience: float) -> None:
        self.app = app
        self.patience = patience
        self.limits = limits
        self.default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request under its limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _CountedBody(receive, send, self._limit(scope), Headers(scope=scope), self.patience)
        await self.app(scope, body.receive, body.send)

    def _limit(self, scope: Scope) -> int:
        media_type, route = media_type_of(Headers(scope=scope)), scope["path"]
        return self.limits.get((route, media_type), self.limits.get((route, "*"), self.default))


class _CountedBody:
    def __init__(self, receive: Receive, send: Send, limit: int, headers: Headers, patience: float) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._declared = _declared_length(headers)
        self._expects_continue = "expect" in headers
        self._is_done = self._declared == 0 or (self._declared is None and "transfer-encoding" not in headers)
        self._count = 0
        self._patience = patience
        self._waited = 0.0

    async def receive(self) -> Message:
        if self._declared is not None and self._declared > self._limit:
            raise self._too_large()
        message = await (self._receive() if self._is_done else self._receive_in_time())
        if message["type"] == "http.request":
            self._count += len(message.get("body", b""))
            self._is_done = not message.get("more_body", False)
            if self._count > self._limit:
                raise self._too_large()
        return message

    async def _receive_in_time(self) -> Message:
        """The next piece; only the waiting counts, not what is done with the pieces."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience + self._count / SLOWEST - self._waited):
                return await self._receive()
        except TimeoutError:
            detail = f"The body stopped coming, or came at less than {SLOWEST} bytes per second."
            raise ProblemError("too-slow", detail) from None
        finally:
            self._waited += time.monotonic() - began

    async def send(self, message: Message) -> None:
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not ends or self._is_done or self._waits_for_continue():
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._linger()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _waits_for_continue(self) -> bool:
        return self._expects_continue and self._count == 0

    async def _linger(self) -> None:
        dropped = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while dropped < LINGER_BYTES:
                    message = await self._receive()
                    dropped += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    def _too_large(self) -> ProblemError:
        return ProblemError("too-large", f"The body is over the limit of {self._limit} bytes.", limit=self._limit)


def _declared_length(headers: Headers) -> int | None:
    declared = headers.get("content-length")
    return int(declared) if declared is not None and declared.isdecimal() else None
