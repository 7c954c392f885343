"""A wire between one part and the store, to be cut: `python -m tests.chaos.wire LISTEN TARGET` (Unix sockets).

Stopped (SIGSTOP) it is a network that swallows everything and delivers it late; killed, one that breaks connections.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

PIECE = 1 << 16  # bytes of one read


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def main(listen: Path, target: Path) -> None:
    """Carry what comes, for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(target)
        except OSError:  # the store is away
            writer.close()
            return
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    listen.unlink(missing_ok=True)  # of one that was killed
    server = await asyncio.start_unix_server(connected, listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
