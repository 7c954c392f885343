"""How many requests wait for events of jobs: each holds a connection to Redis, so their number is bounded."""

from collections.abc import Iterator
from contextlib import contextmanager

from erfscope.contract.problem import ProblemError


class Watchers:
    """Counts the event streams and long polls of this process, which run in one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = 0

    @property
    def is_full(self) -> bool:
        """Whether one more would be too many."""
        return self.now >= self._most

    def require_room(self) -> None:
        """Raise `unavailable` where there is none."""
        if self.is_full:
            raise ProblemError(
                "unavailable",
                f"{self._most} requests wait for events here already; ask for the job itself, or come again.",
                retry_after=5,
            )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count this one while it lasts."""
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1
