"""HEAD: what GET would answer, without its body (RFC 9110, 9.3.2). FastAPI's routes know GET alone."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Asks for GET and sends on the head of the answer; the rest of a long body is not even made."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        is_read, answered = False, asyncio.Event()

        async def received() -> Message:
            """The request; once it is answered, the client counts as gone, so that streams stop."""
            nonlocal is_read
            if not is_read:
                is_read = True
                return await receive()
            await answered.wait()
            return {"type": "http.disconnect"}

        async def headed(message: Message) -> None:
            if answered.is_set():
                return
            is_body = message["type"] == "http.response.body"
            await send({**message, "body": b"", "more_body": False} if is_body else message)
            if is_body:
                answered.set()

        scope["method"] = "GET"  # in place: the meters outside must see the route that was found
        await self.app(scope, received, headed)
