"""The faults: a table of what may strike, a plan drawn from the seed, and the hand that carries it out."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from tests.chaos.history import History, Strike
from tests.chaos.processes import Process
from tests.chaos.town import Part, Town

NONE = "nothing there to strike"


@dataclass(frozen=True)
class Fault:
    """One kind of fault: how often per ten minutes, and how it is done (None: no victim right now, try again)."""

    name: str
    per_ten_minutes: int
    does: str
    strike: Callable[["Hand"], Strike | None]


@dataclass(frozen=True)
class Planned:
    """A fault and its second of the run."""

    at: float
    fault: Fault


class Hand:
    """Strikes, and undoes stops when their time has come."""

    def __init__(self, town: Town, history: History, seed: int, orphan_seconds: float) -> None:
        self.town = town
        self.random = random.Random(f"{seed}/faults")
        self._history = history
        self._orphan_seconds = orphan_seconds
        self._continue: list[tuple[float, Part]] = []

    def carry_out(self, plan: list[Planned]) -> None:
        """The whole plan, in order; one that finds no victim waits for one, and the later ones with it."""
        began = time.monotonic()
        for planned in plan:
            while time.monotonic() - began < planned.at:
                self.tend()
                time.sleep(0.02)
            self._until_struck(planned.fault)

    def _until_struck(self, fault: Fault) -> None:
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at:
            self.tend()
            if strike := fault.strike(self):
                self._history.strike(strike)
                if strike.family:
                    self._history.watch_orphans(strike, self._orphan_seconds)
                return
            time.sleep(0.01)
        self._history.violate("harness", f"{fault.name}: {NONE} for 60 s")

    def tend(self) -> None:
        """Bring back what was killed, let go on what was stopped, when it is time."""
        self.town.revive()
        due = [part for at, part in self._continue if time.monotonic() >= at and part.stopped]
        for part in due:
            part.signal(signal.SIGCONT)
        self._continue = [(at, part) for at, part in self._continue if part.stopped]

    def calm_down(self) -> None:
        """Everything runs again."""
        for part in self.town.parts:
            if part.stopped:
                part.signal(signal.SIGCONT)
            if part.back_at is not None:
                part.back_at = 0.0
        self.town.revive()

    def any_up(self, parts: list[Part]) -> Part | None:
        """One of those that run."""
        up = [part for part in parts if part.is_up]
        return self.random.choice(up) if up else None

    def stop_for(self, part: Part, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        part.signal(signal.SIGSTOP)
        self._continue.append((time.monotonic() + seconds, part))

    def busy(self, worker: Part) -> tuple[tuple[str, int], ...]:
        """The jobs that this worker runs: (id, attempt). Empty, too, while the store is away."""
        town, found = self.town, []
        with contextlib.suppress(redis.RedisError):
            for id in town.redis.zrange(town.key("open"), 0, -1):
                status, name, attempt = town.redis.hmget(town.key("job", id), "status", "worker", "attempt")
                if status == "running" and name and f"-{worker.pid}-" in name:
                    found.append((id, int(attempt)))
        return tuple(found)


def kill_child(hand: Hand) -> Strike | None:
    """kill -9 of the process that runs a job."""
    working = [(worker, child) for worker in hand.town.workers if worker.is_up and (child := hand.town.child(worker))]
    if not working:
        return None
    worker, child = hand.random.choice(working)
    victims = hand.busy(worker)
    return Strike("child", worker.name, time.time(), victims) if strike_process(child) else None


def kill_zygote(hand: Hand) -> Strike | None:
    """kill -9 of the process that children are forked from."""
    worker = hand.any_up(hand.town.workers)
    if worker is None or (pid := hand.town.zygote(worker)) is None or hand.town.child(worker) is None:
        return None
    victims = hand.busy(worker)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return Strike("zygote", worker.name, time.time(), victims)
    return None


def kill_worker(hand: Hand) -> Strike | None:
    """kill -9 of a worker's process group, in the middle of a job."""
    worker = hand.any_up(hand.town.workers)
    if worker is None or not (victims := hand.busy(worker)):
        return None
    family = tuple(hand.town.family(worker))
    worker.kill(away=hand.random.uniform(0, 2))
    return Strike("worker", worker.name, time.time(), victims, family)


def stop_worker(hand: Hand) -> Strike | None:
    """SIGSTOP of a busy worker until its lease has lapsed, then SIGCONT: its late write must be fenced."""
    worker = hand.any_up(hand.town.workers)
    if worker is None or not (victims := hand.busy(worker)):
        return None
    hand.stop_for(worker, hand.town.settings.lease_seconds * 1.3 + 1)
    return Strike("stop", worker.name, time.time(), victims)


def kill_api(hand: Hand) -> Strike | None:
    """kill -9 of a replica, with whatever it was answering; the other one stays."""
    if not all(replica.is_up for replica in hand.town.replicas):
        return None
    replica = hand.random.choice(hand.town.replicas)
    replica.kill(away=hand.random.uniform(0, 2))
    return Strike("api", replica.name, time.time())


def kill_store(hand: Hand) -> Strike | None:
    """kill -9 of the store; it comes back on its append-only file."""
    store = hand.town.store
    if not hand.town.store_answers():
        return None
    store.kill(away=hand.random.uniform(0, 1))
    hand.town.socket.unlink(missing_ok=True)
    return Strike("store", store.name, time.time())


def freeze_store(hand: Hand) -> Strike | None:
    """SIGSTOP of the store for some seconds: longer than its clients wait."""
    if not hand.town.store_answers():
        return None
    hand.stop_for(hand.town.store, 3.0)
    return Strike("freeze", hand.town.store.name, time.time())


def strike_process(target: Process) -> bool:
    """kill -9; whether it was still there."""
    if not target.is_alive:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(target.pid, signal.SIGKILL)
        return True
    return False


FAULTS = [
    Fault("child", 140, "kill -9 of a job's process", kill_child),
    Fault("zygote", 6, "kill -9 of a worker's zygote", kill_zygote),
    Fault("worker", 24, "kill -9 of a busy worker", kill_worker),
    Fault("stop", 8, "busy worker stopped past its lease", stop_worker),
    Fault("api", 14, "kill -9 of a replica", kill_api),
    Fault("store", 18, "kill -9 of the store", kill_store),
    Fault("freeze", 6, "store stopped for 3 s", freeze_store),
]


def plan(seconds: float, seed: int) -> list[Planned]:
    """Each fault its number of times, at least once, one in each equal stretch of the run."""
    drawn = random.Random(f"{seed}/plan")
    planned = []
    for fault in FAULTS:
        times = max(1, round(fault.per_ten_minutes * seconds / 600))
        stretch = seconds * 0.92 / times  # the end stays free for what the last strike sets off
        planned += [Planned((i + drawn.random()) * stretch, fault) for i in range(times)]
    return sorted(planned, key=lambda one: one.at)
