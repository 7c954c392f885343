"""The faults: a table of what may strike, a plan drawn from the seed, and the hand that carries it out."""

import contextlib
import math
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from tests.chaos.history import History, Strike
from tests.chaos.parts import Part
from tests.chaos.processes import Process
from tests.chaos.stores import MAXMEMORY
from tests.chaos.town import Town

NONE = "nothing there to strike"
LITTLE_MEMORY = 1 << 20  # bytes; an empty store has more


@dataclass(frozen=True)
class Fault:
    """One kind of fault: how often per ten minutes, and how it is done (None: no victim right now, try again)."""

    name: str
    per_ten_minutes: int
    does: str
    strike: Callable[["Hand"], Strike | None]
    can_be: Callable[[Town], bool] = lambda town: True


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
        self._undo: list[tuple[float, Callable[[], None]]] = []

    def carry_out(self, plan: list[Planned], seconds: float) -> None:
        """The plan in order, within so many seconds; one that finds no victim waits, and the later ones too.

        A machine that is too slow for the whole plan is struck less often, but once by each fault.
        """
        began = time.monotonic()
        for planned in plan:
            while time.monotonic() - began < planned.at:
                self.tend()
                time.sleep(0.02)
            if time.monotonic() - began < seconds or not self._history.struck(planned.fault.name):
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
        self._history.violate("harness", f"{fault.name}: {NONE} for 60 s; {self._state()}")

    def _state(self) -> str:
        """What the workers do, and what they last said."""
        workers = [
            f"{one.name} {'up' if one.is_up else 'away'}, runs {len(self.busy(one))}, said {one.last_words(1)!r}"
            for one in self.town.workers
        ]
        with contextlib.suppress(redis.RedisError):
            workers.append(f"{len(self.town.open_ids())} jobs open")
        return "; ".join(workers)

    def tend(self) -> None:
        """Bring back what was killed, let go on what was stopped, when it is time."""
        self.town.revive()
        due = [part for at, part in self._continue if time.monotonic() >= at and part.stopped]
        for part in due:
            part.signal(signal.SIGCONT)
        self._continue = [(at, part) for at, part in self._continue if part.stopped]
        self._undo_until(time.monotonic())

    def _undo_until(self, moment: float) -> None:
        for undo in [undo for at, undo in self._undo if at <= moment]:
            undo()
        self._undo = [(at, undo) for at, undo in self._undo if at > moment]

    def undo_in(self, seconds: float, undo: Callable[[], None]) -> None:
        """Make something good again after a while."""
        self._undo.append((time.monotonic() + seconds, undo))

    def calm_down(self) -> None:
        """Everything runs again."""
        self._undo_until(math.inf)
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
            for id in town.open_ids():
                status, name, attempt = town.redis.hmget(town.key_of(id), "status", "worker", "attempt")
                if status == "running" and name and f"-{worker.pid}-" in name:
                    found.append((id, int(attempt)))
        return tuple(found)


def kill_child(hand: Hand) -> Strike | None:
    """kill -9 of the process that runs a job; not of one that tries the jail's doors: without an answer none serves."""
    working = [(worker, child) for worker in hand.town.workers if worker.is_up and (child := hand.town.child(worker))]
    if not working:
        return None
    worker, child = hand.random.choice(working)
    victims = hand.busy(worker)
    return Strike("child", worker.name, time.time(), victims) if victims and strike_process(child) else None


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
    """kill -9 of a store; it comes back on its append-only file."""
    if not hand.town.store_answers():
        return None
    store = hand.random.choice(hand.town.stores.parts)
    store.kill(away=hand.random.uniform(0, 1))
    return Strike("store", store.name, time.time())


def freeze_store(hand: Hand) -> Strike | None:
    """SIGSTOP of a store for some seconds: longer than its clients wait."""
    if not hand.town.store_answers():
        return None
    store = hand.random.choice(hand.town.stores.parts)
    hand.stop_for(store, 3.0)
    return Strike("freeze", store.name, time.time())


def fill_store(hand: Hand) -> Strike | None:
    """The stores have no memory left for some seconds."""
    if not hand.town.store_answers():
        return None
    hand.town.stores.set_memory(LITTLE_MEMORY)
    hand.undo_in(hand.random.uniform(1, 4), lambda: hand.town.stores.set_memory(MAXMEMORY))
    return Strike("full", "store", time.time())


def fill_disk(hand: Hand) -> Strike | None:
    """The file store's disk has no room left for some seconds."""
    filler = hand.town.settings.blobs / "filler"
    if filler.exists():
        return None
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as sink:
        while True:
            sink.write(bytes(1 << 16))
    hand.undo_in(hand.random.uniform(1, 4), lambda: filler.unlink(missing_ok=True))
    return Strike("disk", "file store", time.time())


def cut_wire(hand: Hand) -> Strike | None:
    """The last worker and the last replica lose the store: what they say arrives after the lease, or never."""
    wire, worker = hand.town.wires[0], hand.town.workers[-1]
    if not wire.is_up or not worker.is_up or not (victims := hand.busy(worker)):
        return None
    if hand.random.random() < 0.5:
        wire.kill(away=hand.random.uniform(0, 2))
    else:
        hand.stop_for(wire, hand.town.settings.lease_seconds * 1.3 + 1)
    return Strike("cut", worker.name, time.time(), victims)


def kill_sweeper(hand: Hand) -> Strike | None:
    """kill -9 of the sweeper, whatever it holds in its hand."""
    sweeper = hand.any_up(hand.town.sweepers)
    if sweeper is None:
        return None
    sweeper.kill(away=hand.random.uniform(0, 1))
    return Strike("sweeper", sweeper.name, time.time())


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
    Fault("full", 6, "no memory left in the store for some seconds", fill_store),
    Fault("disk", 6, "no room left on the file store's disk", fill_disk, lambda town: town.has_disk),
    Fault("cut", 8, "a worker and a replica lose the store", cut_wire, lambda town: bool(town.wires)),
    Fault("sweeper", 12, "kill -9 of the sweeper", kill_sweeper, lambda town: bool(town.sweepers)),
]


def possible(town: Town) -> list[Fault]:
    """The faults that can strike this town."""
    return [fault for fault in FAULTS if fault.can_be(town)]


def plan(faults: list[Fault], seconds: float, seed: int) -> list[Planned]:
    """Each fault its number of times, at least once, one in each equal stretch of the run."""
    drawn = random.Random(f"{seed}/plan")
    planned = []
    for fault in faults:
        times = max(1, round(fault.per_ten_minutes * seconds / 600))
        stretch = seconds * 0.92 / times  # the end stays free for what the last strike sets off
        planned += [Planned((i + drawn.random()) * stretch, fault) for i in range(times)]
    return sorted(planned, key=lambda one: one.at)
