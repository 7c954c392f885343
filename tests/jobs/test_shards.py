"""A job in shards: one job to those who watch it, several to those who work on it."""

import time
from collections.abc import Iterator
from itertools import count

import pytest

from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import ProblemError
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer, Beat, Failure, Kind, Record, Sharded, Submission
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import WorkerInfo

TENANT = "t"
HERE, ELSEWHERE = Fingerprint("2.15.0", "cpu-avx2", 1), Fingerprint("2.15.0", "cpu-avx512", 1)
RANGES = [(0, 64), (64, 128), (128, 200)]
NAMES = count()


def advertise(ledger: Ledger, fingerprint: Fingerprint = HERE, concurrency: int = 1) -> str:
    name = f"w{next(NAMES)}"
    ledger.advertise(WorkerInfo(name, "host", 1, concurrency, 0, fingerprint))
    return name


@pytest.fixture
def job(ledger: Ledger) -> str:
    """A job that its first worker has split in three."""
    id = ledger.submit(Submission(Kind.ERF, TENANT, '{"request": 1}', "q")).record.id
    ledger.claim(id, "w", HERE)
    assert ledger.split(id, 1, RANGES, HERE) == tuple(f"{id}.{n}" for n in (1, 2, 3))
    return id


def record(ledger: Ledger, id: str) -> Record:
    found = ledger.get(id, TENANT)
    assert found is not None
    return found


def claim(ledger: Ledger, id: str) -> Record:
    claimed = ledger.claim(id, "w", HERE)
    assert claimed is not None
    return claimed


def sums(n: int) -> dict[str, str]:
    return {"sums": f"{n:064x}"}


def finish(ledger: Ledger, job: str, n: int) -> Sharded:
    shard = claim(ledger, f"{job}.{n}")
    return ledger.finish_part(shard.id, shard.attempt, sums(n))


def terminal_events(ledger: Ledger, id: str) -> list[str]:
    return [event.data["status"] for event in ledger.events(id) if Status(event.data["status"]).is_terminal]


def test_the_last_shard_sends_the_job_to_be_merged(ledger: Ledger, job: str) -> None:
    assert [finish(ledger, job, n) for n in (2, 3, 1)] == [Sharded.KEPT, Sharded.KEPT, Sharded.MERGE]
    merge = claim(ledger, job)
    assert (merge.attempt, merge.parts) == (2, tuple(sums(n) for n in (1, 2, 3)))
    assert ledger.finish(job, 2, Answer("d", b"{}"), Timing())
    assert record(ledger, job).result == b"{}"
    assert terminal_events(ledger, job) == ["succeeded"]


def test_a_shard_knows_its_samples_and_what_its_job_asks(ledger: Ledger, job: str) -> None:
    shard = claim(ledger, f"{job}.3")
    assert (shard.kind, shard.part, shard.payload, shard.job) == (Kind.SHARD, (128, 200), '{"request": 1}', job)


def test_people_see_one_running_job(ledger: Ledger, job: str) -> None:
    assert record(ledger, job).status is Status.RUNNING
    assert [one.id for one in ledger.list(TENANT).records] == [job]
    assert ledger.get(f"{job}.1", TENANT) is None
    for n in (1, 2, 3):
        finish(ledger, job, n)
    assert record(ledger, job).status is Status.RUNNING
    seen = [event.data["status"] for event in ledger.events(job)]
    assert seen[0] == "queued"
    assert set(seen[1:]) == {"running"}


def test_progress_is_the_mean_and_never_turns_back(ledger: Ledger, job: str) -> None:
    first, second = claim(ledger, f"{job}.1"), claim(ledger, f"{job}.2")
    ledger.beat(first.id, 1, "load", 0.9)
    assert record(ledger, job).progress == 0
    ledger.beat(first.id, 1, "measure", 0.6)
    ledger.beat(second.id, 1, "measure", 0.9)
    assert (record(ledger, job).stage, record(ledger, job).progress) == ("measure", 0.5)
    ledger.retry(first.id, 1, Failure.HANDBACK)
    ledger.beat(second.id, 1, "measure", 0.95)
    assert record(ledger, job).progress == 0.5


def test_whoever_split_it_holds_it_no_more(ledger: Ledger, job: str) -> None:
    assert ledger.beat(job, 1, "measure", 0.5) is Beat.LOST
    assert not ledger.finish(job, 1, Answer("d", b"late"), Timing())
    assert ledger.split(job, 1, RANGES, HERE) == ()
    assert ledger.claim(job, "w", HERE) is None
    assert not ledger.rejoin(job, 1)


def test_late_writes_of_a_shard_are_fenced(ledger: Ledger, job: str) -> None:
    late = claim(ledger, f"{job}.1")
    ledger.retry(late.id, 1, Failure.HANDBACK)
    now = claim(ledger, f"{job}.1")
    assert ledger.finish_part(late.id, 1, sums(9)) is Sharded.LOST
    assert ledger.finish_part(now.id, 2, sums(1)) is Sharded.KEPT
    assert ledger.finish_part(now.id, 2, sums(1)) is Sharded.LOST


def test_a_failed_shard_fails_the_job_and_frees_the_others(ledger: Ledger, job: str) -> None:
    first, second = claim(ledger, f"{job}.1"), claim(ledger, f"{job}.2")
    problem = ProblemError("non-finite-output", "NaN.").problem
    assert ledger.fail(first.id, 1, problem, Timing())
    assert (record(ledger, job).status, record(ledger, job).problem) == (Status.FAILED, problem)
    assert ledger.beat(second.id, 1, "measure", 0.5) is Beat.LOST
    assert ledger.claim(f"{job}.3", "w", HERE) is None
    assert ledger.pulse().open == 0
    assert terminal_events(ledger, job) == ["failed"]


def test_a_shard_that_crashes_again_and_again_fails_the_job(ledger: Ledger, job: str) -> None:
    for attempt in (1, 2):
        claim(ledger, f"{job}.1")
        status = ledger.retry(f"{job}.1", attempt, Failure.CRASH)
    assert status == "failed"
    problem = record(ledger, job).problem
    assert problem is not None
    assert problem.kind == "worker-crash"


def test_cancel_ends_every_shard(ledger: Ledger, job: str) -> None:
    running = claim(ledger, f"{job}.1")
    canceled = ledger.cancel(job, TENANT)
    assert canceled is not None
    assert canceled.status is Status.CANCELED
    assert ledger.beat(running.id, 1, "measure", 0.5) is Beat.LOST
    assert ledger.finish_part(running.id, 1, sums(1)) is Sharded.LOST
    assert (ledger.pulse().open, ledger.reap(100, {}).ring) == (0, [])


def test_a_lost_lease_of_a_shard_or_of_the_merge_is_rung_again(ledger: Ledger, job: str) -> None:
    claim(ledger, f"{job}.1")
    time.sleep(0.3)
    assert set(ledger.reap(100, {}).ring) == {(f"{job}.{n}", Kind.SHARD) for n in (1, 2, 3)}
    for n in (1, 2, 3):
        finish(ledger, job, n)
    claim(ledger, job)
    time.sleep(0.3)
    assert ledger.reap(100, {}).ring == [(job, Kind.ERF)]
    again = claim(ledger, job)
    assert (again.attempt, len(again.parts), again.lapses) == (3, 3, 1)


def test_parts_that_do_not_fit_make_it_run_in_one_piece(ledger: Ledger, job: str) -> None:
    for n in (1, 2, 3):
        finish(ledger, job, n)
    claim(ledger, job)
    assert ledger.rejoin(job, 2)
    whole = claim(ledger, job)
    assert (whole.attempt, whole.parts, whole.whole) == (3, (), True)
    assert ledger.claim(f"{job}.1", "w", HERE) is None


def test_a_shard_may_call_for_one_piece(ledger: Ledger, job: str) -> None:
    shard, other = claim(ledger, f"{job}.1"), claim(ledger, f"{job}.2")
    assert ledger.rejoin(shard.id, 1)
    assert record(ledger, job).status is Status.QUEUED
    assert ledger.beat(other.id, 1, "measure", 0.1) is Beat.LOST
    assert claim(ledger, job).whole


def test_another_kind_of_worker_leaves_shards_to_those_that_live(ledger: Ledger, job: str) -> None:
    advertise(ledger)
    advertise(ledger, ELSEWHERE)
    assert ledger.claim(f"{job}.1", "other", ELSEWHERE) is None
    assert (f"{job}.1", Kind.SHARD) in ledger.reap(100, {}).ring
    assert ledger.claim(f"{job}.1", "one", HERE) is not None


def test_without_its_kind_of_worker_it_runs_in_one_piece(ledger: Ledger, job: str) -> None:
    advertise(ledger, ELSEWHERE)
    assert ledger.claim(f"{job}.1", "other", ELSEWHERE) is None
    whole = ledger.claim(job, "other", ELSEWHERE)
    assert whole is not None
    assert whole.whole


def test_blobs_of_shards_are_kept_until_their_job_ends(ledger: Ledger, job: str) -> None:
    finish(ledger, job, 1)
    assert ledger.kept_blobs([sums(1)["sums"], sums(2)["sums"]]) == [True, False]
    ledger.cancel(job, TENANT)
    assert ledger.kept_blobs([sums(1)["sums"]]) == [False]


@pytest.fixture
def brief(settings: Settings) -> Iterator[Ledger]:
    with Ledger(settings.model_copy(update={"job_deadline": 0.3})) as face:
        yield face


def test_past_its_deadline_the_whole_job_expires(brief: Ledger) -> None:
    id = brief.submit(Submission(Kind.ERF, TENANT, "{}", "q")).record.id
    claim(brief, id)
    brief.split(id, 1, RANGES, HERE)
    running = claim(brief, f"{id}.1")
    time.sleep(0.35)
    assert brief.reap(100, {}).ring == []
    assert record(brief, id).status is Status.EXPIRED
    assert brief.beat(running.id, 1, "measure", 0.5) is Beat.LOST
    assert brief.pulse().open == 0


def test_shards_count_for_no_tenants_limit(ledger: Ledger, job: str) -> None:
    for _ in range(2):  # a limit of 6 for all and of 4 for each: the job and its shards take 4 and 1
        ledger.submit(Submission(Kind.ERF, TENANT, "{}", "q"))


def test_slots_are_those_of_one_kind_and_none_while_others_wait(ledger: Ledger) -> None:
    advertise(ledger, concurrency=2)
    advertise(ledger)
    advertise(ledger, ELSEWHERE, concurrency=4)
    assert (ledger.slots(HERE), ledger.slots(ELSEWHERE)) == (3, 4)
    ledger.submit(Submission(Kind.ERF, TENANT, "{}", "q"))
    assert ledger.slots(HERE) == 0


def test_nothing_of_shards_is_left(ledger: Ledger, settings: Settings, job: str) -> None:
    for n in (1, 2, 3):
        finish(ledger, job, n)
    claim(ledger, job)
    ledger.finish(job, 2, Answer("d", b"{}"), Timing())
    ledger.purge(job, TENANT)
    assert [key for key in ledger._client(0.0).keys(f"{settings.namespace}:*") if job.encode() in key] == []
