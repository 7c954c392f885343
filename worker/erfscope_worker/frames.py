"""Messages between worker, zygote and child: a length-prefixed JSON header and raw bytes. No pickle."""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_HEADER = 1 << 20
MOST_BODY = 1 << 20
MOST_ORDERS = (
    1 << 28
)  # of a header from the worker: a spec, which the service has bounded, with its defaults written out
LENGTHS = struct.Struct(">II")


class FrameError(Exception):
    """The other side does not keep to the protocol; a child that does this is treated as crashed."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    header: Mapping[str, Any]
    body: bytes = b""

    @property
    def type(self) -> str:
        """What it says."""
        return str(self.header.get("type"))


def send(descriptor: int, header: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one frame, wholly. By os.write: a jailed child has no sendto."""
    text = json.dumps(header).encode()
    for piece in (LENGTHS.pack(len(text), len(body)) + text, memoryview(body)):
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


class Reader:
    """Bytes as they come → frames; holds at most one frame."""

    def __init__(self, most_header: int = MOST_HEADER) -> None:
        self._buffer = bytearray()
        self._most_header = most_header

    @property
    def missing(self) -> int:
        """How many bytes may be read without taking any of the frame after the next."""
        if len(self._buffer) < LENGTHS.size:
            return LENGTHS.size - len(self._buffer)
        header, body = LENGTHS.unpack_from(self._buffer)
        return int(LENGTHS.size + header + body - len(self._buffer))

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, give the frames that are complete."""
        self._buffer += data
        while len(self._buffer) >= LENGTHS.size:
            header, body = LENGTHS.unpack_from(self._buffer)
            if header > self._most_header or body > MOST_BODY:
                raise FrameError(f"a frame of {header} + {body} bytes")
            end = LENGTHS.size + header + body
            if len(self._buffer) < end:
                return
            yield parse(bytes(self._buffer[LENGTHS.size : end]), header)
            del self._buffer[:end]


def parse(frame: bytes, header: int) -> Frame:
    """One complete frame."""
    try:
        fields = json.loads(frame[:header])
    except (ValueError, RecursionError) as error:
        raise FrameError("a header that is not JSON") from error
    if not isinstance(fields, dict):
        raise FrameError("a header that is not an object")
    return Frame(fields, frame[header:])


def receive(descriptor: int, most_header: int = MOST_HEADER) -> Frame | None:
    """Block for one frame; None at the end."""
    reader = Reader(most_header)
    while data := os.read(descriptor, reader.missing):
        for frame in reader.feed(data):
            return frame
    return None
