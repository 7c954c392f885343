"""A deadline for request headers: uvicorn (0.54) waits for the rest of a header for ever.

It is built on h11 rather than httptools because h11 bounds the size of headers.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from erfscope.contract.problem import ProblemError

MAX_HEADER_BYTES = 32 * 1024


class PunctualProtocol(H11Protocol):
    """Closes a connection whose next request has begun, or whose first has not, and is not there in time."""

    patience: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection opens; its first request is awaited."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Some of a request came; the deadline stands until its header is whole."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._arm()
        else:
            self._disarm()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused like anything else: uvicorn says it in plain text."""
        problem = ProblemError("bad-request", f"{msg} It is broken, or its header is over {MAX_HEADER_BYTES} bytes.")
        body = problem.problem.model_dump_json(exclude_defaults=True).encode()
        headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.patience, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def punctual(patience: float) -> type[H11Protocol]:
    """The protocol class with a deadline of `patience` seconds."""
    return type("PunctualProtocol", (PunctualProtocol,), {"patience": patience})
