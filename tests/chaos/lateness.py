"""How far behind a loaded machine is: what a promise with a time in it is measured against.

A thread does what the reaper does at least: it sleeps for a second, and calls the ledger for nothing. What that takes
beyond the second is time in which nobody could have kept a promise: others had the processor, or the store was away.
"""

import contextlib
import threading
import time
from typing import Self

from tests.chaos.town import Town

from erfscope_contract.problem import ProblemError

PAUSE = 1.0  # seconds


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
            answered = False
            while not answered and not self._stop.is_set():
                with contextlib.suppress(ProblemError):
                    answered = bool(self._town.ledger.waiting())  # asks every partition: none may be away
            self.seconds.append((time.time(), max(0.0, time.monotonic() - began - PAUSE)))
