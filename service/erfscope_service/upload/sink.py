"""Where streamed bytes go: a blob on disk, hashed while it is written, or a small buffer."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import Blob, BlobStore, BlobWriter

PIECE = 2**20  # bytes per trip to a thread: hashing and writing must not hold up the event loop


class BlobSink:
    """A blob in the making; `commit` once everything is written."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer
        self._pending = bytearray()
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Take the next bytes; `too-large` over the limit."""
        self.size += len(data)
        self._pending += data
        if len(self._pending) >= PIECE:
            await self._flush()

    async def seal(self) -> None:
        """Everything is written; holds no open file any more."""
        if self._pending:
            await self._flush()
        await asyncio.to_thread(self._writer.seal)

    async def commit(self) -> Blob:
        """Make the blob durable under its sha256."""
        await self.seal()
        return await asyncio.to_thread(self._writer.commit)

    async def _flush(self) -> None:
        piece, self._pending = bytes(self._pending), bytearray()
        await asyncio.to_thread(self._writer.write, piece)


@asynccontextmanager
async def open_sink(blobs: BlobStore, limit: int | None) -> AsyncIterator[BlobSink]:
    """A sink whose temporary file is gone afterwards unless it was committed."""
    with await asyncio.to_thread(blobs.open_writer, limit) as writer:
        yield BlobSink(writer)


async def store(chunks: AsyncIterable[bytes], blobs: BlobStore, limit: int) -> Blob:
    """A whole body as a blob; an empty one is a `bad-request`."""
    async with open_sink(blobs, limit) as sink:
        async for chunk in chunks:
            await sink.write(chunk)
        if not sink.size:
            raise ProblemError("bad-request", "The body is empty; send the file's bytes.")
        return await sink.commit()


class Buffer:
    """A small part in memory, under a limit."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._bytes = bytearray()

    def write(self, data: bytes) -> None:
        """Take the next bytes; `too-large` over the limit."""
        self._bytes += data
        if len(self._bytes) > self._limit:
            raise ProblemError(
                "too-large", f"{self._name} is over the limit of {self._limit} bytes.", limit=self._limit
            )

    def value(self) -> bytes:
        """Everything written."""
        return bytes(self._bytes)
