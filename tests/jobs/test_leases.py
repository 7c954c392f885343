"""Who holds a job: leases that lapse, late writers, attempts under their caps, deadlines."""

import json
import time
from collections.abc import Callable

import pytest
import redis
from tests.jobs.test_ledger import INVALID, TIMING, A, answer, submit

from erfscope_contract.job import Status
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.log import JsonLine
from erfscope_jobs.queue import Doorbell, queue_of
from erfscope_jobs.reaper import reap_once
from erfscope_jobs.records import Beat, Failure, Kind, Lost
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import WorkerInfo

LATE_WRITES: dict[str, Callable[[Ledger, str], object]] = {
    "beat": lambda ledger, id: ledger.beat(id, 1, "measure", 0.9),
    "finish": lambda ledger, id: ledger.finish(id, 1, answer("late"), TIMING),
    "fail": lambda ledger, id: ledger.fail(id, 1, INVALID, TIMING),
    "crash": lambda ledger, id: ledger.retry(id, 1, Failure.CRASH),
    "handback": lambda ledger, id: ledger.retry(id, 1, Failure.HANDBACK),
    "outage": lambda ledger, id: ledger.retry(id, 1, Failure.OUTAGE),
}
NOTHING = {
    "beat": Beat.LOST,
    "finish": False,
    "fail": False,
    "crash": "lost",
    "handback": "lost",
    "outage": "lost",
}


@pytest.mark.parametrize("write", LATE_WRITES)
def test_late_writer_changes_nothing(ledger: Ledger, write: str) -> None:
    id = submit(ledger).id
    ledger.claim(id, "w")
    ledger.retry(id, 1, Failure.HANDBACK)
    ledger.claim(id, "v")
    before = ledger.get(id, A)
    assert LATE_WRITES[write](ledger, id) == NOTHING[write]
    assert ledger.get(id, A) == before
    assert ledger.figure(A, "late") is None


def test_beat_keeps_the_lease_and_tells_progress_once(ledger: Ledger) -> None:
    id = submit(ledger).id
    ledger.claim(id, "w")
    for _ in range(3):
        assert ledger.beat(id, 1, "measure", 1 / 3) is Beat.HELD
        time.sleep(0.1)
    assert ledger.reap(10, {}).ring == []
    told = [event.data for event in ledger.events(id) if event.data["stage"] == "measure"]
    assert told == [{"status": "running", "stage": "measure", "progress": 0.3333, "attempt": 1}]


def test_lost_lease_is_queued_again_until_the_cap(settings: Settings) -> None:
    with Ledger(settings.model_copy(update={"max_lapses": 2, "lease_seconds": 0.01})) as ledger:
        id = submit(ledger).id
        for attempt in (1, 2):
            claimed = ledger.claim(id, "w")
            assert claimed is not None
            assert claimed.attempt == attempt
            time.sleep(0.03)
            assert ledger.reap(10, {}).ring == ([(id, Kind.ERF)] if attempt == 1 else [])
        record = ledger.get(id, A)
        assert record is not None
        assert record.problem is not None
        assert (record.status, record.problem.kind) == (Status.FAILED, "worker-crash")
        assert "fell silent" in record.problem.detail


def test_a_lost_lease_names_its_job_and_worker_in_the_log(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(JsonLine())
    brief = settings.model_copy(update={"lease_seconds": 0.01})
    with Ledger(brief) as ledger:
        id = submit(ledger).id
        ledger.claim(id, "host-12-ab")
        time.sleep(0.03)
        reap_once(ledger, Doorbell(brief))
    (line,) = (one for text in caplog.text.splitlines() if "was lost" in (one := json.loads(text))["message"])
    assert line["message"] == "the worker host-12-ab was lost; the job is now queued"
    assert (line["level"], line["job"], line["attempt"]) == ("WARNING", id, 1)


def test_crashes_have_their_own_cap(ledger: Ledger) -> None:
    id = submit(ledger).id
    statuses = []
    for attempt in (1, 2):
        ledger.claim(id, "w")
        statuses.append(ledger.retry(id, attempt, Failure.CRASH))
    assert statuses == ["queued", "failed"]
    record = ledger.get(id, A)
    assert record is not None
    assert record.problem is not None
    assert "died again and again" in record.problem.detail


def test_an_outage_of_the_file_store_counts_towards_no_cap(ledger: Ledger) -> None:
    id = submit(ledger).id
    for attempt in range(1, ledger.settings.max_lapses + 2):
        ledger.claim(id, "w")
        assert ledger.retry(id, attempt, Failure.OUTAGE) == "queued"
    record = ledger.get(id, A)
    assert record is not None
    assert (record.lapses, record.crashes, record.outages) == (0, 0, ledger.settings.max_lapses + 1)
    ledger.claim(id, "w")
    assert ledger.finish(id, record.attempt + 1, answer("late"), TIMING)


@pytest.mark.parametrize(("failure", "why"), [(Failure.OUTAGE, "file store"), (Failure.HANDBACK, "submit it again")])
def test_the_deadline_of_a_job_names_the_file_store_that_failed(settings: Settings, failure: Failure, why: str) -> None:
    with Ledger(settings.model_copy(update={"job_deadline": 0.2})) as ledger:
        id = submit(ledger).id
        ledger.claim(id, "w")
        ledger.retry(id, 1, failure)
        time.sleep(0.3)
        ledger.reap(10, {})
        record = ledger.get(id, A)
    assert record is not None
    assert record.problem is not None
    assert (record.status, record.problem.kind) == (Status.EXPIRED, "deadline")
    assert why in record.problem.detail


def test_overdue_queued_job_is_rung_again_but_not_while_its_message_waits(settings: Settings, ledger: Ledger) -> None:
    id = submit(ledger).id
    time.sleep(0.25)
    doorbell = Doorbell(settings)
    assert doorbell.ring(id, Kind.ERF)
    assert ledger.reap(10, doorbell.missing(ledger.waiting())).ring == []
    with redis.Redis.from_url(settings.redis_url) as client:
        client.delete(queue_of(settings, Kind.ERF))
    time.sleep(0.25)
    assert ledger.reap(10, doorbell.missing(ledger.waiting())).ring == [(id, Kind.ERF)]
    assert ledger.reap(10, doorbell.missing(ledger.waiting())).ring == []
    doorbell.close()


@pytest.mark.parametrize("running", [False, True])
def test_past_the_deadline_a_job_expires(settings: Settings, running: bool) -> None:
    with Ledger(settings.model_copy(update={"job_deadline": 0.05})) as ledger:
        id = submit(ledger).id
        if running:
            ledger.claim(id, "w")
        time.sleep(0.1)
        if running:
            assert ledger.beat(id, 1, "load", 0.1) is Beat.EXPIRED
        assert ledger.claim(id, "w") is None
        assert ledger.reap(10, {}).ring == []
        record = ledger.get(id, A)
        assert record is not None
        assert record.problem is not None
        assert (record.status, record.problem.kind) == (Status.EXPIRED, "deadline")
        assert ledger.pulse().open == 0


def test_what_a_dead_worker_holds_is_released_at_once(ledger: Ledger) -> None:
    """The lease is 15 s; nothing waits for it."""
    own, other, waiting = (submit(ledger).id for _ in range(3))
    ledger.claim(own, "host-12-ab")
    ledger.claim(other, "host-123-ab")
    assert ledger.reap(10, {}).ring == []
    assert ledger.release("host-12-") == (own,)
    overdue = ledger.reap(10, {})
    assert [id for id, _ in overdue.ring] == [own]
    assert overdue.lost == [Lost(own, "host-12-ab", 1, Status.QUEUED)]
    assert {id: ledger.get(id, A).status for id in (own, other, waiting)} == {
        own: Status.QUEUED,
        other: Status.RUNNING,
        waiting: Status.QUEUED,
    }
    assert ledger.beat(own, 1, "measure", 0.5) is Beat.LOST
    assert ledger.beat(other, 1, "measure", 0.5) is Beat.HELD
    assert ledger.release("host-12-") == ()


def test_a_released_worker_leaves_the_registry(ledger: Ledger) -> None:
    for name in ("host-12-ab", "host-123-ab"):
        ledger.advertise(WorkerInfo(name, "host", 1, 1, 0, Fingerprint("2.0", "cpu", 2)))
    ledger.release("host-12-")
    assert [one.name for one in ledger.workers()] == ["host-123-ab"]
