"""The ledger against a model of it: whatever happens in whatever order, the invariants hold."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import ProblemError
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer, Beat, Failure, Kind, Purge, Sharded, Submission
from erfscope_jobs.settings import Settings

TENANT = "t"
LEASE = 0.002
CRASHES, LAPSES = 2, 3
HERE = Fingerprint("2", "cpu", 1)
RANGES = [(0, 8), (8, 16)]
AGES = st.sampled_from([0, 0, 0, 1, 2])  # how many attempts ago a worker lost what it believes to hold
QUESTIONS = st.sampled_from(["q1", "q2"])


@dataclass
class Try:
    """What the model knows of whatever is claimed: `queued`, `running`, and for shards `done`."""

    state: str = "queued"
    attempt: int = 0
    crashes: int = 0
    lapses: int = 0

    def again(self, failure: Failure) -> bool:
        """Count a failure; whether it was one too many."""
        if failure is Failure.CRASH:
            self.crashes += 1
        elif failure is Failure.HANDBACK:
            self.lapses += 1
        return self.crashes >= CRASHES or self.lapses >= LAPSES


@dataclass
class Expected(Try):
    """What the model knows of a job, which may also be `split`, wait for its `merge`, or have ended."""

    question: str = ""
    result: bytes | None = None
    whole: bool = False
    shards: list[Try] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """As people see it."""
        return Status.RUNNING if self.state in ("split", "merge") else Status(self.state)

    def end(self, status: Status) -> None:
        self.state, self.shards = status, []

    def requeue(self) -> None:
        self.state = "merge" if self.shards else "queued"

    def rejoin(self) -> None:
        self.state, self.shards, self.whole = "queued", [], True


class LedgerMachine(RuleBasedStateMachine):
    """Service, workers of every age, and reaper at once."""

    redis_url = ""
    count = 0
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.ledger = Ledger(
            Settings(
                redis_url=self.redis_url,
                namespace=f"states-{self.count}",
                lease_seconds=LEASE,
                max_crashes=CRASHES,
                max_lapses=LAPSES,
                durable_submit=False,
            )
        )
        self.model: dict[str, Expected] = {}
        self.answers: dict[str, bytes] = {}

    @initialize(target=jobs)
    def a_running_job(self) -> Any:
        """Most rules need one; left to chance, few examples would get far."""
        job: Any = self.submit("q1")
        self.claim(job)
        return job

    @initialize(target=jobs)
    def a_split_job(self) -> Any:
        """With one shard that runs."""
        job = self.a_running_job()
        self.split(job, 0)
        self.claim_shard(job, 0)
        return job

    @rule(target=jobs, question=QUESTIONS)
    def submit(self, question: str) -> str:
        job = Submission(Kind.ERF, TENANT, "{}", question, candidates=(question,))
        record = self.ledger.submit(job).record
        known = self.answers.get(question)
        self.model[job.id] = Expected("succeeded" if known else "queued", question=question, result=known)
        assert record.cached == (known is not None)
        return job.id

    @rule(target=jobs, job=jobs)
    def submit_again(self, job: str) -> Any:
        if job not in self.model:
            return multiple()
        again = self.ledger.submit(Submission(Kind.ERF, TENANT, "{}", "q1", id=job))
        assert not again.created
        return multiple()

    @rule(job=jobs)
    def claim(self, job: str) -> None:
        expected = self.model.get(job)
        claimed = self.ledger.claim(job, "w", HERE)
        if expected is None or expected.state not in ("queued", "merge"):
            assert claimed is None
            return
        expected.state, expected.attempt = "running", expected.attempt + 1
        assert claimed is not None
        assert (claimed.attempt, len(claimed.parts)) == (expected.attempt, len(expected.shards))

    def held(self, job: str, age: int) -> tuple[Expected | None, int, bool]:
        """The job, the attempt that a worker of that age believes in, and whether it is right."""
        expected = self.model.get(job)
        attempt = (expected.attempt if expected else 1) - age
        right = expected is not None and expected.state == "running" and age == 0
        return expected, attempt, right

    @rule(job=jobs, age=AGES)
    def split(self, job: str, age: int) -> None:
        expected, attempt, right = self.held(job, age)
        if expected and (expected.whole or expected.shards):
            return  # no worker asks for that
        assert bool(self.ledger.split(job, attempt, RANGES, HERE)) == right
        if right and expected:
            expected.state, expected.shards = "split", [Try() for _ in RANGES]

    @rule(job=jobs, age=AGES)
    def rejoin(self, job: str, age: int) -> None:
        expected, attempt, right = self.held(job, age)
        if expected and not expected.shards:
            return  # only a merge asks for that
        assert self.ledger.rejoin(job, attempt) == right
        if right and expected:
            expected.rejoin()

    def held_shard(self, job: str, n: int, age: int) -> tuple[Expected | None, Try | None, int, bool]:
        expected = self.model.get(job)
        shard = expected.shards[n] if expected and expected.shards else None
        attempt = (shard.attempt if shard else 1) - age
        return expected, shard, attempt, shard is not None and shard.state == "running" and age == 0

    @rule(job=jobs, n=st.sampled_from([0, 1]))
    def claim_shard(self, job: str, n: int) -> None:
        _, shard, attempt, _ = self.held_shard(job, n, 0)
        claimed = self.ledger.claim(f"{job}.{n + 1}", "w", HERE)
        if shard is None or shard.state != "queued":
            assert claimed is None
            return
        shard.state, shard.attempt = "running", attempt + 1
        assert claimed is not None
        assert (claimed.attempt, claimed.part) == (shard.attempt, RANGES[n])

    @rule(job=jobs, n=st.sampled_from([0, 1]), age=AGES, share=st.floats(0, 1))
    def beat_shard(self, job: str, n: int, age: int, share: float) -> None:
        _, _, attempt, right = self.held_shard(job, n, age)
        assert (self.ledger.beat(f"{job}.{n + 1}", attempt, "measure", share) is Beat.HELD) == right

    @rule(job=jobs, n=st.sampled_from([0, 1]), age=AGES)
    def finish_shard(self, job: str, n: int, age: int) -> None:
        expected, shard, attempt, right = self.held_shard(job, n, age)
        done = self.ledger.finish_part(f"{job}.{n + 1}", attempt, {"sums": "ab" * 32})
        if not (right and expected and shard):
            assert done is Sharded.LOST
            return
        shard.state = "done"
        last = all(one.state == "done" for one in expected.shards)
        assert done is (Sharded.MERGE if last else Sharded.KEPT)
        expected.state = "merge" if last else "split"

    @rule(job=jobs, n=st.sampled_from([0, 1]), age=AGES, way=st.sampled_from(["fail", "rejoin", *Failure]))
    def lose_shard(self, job: str, n: int, age: int, way: str) -> None:
        expected, shard, attempt, right = self.held_shard(job, n, age)
        id = f"{job}.{n + 1}"
        if way == "fail":
            done: object = self.ledger.fail(id, attempt, ProblemError("no-gradient", "None.").problem, Timing())
        elif way == "rejoin":
            done = self.ledger.rejoin(id, attempt)
        else:
            done = self.ledger.retry(id, attempt, Failure(way)) != "lost"
        assert done == right
        if not (right and expected and shard):
            return
        if way == "rejoin":
            expected.rejoin()
        elif way == "fail" or shard.again(Failure(way)):
            expected.end(Status.FAILED)
        else:
            shard.state = "queued"

    @rule(job=jobs, age=AGES, share=st.floats(0, 1))
    def beat(self, job: str, age: int, share: float) -> None:
        _, attempt, right = self.held(job, age)
        assert (self.ledger.beat(job, attempt, "measure", share) is Beat.HELD) == right

    @rule(job=jobs, age=AGES, text=st.binary(min_size=1, max_size=8))
    def finish(self, job: str, age: int, text: bytes) -> None:
        expected, attempt, right = self.held(job, age)
        digest = expected.question if expected else "q1"
        assert self.ledger.finish(job, attempt, Answer(digest, text), Timing()) == right
        if right and expected:
            expected.end(Status.SUCCEEDED)
            expected.result = self.answers.setdefault(digest, text)

    @rule(job=jobs, age=AGES)
    def fail(self, job: str, age: int) -> None:
        expected, attempt, right = self.held(job, age)
        problem = ProblemError("no-gradient", "None.").problem
        assert self.ledger.fail(job, attempt, problem, Timing()) == right
        if right and expected:
            expected.end(Status.FAILED)

    @rule(job=jobs, age=AGES, failure=st.sampled_from(Failure))
    def retry(self, job: str, age: int, failure: Failure) -> None:
        expected, attempt, right = self.held(job, age)
        status = self.ledger.retry(job, attempt, failure)
        if not (right and expected):
            assert status == "lost"
            return
        self.lose(expected, failure)
        shown = "running" if expected.state == "merge" else expected.state
        assert status == expected.state or (status, shown) == ("queued", "running")

    def lose(self, expected: Expected, failure: Failure) -> None:
        if expected.again(failure):
            expected.end(Status.FAILED)
        else:
            expected.requeue()

    @rule(turn=st.integers(0, 9))
    def a_good_worker(self, turn: int) -> None:
        """Takes something that waits and does it."""
        waiting = self.waiting()
        if not waiting:
            return
        job, _, n = waiting[turn % len(waiting)].partition(".")
        if n:
            self.claim_shard(job, int(n) - 1)
            self.finish_shard(job, int(n) - 1, 0)
        else:
            self.claim(job)
            self.finish(job, 0, b"good")

    @rule()
    def leases_lapse(self) -> None:
        time.sleep(2 * LEASE)
        rung = {id for id, _ in self.ledger.reap(1000, {}).ring}
        for expected in self.model.values():
            if expected.state == "running":
                self.lose(expected, Failure.HANDBACK)
            self.lose_shards(expected)
        assert rung == set(self.waiting())

    def lose_shards(self, expected: Expected) -> None:
        for shard in expected.shards:
            if shard.state == "running" and expected.shards:
                if shard.again(Failure.HANDBACK):
                    expected.end(Status.FAILED)
                    return
                shard.state = "queued"

    def waiting(self) -> list[str]:
        """What a worker could claim."""
        jobs = [id for id, expected in self.model.items() if expected.state in ("queued", "merge")]
        shards = [
            f"{id}.{n}"
            for id, expected in self.model.items()
            for n, shard in enumerate(expected.shards, 1)
            if shard.state == "queued"
        ]
        return jobs + shards

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        expected = self.model.get(job)
        record = self.ledger.cancel(job, TENANT)
        assert (record is None) == (expected is None)
        if expected and not expected.status.is_terminal:
            expected.end(Status.CANCELED)

    @rule(job=jobs)
    def purge(self, job: str) -> None:
        expected = self.model.get(job)
        purged = self.ledger.purge(job, TENANT)
        if expected is None:
            assert purged is Purge.MISSING
        elif not expected.status.is_terminal:
            assert purged is Purge.OPEN
        else:
            assert purged is Purge.PURGED
            del self.model[job]
            self.forget_answers()

    def forget_answers(self) -> None:
        alive = {expected.question for expected in self.model.values() if expected.result is not None}
        self.answers = {question: text for question, text in self.answers.items() if question in alive}

    @invariant()
    def records_agree_with_the_model(self) -> None:
        for id, expected in self.model.items():
            record = self.ledger.get(id, TENANT)
            assert record is not None
            assert (record.status, record.attempt, record.result) == (
                expected.status,
                expected.attempt,
                expected.result,
            )
            assert (record.crashes, record.lapses) == (expected.crashes, expected.lapses)
            assert record.attempt <= CRASHES + LAPSES + 3  # and once to be split, once to be merged

    @invariant()
    def open_is_what_has_not_ended(self) -> None:
        pulse = self.ledger.pulse()
        states = [one.state for expected in self.model.values() for one in (expected, *expected.shards)]
        assert pulse.queued == len(self.waiting())
        assert pulse.running == states.count("running") + states.count("split")

    @invariant()
    def a_job_ends_once(self) -> None:
        for id, expected in self.model.items():
            ends = [event for event in self.ledger.events(id) if Status(event.data["status"]).is_terminal]
            at_once = expected.status is Status.SUCCEEDED and expected.attempt == 0  # nobody has to be told
            assert len(ends) == (expected.status.is_terminal and not at_once)

    def teardown(self) -> None:
        self.ledger.close()


def test_state_machine(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LedgerMachine, "redis_url", redis_url)
    run_state_machine_as_test(
        LedgerMachine,
        settings=effort(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
