"""What happened in a run, as plain records: jobs that were accepted, answers that were seen, faults that struck."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.processes import Process

LOOK = 0.1  # seconds between two looks at processes that should end
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


@dataclass
class Followed:
    """What a follower was told of a job: the ids of its events in order, and the state of the last one.

    `had_ended` is the state in the snapshot of a job that had ended before: the end, but for its name.
    """

    job: str
    ids: list[str] = field(default_factory=list)
    status: str = ""
    had_ended: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the end was told."""
        return self.status != ""


class History:
    """Shared by the clients' threads and the one that strikes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted: dict[str, Accepted] = {}
        self.keys: dict[str, set[str]] = {}
        self.statuses: Counter[int] = Counter()
        self.violations: dict[str, list[str]] = {}
        self.strikes: list[Strike] = []
        self.followed: dict[str, Followed] = {}
        self.noted: Counter[str] = Counter()  # what the load did, by its name
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

    def follow(self, job: str) -> Followed | None:
        """Begin to follow a job; None where somebody does already."""
        with self._lock:
            if job in self.followed:
                return None
            return self.followed.setdefault(job, Followed(job))

    def note(self, what: str) -> None:
        """The load did something that is only counted."""
        with self._lock:
            self.noted[what] += 1

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
        """In a thread: how long what was below a killed worker lives on.

        Its time is counted in looks of 0.1 s: a machine that has no time to look has none to end a process either.
        """

        def watch() -> None:
            looks = 0
            while looks * LOOK < seconds and any(one.is_alive for one in strike.family):
                time.sleep(LOOK)
                looks += 1
            left = [f"{one.pid} {one.command}" for one in strike.family if one.is_alive]
            self.orphan_seconds.append(looks * LOOK)
            if left:
                self.violate("I12", f"{strike.target}: {left} live {seconds:g} s after their worker's death")

        threading.Thread(target=watch, daemon=True).start()
