"""A town under load and faults, and its verdict: `python -m tests.chaos.run --minutes 10`."""

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import redis
from rich.console import Console
from rich.table import Table
from tests.chaos.caller import Caller
from tests.chaos.clients import Client
from tests.chaos.evidence import Evidence, bytes_of, gather
from tests.chaos.faults import FAULTS, Hand, plan, possible
from tests.chaos.followers import Follower
from tests.chaos.history import History
from tests.chaos.invariants import FLOOD, INVARIANTS, QUIET
from tests.chaos.lateness import Lateness
from tests.chaos.neighbours import Flood, Planner, Quiet
from tests.chaos.questions import Question, catalogue
from tests.chaos.town import PATIENCE, Town, wait_until
from tests.chaos.uploaders import Uploader

CLIENTS, FOLLOWERS, UPLOADERS, TENANTS = 4, 4, 2, ("north", "south")
MOST_OPEN = 60  # jobs of one tenant: the flood's are always so many
ROUND = 30.0  # seconds of a further round of faults
PER_MINUTE = 200  # accepted jobs that make a run worth its name


@dataclass(frozen=True)
class Options:
    """How long, how hard, and from which seed."""

    seconds: float
    seed: int = 0
    lease: float = 15.0
    workers: int = 3
    replicas: int = 2
    orphan_seconds: float = 5.0
    cluster: bool = False
    jobs: int = 0  # accepted ones at least: on a slow machine faults and load go on until there are so many


def run(options: Options, folder: Path) -> tuple[Evidence, dict[str, list[str]]]:
    """Calm, faults, calm again; the evidence, and what of each invariant is broken."""
    history = History()
    with town_of(options, folder) as town:
        questions = catalogue()
        began = time.monotonic()
        calm = calm_answers(town, questions)
        pace = (time.monotonic() - began) / len(questions)
        hand = Hand(town, history, options.seed, options.orphan_seconds)
        faults = possible(town)
        with Lateness(town) as late:
            with at_work(callers(town, history, questions, options.seed)), counting_records(town, history):
                hand.carry_out(plan(faults, options.seconds, options.seed), options.seconds)
                while len(history.accepted) < options.jobs:
                    hand.carry_out(plan(faults, ROUND, options.seed + len(history.accepted)), ROUND)
                rest(hand, options.seconds)
            hand.calm_down()
            wait_until("the town to be whole again", town.is_whole)
            evidence = gather(town, history, calm, late, pace)
        broken = {f"{one.name} {one.promise}": list(one.check(evidence)) for one in INVARIANTS}
    return evidence, broken


def town_of(options: Options, folder: Path) -> Town:
    """The town of a run: everything that can be struck."""
    tenants = (*TENANTS, FLOOD, QUIET)
    shape: dict[str, Any] = {"replicas": options.replicas, "workers": options.workers, "tenants": tenants}
    limits: dict[str, Any] = {"lease_seconds": options.lease, "max_open_jobs_per_tenant": MOST_OPEN}
    return Town(folder, **shape, cluster=options.cluster, sweeps=True, wired=True, disk=True, **limits)


def callers(town: Town, history: History, questions: list[Question], seed: int) -> list[Caller]:
    """Everyone who calls the service."""

    def each(name: str, number: int) -> Iterator[tuple[str, str, int, Town, History]]:
        for i in range(number):
            yield f"{name}-{i}", TENANTS[i % len(TENANTS)], seed, town, history

    return [
        *(Client(*one, questions) for one in each("client", CLIENTS)),
        *(Follower(*one) for one in each("follower", FOLLOWERS)),
        *(Uploader(*one) for one in each("uploader", UPLOADERS)),
        *(Planner(*one) for one in each("planner", 1)),
        Flood("flood", FLOOD, seed, town, history),
        Quiet("quiet", QUIET, seed, town, history),
    ]


def rest(hand: Hand, seconds: float) -> None:
    """Load without new faults for the last part of the run."""
    end = time.monotonic() + 0.08 * seconds
    while time.monotonic() < end:
        hand.tend()
        time.sleep(0.05)


@contextlib.contextmanager
def at_work(clients: list[Caller]) -> Iterator[None]:
    """The callers work inside."""
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join()


@contextlib.contextmanager
def counting_records(town: Town, history: History) -> Iterator[None]:
    """I15: whatever the store has been through, the record of each accepted id is there."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            ids = list(history.accepted)
            with contextlib.suppress(redis.RedisError), town.redis.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.exists(town.key_of(id))
                for id, there in zip(ids, pipe.execute(), strict=True):
                    if not there:
                        history.violate("I15", f"{id} has no record any more")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def calm_answers(town: Town, questions: list[Question]) -> dict[str, tuple[str, str]]:
    """sha256 of result and map of each question, before anything is broken."""
    with httpx2.Client(timeout=PATIENCE, trust_env=False, headers=town.headers(TENANTS[0])) as http:
        ids = {one.name: http.post(f"{town.urls[0]}/erf", **one.salted("calm")).json()["id"] for one in questions}
        return {name: _calm_answer(town, http, id) for name, id in ids.items()}


def _calm_answer(town: Town, http: httpx2.Client, id: str) -> tuple[str, str]:
    wait_until(f"the calm answer {id}", lambda: ended(http.get(f"{town.urls[0]}/erf/{id}").json()))
    record = town.ledger.get(id, TENANTS[0])
    assert record is not None
    assert record.status == "succeeded", record.problem
    return bytes_of(record)


def ended(job: Mapping[str, Any]) -> bool:
    """Whether a job is over."""
    return job["status"] not in ("queued", "running")


def quantile(ordered: list[float], share: float) -> float:
    """The value that `share` of them do not exceed; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def figures(evidence: Evidence, options: Options) -> dict[str, Any]:
    """The run in numbers."""
    history, recoveries = evidence.history, evidence.recoveries()
    followed = sum(one.is_over for one in history.followed.values())
    behind = sorted(seconds for _, seconds in evidence.late.seconds)
    statuses: dict[str, int] = {}
    for verdict in evidence.verdicts:
        statuses[verdict.status] = statuses.get(verdict.status, 0) + 1
    return {
        "seconds": options.seconds,
        "seed": options.seed,
        "lease": options.lease,
        "accepted": len(history.accepted),
        "computed": sum(1 for one in evidence.verdicts if one.record and one.record.attempt > 0),
        "lost": sum(1 for one in evidence.verdicts if one.status == "lost"),
        "ended": statuses,
        "strikes": {fault.name: len(history.struck(fault.name)) for fault in FAULTS},
        "the load did": dict(history.noted) | {"streams to their end": followed},
        "run again": sum(1 for one in evidence.verdicts if one.record and one.record.attempt > 1),
        "recoveries": len(recoveries),
        "recovery p50": round(quantile(recoveries, 0.5), 2),
        "recovery p95": round(quantile(recoveries, 0.95), 2),
        "recovery max": round(max(recoveries, default=0.0), 2),
        "machine or store behind, p95 of a second": round(quantile(behind, 0.95), 2),
        "machine or store behind, in all": round(sum(behind), 1),
        "orphans at most": round(max(history.orphan_seconds, default=0.0), 2),
        "open empty after": round(evidence.empty_after, 2),
        "jobs open then": evidence.backlog,
        "seconds for a job in calm": round(evidence.pace, 2),
        "responses": {str(status): count for status, count in sorted(history.statuses.items())},
        "broken connections": history.outages,
    }


def show(numbers: Mapping[str, Any], broken: Mapping[str, list[str]], console: Console) -> None:
    """Two tables: what happened, and what held."""
    happened = Table("what", "figure", title="what happened", title_justify="left")
    for name, value in numbers.items():
        text = ", ".join(f"{count} {key}" for key, count in value.items()) if isinstance(value, dict) else str(value)
        happened.add_row(name, text)
    held = Table("invariant", "holds", "broken by", title="what held", title_justify="left")
    for name, what in broken.items():
        held.add_row(name, "no" if what else "yes", "\n".join(what[:5]) + (f"\n… {len(what)}" if len(what) > 5 else ""))
    console.print(happened, held)


def main() -> int:
    """Run, print, and 1 when an invariant is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lease", type=float, default=15.0, help="seconds; 15 is the service's default")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--cluster", action="store_true", help="the ledger on three nodes, messages on a fourth store")
    parser.add_argument(
        "--jobs", type=int, help=f"accepted at least; the run goes on until then ({PER_MINUTE} a minute)"
    )
    parser.add_argument("--keep", type=Path, help="leave logs and store in this (short, empty) folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that whoever ends a run ends its town with it
    jobs = round(PER_MINUTE * asked.minutes) if asked.jobs is None else asked.jobs
    options = Options(asked.minutes * 60, asked.seed, asked.lease, asked.workers, cluster=asked.cluster, jobs=jobs)
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    evidence, broken = run(options, folder)
    numbers = figures(evidence, options)
    show(numbers, broken, Console(width=160))
    if asked.json:
        asked.json.write_text(json.dumps({**numbers, "broken": broken}, indent=2))
    if not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if any(broken.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
