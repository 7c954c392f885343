"""How much is drawn at a time: pictures and, as a large map takes a gigabyte, pixels in flight."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST_PICTURES = 2
MOST_PIXELS = 50_000_000  # about 20 bytes each while a picture is drawn


class Easel:
    """Lets drawers in while there is room; a picture larger than all of the room is drawn alone."""

    def __init__(self, pictures: int = MOST_PICTURES, pixels: int = MOST_PIXELS) -> None:
        self._most_pictures, self._most_pixels = pictures, pixels
        self._pictures = self._pixels = 0
        self._room = asyncio.Condition()

    @asynccontextmanager
    async def drawing(self, pixels: int) -> AsyncIterator[None]:
        """A place for a picture of a map of so many pixels; waits for it."""
        async with self._room:
            await self._room.wait_for(lambda: self._fits(pixels))
            self._pictures, self._pixels = self._pictures + 1, self._pixels + pixels
        try:
            yield
        finally:
            async with self._room:
                self._pictures, self._pixels = self._pictures - 1, self._pixels - pixels
                self._room.notify_all()

    def _fits(self, pixels: int) -> bool:
        if not self._pictures:
            return True
        return self._pictures < self._most_pictures and self._pixels + pixels <= self._most_pixels
