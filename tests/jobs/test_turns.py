"""Whose job is next, what is noticed first, how many messages lie in Celery's list: whatever the load."""

import time
from collections.abc import Iterator

import pytest
import redis
from tests.jobs.test_ledger import submit
from tests.jobs.test_shards import advertise

from erfscope_jobs import reaper
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell, queue_of
from erfscope_jobs.reaper import reap_once
from erfscope_jobs.records import Failure, Kind
from erfscope_jobs.settings import Settings

MANY = 600


@pytest.fixture
def roomy(settings: Settings) -> Iterator[Ledger]:
    """A ledger that takes many jobs of one tenant."""
    with Ledger(settings.model_copy(update={"max_open_jobs": 10_000, "max_open_jobs_per_tenant": 10_000})) as ledger:
        yield ledger


@pytest.fixture
def store(settings: Settings) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def served(ledger: Ledger, count: int) -> list[str]:
    """The next jobs, each claimed."""
    ids = []
    for _ in range(count):
        id = ledger.next(Kind.ERF)
        assert id is not None
        assert ledger.claim(id, "w") is not None
        ids.append(id)
    return ids


def test_tenants_take_turns(roomy: Ledger) -> None:
    flood = [submit(roomy, "flood", question=str(n)).id for n in range(5)]
    other = [submit(roomy, "other").id, submit(roomy, "other", question="r").id]
    third = submit(roomy, "third").id
    order = served(roomy, 8)
    assert set(order[:3]) == {flood[0], other[0], third}
    assert set(order[3:5]) == {flood[1], other[1]}
    assert order[5:] == flood[2:]
    assert roomy.next(Kind.ERF) is None


def test_a_newcomer_waits_for_one_job_of_each_other_tenant_at_most(roomy: Ledger) -> None:
    for tenant in ("a", "b"):
        for n in range(4):
            submit(roomy, tenant, question=f"{tenant}{n}")
    served(roomy, 5)
    new = submit(roomy, "new").id
    assert new in served(roomy, 3)


def test_a_tenant_that_asks_one_by_one_does_not_overtake(roomy: Ledger) -> None:
    waiting = submit(roomy, "waiting").id
    first = submit(roomy, "eager").id
    assert set(served(roomy, 2)) == {waiting, first}
    later = [submit(roomy, "waiting", question="q2").id, submit(roomy, "eager", question="q2").id]
    again = submit(roomy, "eager", question="q3").id
    assert set(served(roomy, 2)) == set(later)
    assert served(roomy, 1) == [again]


def test_an_interrupted_job_goes_to_the_front_of_its_tenants_line(roomy: Ledger) -> None:
    first, second, third = (submit(roomy, question=str(n)).id for n in range(3))
    assert served(roomy, 2) == [first, second]
    roomy.retry(second, 1, Failure.HANDBACK)
    assert served(roomy, 2) == [second, third]


def test_kinds_have_lines_of_their_own_and_what_is_skipped_stays(roomy: Ledger) -> None:
    erf, inspection = submit(roomy).id, submit(roomy, kind=Kind.INSPECT, question="r").id
    assert roomy.next(Kind.INSPECT) == inspection
    assert roomy.next(Kind.ERF, skip=[erf]) is None
    assert roomy.next(Kind.ERF) == erf
    assert roomy.next(Kind.ADVICE) is None


def test_canceled_jobs_leave_their_line(roomy: Ledger) -> None:
    first, second = submit(roomy).id, submit(roomy, question="r").id
    roomy.cancel(first, "alice")
    assert served(roomy, 1) == [second]


def test_a_shard_waits_for_a_worker_of_its_kind_and_counts_as_its_tenants(roomy: Ledger) -> None:
    here, elsewhere = Fingerprint("2", "cpu", 1), Fingerprint("3", "cpu", 1)
    id = submit(roomy).id
    roomy.claim(id, "w", here)
    shards = roomy.split(id, 1, [(0, 8), (8, 16)], here)
    advertise(roomy, here)
    assert roomy.next(Kind.SHARD, elsewhere) is None
    assert roomy.next(Kind.SHARD, here) == shards[0]


def test_a_lost_lease_is_noticed_in_the_first_pass_whatever_waits(roomy: Ledger) -> None:
    """Queued jobs that were overdue before it once stood in its way: 101 s with 50,000 of them."""
    overdue = [submit(roomy, "flood", question=str(n)).id for n in range(MANY)]
    running = submit(roomy, "other").id
    roomy.claim(running, "w")
    time.sleep(roomy.settings.lease_seconds + 0.1)
    found = roomy.reap(50, {})
    assert found.ring[0] == (running, Kind.ERF)
    assert found.full
    assert {id for id, _ in found.ring[1:]} < set(overdue)
    assert roomy.claim(running, "v") is not None


def test_passes_are_repeated_until_nothing_is_overdue(
    roomy: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "MOST", 7)
    patient = Ledger(roomy.settings.model_copy(update={"lease_seconds": 60.0}))
    ids = {submit(roomy, question=str(n)).id for n in range(30)}
    time.sleep(roomy.settings.lease_seconds + 0.1)
    doorbell = Doorbell(settings)
    assert reap_once(patient, doorbell) == len(ids)
    assert reap_once(patient, doorbell) == 0
    doorbell.close()
    patient.close()


def test_stale_messages_hide_no_lost_ones(roomy: Ledger, settings: Settings, store: "redis.Redis") -> None:
    """A message serves any job of its kind, so those of canceled jobs are as good as those that were lost."""
    doorbell, queue = Doorbell(settings), queue_of(settings, Kind.ERF)
    for n in range(40):
        id = submit(roomy, question=f"c{n}").id
        doorbell.ring(id, Kind.ERF)
        roomy.cancel(id, "alice")
    lost = {submit(roomy, question=str(n)).id for n in range(10)}
    time.sleep(roomy.settings.lease_seconds + 0.1)
    reap_once(roomy, doorbell)
    assert store.llen(queue) == len(lost)
    heard = []
    while store.rpop(queue):
        heard += served(roomy, 1)
    assert set(heard) == lost
    doorbell.close()


@pytest.mark.parametrize("waiting", [0, 3])
def test_the_list_holds_no_more_messages_than_jobs_wait(
    roomy: Ledger, settings: Settings, store: "redis.Redis", waiting: int
) -> None:
    queue = queue_of(settings, Kind.ERF)
    for n in range(waiting):
        submit(roomy, question=str(n))
    store.lpush(queue, *(f"message {n}" for n in range(500)))
    doorbell = Doorbell(settings)
    assert roomy.reap(10, doorbell.missing(roomy.waiting())).ring == []
    assert store.llen(queue) == waiting
    doorbell.close()


def test_nothing_is_left_of_jobs_that_have_ended(roomy: Ledger, store: "redis.Redis") -> None:
    for n in range(3):
        roomy.cancel(submit(roomy, question=str(n)).id, "alice")
    claimed = submit(roomy, "bob").id
    roomy.claim(claimed, "w")
    roomy.cancel(claimed, "bob")
    space = roomy.settings.namespace
    names = {key.decode().removeprefix(f"{space}:").partition(":")[0] for key in store.scan_iter(f"{space}:*")}
    assert not names & {"open", "queued", "leases", "waiting", "line", "turns", "active"}
