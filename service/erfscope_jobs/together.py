"""One round for many: what several callers need at the same time is done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """Runs `act` with the items of all who came before a round began; who comes during a round is part of the next.

    One round is on its way at a time. All of a round get what `act` returns or raises; who goes away takes nothing from
    the others.
    """

    def __init__(self, act: Callable[[list[T]], Awaitable[R]]) -> None:
        self._act = act
        self._items: list[T] = []
        self._next: asyncio.Task[R] | None = None  # the round that has not begun
        self._last: asyncio.Task[R] | None = None

    async def do(self, item: T) -> R:
        """Be part of the next round, and wait for its end."""
        self._items.append(item)
        if self._next is None:
            self._next = asyncio.create_task(self._round(self._last))
            self._next.add_done_callback(_noticed)
        return await asyncio.shield(self._next)

    async def _round(self, before: "asyncio.Task[R] | None") -> R:
        if before is not None:
            await asyncio.wait([before])
        items, self._items = self._items, []
        self._last, self._next = self._next, None
        return await self._act(items)


def _noticed(task: "asyncio.Task[R]") -> None:
    """An error of a round whose callers have all gone away is nobody's: asyncio need not report it."""
    if not task.cancelled():
        task.exception()
