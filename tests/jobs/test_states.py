"""The ledger against a model of it: whatever happens in whatever order, the invariants hold."""

import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from erfscope.contract.job import Status, Timing
from erfscope.contract.problem import ProblemError
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer, Beat, Failure, Kind, Purge, Submission
from erfscope_jobs.settings import Settings

TENANT = "t"
LEASE = 0.002
CRASHES, LAPSES = 2, 3
QUESTIONS = st.sampled_from(["q1", "q2"])


@dataclass
class Expected:
    """What the model knows of a job."""

    question: str
    status: Status = Status.QUEUED
    attempt: int = 0
    crashes: int = 0
    lapses: int = 0
    result: bytes | None = None


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

    @rule(target=jobs, question=QUESTIONS)
    def submit(self, question: str) -> str:
        job = Submission(Kind.ERF, TENANT, "{}", question, candidates=(question,))
        record = self.ledger.submit(job).record
        known = self.answers.get(question)
        self.model[job.id] = Expected(question, Status.SUCCEEDED if known else Status.QUEUED, result=known)
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
        claimed = self.ledger.claim(job, "w")
        if expected is None or expected.status is not Status.QUEUED:
            assert claimed is None
            return
        expected.status, expected.attempt = Status.RUNNING, expected.attempt + 1
        assert claimed is not None
        assert claimed.attempt == expected.attempt

    def held(self, job: str, age: int) -> tuple[Expected | None, int, bool]:
        """The job, the attempt that a worker of that age believes in, and whether it is right."""
        expected = self.model.get(job)
        attempt = (expected.attempt if expected else 1) - age
        right = expected is not None and expected.status is Status.RUNNING and age == 0
        return expected, attempt, right

    @rule(job=jobs, age=st.integers(0, 2), share=st.floats(0, 1))
    def beat(self, job: str, age: int, share: float) -> None:
        _, attempt, right = self.held(job, age)
        assert (self.ledger.beat(job, attempt, "measure", share) is Beat.HELD) == right

    @rule(job=jobs, age=st.integers(0, 2), text=st.binary(min_size=1, max_size=8))
    def finish(self, job: str, age: int, text: bytes) -> None:
        expected, attempt, right = self.held(job, age)
        digest = expected.question if expected else "q1"
        assert self.ledger.finish(job, attempt, Answer(digest, text), Timing()) == right
        if right and expected:
            expected.status = Status.SUCCEEDED
            expected.result = self.answers.setdefault(digest, text)

    @rule(job=jobs, age=st.integers(0, 2))
    def fail(self, job: str, age: int) -> None:
        expected, attempt, right = self.held(job, age)
        problem = ProblemError("no-gradient", "None.").problem
        assert self.ledger.fail(job, attempt, problem, Timing()) == right
        if right and expected:
            expected.status = Status.FAILED

    @rule(job=jobs, age=st.integers(0, 2), failure=st.sampled_from(Failure))
    def retry(self, job: str, age: int, failure: Failure) -> None:
        expected, attempt, right = self.held(job, age)
        status = self.ledger.retry(job, attempt, failure)
        if not (right and expected):
            assert status == "lost"
            return
        if failure is Failure.CRASH:
            expected.crashes += 1
        else:
            expected.lapses += 1
        self.requeue(expected)
        assert status == expected.status

    def requeue(self, expected: Expected) -> None:
        spent = expected.crashes >= CRASHES or expected.lapses >= LAPSES
        expected.status = Status.FAILED if spent else Status.QUEUED

    @rule()
    def leases_lapse(self) -> None:
        time.sleep(2 * LEASE)
        rung = {id for id, _ in self.ledger.reap(1000, [])}
        for expected in self.model.values():
            if expected.status is Status.RUNNING:
                expected.lapses += 1
                self.requeue(expected)
        assert rung == {id for id, expected in self.model.items() if expected.status is Status.QUEUED}

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        expected = self.model.get(job)
        record = self.ledger.cancel(job, TENANT)
        assert (record is None) == (expected is None)
        if expected and not expected.status.is_terminal:
            expected.status = Status.CANCELED

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
            assert record.attempt <= CRASHES + LAPSES + 1

    @invariant()
    def open_is_what_has_not_ended(self) -> None:
        pulse = self.ledger.pulse()
        statuses = [expected.status for expected in self.model.values()]
        assert pulse.queued == statuses.count(Status.QUEUED)
        assert pulse.running == statuses.count(Status.RUNNING)

    @invariant()
    def a_job_ends_once(self) -> None:
        for id, expected in self.model.items():
            ends = [event for event in self.ledger.events(id) if Status(event.data["status"]).is_terminal]
            assert len(ends) == expected.status.is_terminal

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
