"""Deadlines for slow callers: uvicorn (0.54) waits for the rest of a header, and for a reader, for ever.

It is built on h11 rather than httptools because h11 bounds the size of headers.
"""

import asyncio
import contextlib
import socket
import struct

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from erfscope_contract.problem import ProblemError
from erfscope_service.edge.connections import Connections

MAX_HEADER_BYTES = 32 * 1024


class PunctualProtocol(H11Protocol):
    """Closes a connection whose next request has begun, or whose first has not, and is not there in time.

    And one whose reader takes nothing of what waits for it. `crowd` bounds how many there are.
    """

    patience: float
    crowd: Connections
    _deadline: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection opens; its first request is awaited."""
        super().connection_made(transport)
        self._arm()
        peer = transport.get_extra_info("peername")
        self.crowd.opened(self, peer[0] if isinstance(peer, tuple) else "")

    def data_received(self, data: bytes) -> None:
        """Some of a request came; the deadline stands until its header is whole."""
        super().data_received(data)
        self.crowd.used(self)
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
        self._stop_watching()
        self.crowd.closed(self)
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def drop(self) -> None:
        """End it at once, with what waits for the reader, which the kernel would keep otherwise."""
        if isinstance(self.transport.get_extra_info("peername"), tuple):
            with contextlib.suppress(OSError):
                place = self.transport.get_extra_info("socket")
                place.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def pause_writing(self) -> None:
        """More waits for the reader than should; it must take some of it in time."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._stop_watching()
        super().resume_writing()

    def _watch(self, waiting: int) -> None:
        self._reader = self.loop.call_later(self.patience, self._look, waiting)

    def _look(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting >= before:
            self.drop()
        else:
            self._watch(waiting)

    def _stop_watching(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.patience, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def punctual(patience: float, connections: Connections) -> type[H11Protocol]:
    """The protocol class with a deadline of `patience` seconds, whose connections are counted together."""
    return type("PunctualProtocol", (PunctualProtocol,), {"patience": patience, "crowd": connections})
