"""One reader of events for a process: however many follow jobs, one connection to Redis waits for all of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Event

SLICE = 0.2  # seconds of one read: who comes during a read is part of the next

Streams = Mapping[str, Sequence[Event] | ProblemError]  # job → its events, or why not; those without any left out
Read = Callable[[Mapping[str, str], float], Awaitable[Streams]]  # job → after which event; seconds to wait


@dataclass(eq=False)
class Follower:
    """Somebody who waits for events of a job after one of them, until a moment of time.monotonic()."""

    id: str
    after: str
    until: float
    answer: "asyncio.Future[list[Event]]"


class Following:
    """The followers of one event loop, and the task that reads for all of them while there are any.

    `read` asks Redis once for all events of many jobs after one each; what it raises, every follower is told, and what
    is wrong with one job's, that job's followers.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._followers: set[Follower] = set()
        self._reader: asyncio.Task[None] | None = None

    async def events(self, id: str, after: str, wait: float) -> list[Event]:
        """What happened to a job after an event; nothing where it is still quiet after `wait` seconds."""
        answer: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()
        follower = Follower(id, after, time.monotonic() + wait, answer)
        self._followers.add(follower)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_for_all())
        try:
            return await answer
        finally:
            self._followers.discard(follower)

    async def close(self) -> None:
        """End the reader; who still follows gets what there is: nothing."""
        if self._reader is not None:
            self._reader.cancel()
        for follower in list(self._followers):
            self._tell(follower, [])

    async def _read_for_all(self) -> None:
        try:
            while self._followers:
                asked = self._earliest()
                self._answer(asked, await self._read(asked, self._patience()))
        except Exception as error:  # whatever it is, nobody may wait for a reader that is gone
            for follower in list(self._followers):
                self._fail(follower, error)

    def _earliest(self) -> dict[str, str]:
        """Each job with the earliest event after which somebody follows it."""
        earliest: dict[str, str] = {}
        for follower in self._followers:
            known = earliest.get(follower.id)
            if known is None or _order(follower.after) < _order(known):
                earliest[follower.id] = follower.after
        return earliest

    def _patience(self) -> float:
        soonest = min(follower.until for follower in self._followers)
        return max(0.001, min(SLICE, soonest - time.monotonic()))

    def _answer(self, asked: Mapping[str, str], streams: Streams) -> None:
        now = time.monotonic()
        for follower in list(self._followers):
            start = asked.get(follower.id)
            if start is None or _order(start) > _order(follower.after):
                continue  # came during the read; the next one begins early enough
            events = streams.get(follower.id, ())
            if isinstance(events, ProblemError):
                self._fail(follower, events)
                continue
            later = [e for e in events if _order(e.id) > _order(follower.after)]
            if later or follower.until <= now:
                self._tell(follower, later)

    def _tell(self, follower: Follower, events: list[Event]) -> None:
        self._followers.discard(follower)
        if not follower.answer.done():
            follower.answer.set_result(events)

    def _fail(self, follower: Follower, error: Exception) -> None:
        self._followers.discard(follower)
        if not follower.answer.done():
            follower.answer.set_exception(error)


def _order(event: str) -> tuple[int, int]:
    """Events by their time and number in it: a reader may come with an id of one part."""
    moment, _, number = event.partition("-")
    return int(moment), int(number or 0)
