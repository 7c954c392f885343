"""Looking at something until it has ended: calls that the service holds, growing pauses, a deadline. Decisions only."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from erfscope._calls import Call
from erfscope._transport import Flow, Pause, Settings, exchange
from erfscope_contract.job import Status

LONG_POLL = 20.0  # seconds that one GET may be held by the service
POLL = (0.1, 1.0)  # first and longest pause between polls that came back early


class Pending(Protocol):
    """A job, a series, a question, an inspection."""

    @property
    def status(self) -> Status | None:
        """How far it is; None where it was not begun."""
        ...


P = TypeVar("P", bound=Pending)


def until_ended(
    settings: Settings,
    look: Callable[[float], Call[P]],
    timeout: float | None,
    watch: Callable[[P], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[P]:
    """The ended thing, or how it stands after `timeout` seconds; `look` gets how long its call may be held."""
    end = None if timeout is None else clock() + timeout
    longest = LONG_POLL if watch is None else POLL[1]  # whoever watches wants to see it move
    pause = POLL[0]
    while True:
        left = longest if end is None else max(0.0, end - clock())
        found = yield from exchange(look(min(longest, left)), settings)
        if watch is not None:
            watch(found)
        if (found.status is not None and found.status.is_terminal) or (end is not None and clock() >= end):
            return found
        yield Pause(pause if end is None else min(pause, max(0.0, end - clock())))
        pause = min(2 * pause, POLL[1])
