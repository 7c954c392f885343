"""How far behind a loaded machine is: what a promise with a time in it is measured against.

A thread does what the reaper does at least: it sleeps for a second, and writes to each partition of the ledger for
nothing. What that takes beyond the second is time in which nobody could have kept a promise: others had the processor,
or the store was away, or full.
"""

import contextlib
import threading
import time
from typing import Self

from tests.chaos.town import Town

from erfscope_contract.problem import ProblemError
from erfscope_jobs.operations import Operations
from erfscope_jobs.partitions import space_of

PAUSE, AGAIN = 1.0, 0.05  # seconds


class Lateness:
    """To be used in a `with`; `within` may be asked during the run and after it."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lateness")
        self.seconds: list[tuple[float, float]] = []  # when a look was over (epoch), and what it took beyond the pause

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def within(self, begin: float, end: float) -> float:
        """Seconds behind of the looks that were over between two moments."""
        return sum(late for moment, late in self.seconds if begin < moment <= end)

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._stop.wait(PAUSE)
            while not self._writes() and not self._stop.wait(AGAIN):
                pass
            self.seconds.append((time.time(), max(0.0, time.monotonic() - began - PAUSE)))

    def _writes(self) -> bool:
        """Whether every partition takes a write: none may be away."""
        settings, ledger = self._town.settings, self._town.ledger
        with contextlib.suppress(ProblemError):
            for n in range(settings.partitions):
                ledger.run(Operations(settings, space_of(settings, n)).settle()[0])
            return True
        return False
