"""What happened in a run, as plain records: jobs that were accepted, answers that were seen, faults that struck."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.processes import Process

TERMINAL = frozenset({"succeeded", "failed", "canceled", "expired"})


@dataclass
class Accepted:
    """A 202: what was asked, and each terminal state of it that somebody saw."""

    id: str
    question: str  # name of a Question or a Bad
    expects: str  # "succeeded", "canceled", or a problem type
    tenant: str
    seen: set[tuple[str, str]] = field(default_factory=set)  # (terminal status, ETag)
    after_bad: bool = False


@dataclass(frozen=True)
class Strike:
    """A fault: what was hit, when (seconds of the epoch), and the jobs (id, attempt) that were running there."""

    kind: str
    target: str
    at: float
    victims: tuple[tuple[str, int], ...] = ()
    family: tuple[Process, ...] = ()


class History:
    """Shared by the clients' threads and the one that strikes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted: dict[str, Accepted] = {}
        self.keys: dict[str, set[str]] = {}
        self.statuses: Counter[int] = Counter()
        self.violations: dict[str, list[str]] = {}
        self.strikes: list[Strike] = []
        self.orphan_seconds: list[float] = []
        self.outages = 0  # requests that found nobody listening, or whose connection died

    def accept(self, job: Accepted, key: str | None) -> Accepted:
        """A 202; a repeated key must have brought the same id."""
        with self._lock:
            known = self.accepted.setdefault(job.id, job)
            if key is not None:
                self.keys.setdefault(key, set()).add(job.id)
            return known

    def see(self, id: str, status: str, tag: str) -> None:
        """Somebody looked at a job."""
        if status in TERMINAL:
            with self._lock:
                self.accepted[id].seen.add((status, tag))

    def count(self, status: int) -> None:
        """A response."""
        with self._lock:
            self.statuses[status] += 1

    def violate(self, invariant: str, what: str) -> None:
        """Something that must never be."""
        with self._lock:
            self.violations.setdefault(invariant, []).append(what)

    def lose_connection(self) -> None:
        """A request without a response."""
        with self._lock:
            self.outages += 1

    def strike(self, strike: Strike) -> None:
        """A fault has struck."""
        self.strikes.append(strike)

    def struck(self, *kinds: str) -> list[Strike]:
        """The faults of these kinds."""
        return [strike for strike in self.strikes if strike.kind in kinds]

    def watch_orphans(self, strike: Strike, seconds: float) -> None:
        """In a thread: how long what was below a killed worker lives on."""

        def watch() -> None:
            while time.time() < strike.at + seconds and any(one.is_alive for one in strike.family):
                time.sleep(0.1)
            left = [f"{one.pid} {one.command}" for one in strike.family if one.is_alive]
            self.orphan_seconds.append(time.time() - strike.at)
            if left:
                self.violate("I12", f"{strike.target}: {left} live {seconds:g} s after their worker's death")

        threading.Thread(target=watch, daemon=True).start()
