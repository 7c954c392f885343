"""How many requests wait for events of jobs: each holds a connection of this replica, so their number is bounded."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from erfscope_contract.problem import ProblemError


class Watchers:
    """Counts the event streams and long polls of this process, which run in one event loop.

    There are at most `most`, and of one tenant at most `each`, so that nobody takes all of them.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._of = Counter[str]()

    @property
    def now(self) -> int:
        """How many there are."""
        return self._of.total()

    def is_full(self, tenant: str) -> bool:
        """Whether one more of this tenant would be too many."""
        return self.now >= self._most or self._of[tenant] >= self._each

    def require_room(self, tenant: str) -> None:
        """Raise `unavailable` where there is none."""
        if self.is_full(tenant):
            raise ProblemError(
                "unavailable",
                "Too many requests wait for events here already; ask for the job itself, or come again.",
                retry_after=5,
            )

    @contextmanager
    def watching(self, tenant: str) -> Iterator[None]:
        """Count this one while it lasts."""
        self._of[tenant] += 1
        try:
            yield
        finally:
            self._of[tenant] -= 1
            self._of += Counter()  # forgets those who have none
