"""When `erfscope up` starts a part again that died: at once at first, then later each time, until it lasts again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST, LONGEST = 0.5, 30.0  # seconds between a death and the next start
LASTED = 60.0  # seconds after which a part counts as sound: its next death is its first


@dataclass
class Restarts:
    """The deaths of one part; `clock` tells seconds."""

    clock: Callable[[], float] = time.monotonic
    _pause: float = 0.0
    _started: float = field(init=False)
    _due: float | None = None

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def is_waiting(self) -> bool:
        """Whether the part is dead and will be started again."""
        return self._due is not None

    @property
    def is_due(self) -> bool:
        """Whether it is time to start it again."""
        return self._due is not None and self.clock() >= self._due

    def died(self) -> float:
        """Note a death; how many seconds until the next start."""
        lasted = self.clock() - self._started >= LASTED
        self._pause = FIRST if lasted or not self._pause else min(2 * self._pause, LONGEST)
        self._due = self.clock() + self._pause
        return self._pause

    def started(self) -> None:
        """Note a start."""
        self._started, self._due = self.clock(), None
