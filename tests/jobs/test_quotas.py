"""What a tenant stores: counted exactly, freed when it goes or expires, bounded; nothing new above the watermark."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from tests.jobs.test_ledger import INVALID, SHA, TIMING, A, B, refused, submit

from erfscope_contract.problem import ProblemError
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer, Upload, Usage
from erfscope_jobs.settings import Settings

NOTHING = Usage(0, 0, 0, 0, 0)


@pytest.fixture
def store(settings: Settings) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def with_limits(settings: Settings, **limits: Any) -> Ledger:
    return Ledger(settings.model_copy(update=limits))


def model(name: str, size: int, tenant: str = A, kind: str = "model") -> Upload:
    return Upload(tenant, kind, name * 64, size, "net.onnx")


def measured(ledger: Ledger, digest: str, **changes: Any) -> str:
    """A job that has ended with an answer of 10 + 5 + 100 bytes."""
    record = submit(ledger, **changes)
    ledger.claim(record.id, "w")
    assert ledger.finish(record.id, 1, Answer(digest, b"r" * 10, b"f" * 5, {"map": SHA}, 100), TIMING)
    return record.id


def test_usage_counts_what_is_stored_once(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.put_upload(model("a", 70))
    ledger.put_upload(model("b", 30))
    ledger.put_upload(model("c", 7, kind="file"))
    ledger.put_upload(model("a", 70, tenant=B))
    first = measured(ledger, "d")
    submit(ledger, candidates=("d",))  # the same answer again
    submit(ledger, question="other")
    assert ledger.usage(A) == Usage(models=100, images=7, results=115, jobs=3, open_jobs=1)
    assert ledger.usage(B) == Usage(70, 0, 0, 0, 0)
    assert first


def test_what_is_removed_no_longer_counts(ledger: Ledger, store: "redis.Redis") -> None:
    ledger.put_upload(model("a", 70))
    ledger.drop_upload(A, "model", "a" * 64)
    ledger.drop_upload(A, "model", "a" * 64)
    first, second = measured(ledger, "d"), submit(ledger, candidates=("d",)).id
    ledger.purge(first, A)
    assert ledger.usage(A) == Usage(0, 0, 115, 1, 0)
    ledger.purge(second, A)
    assert ledger.usage(A) == NOTHING
    space = ledger.settings.namespace
    assert [*store.scan_iter(f"{space}:held:*"), *store.scan_iter(f"{space}:sizes:*")] == []


def test_what_expires_no_longer_counts_and_what_is_used_lives_on(settings: Settings) -> None:
    with with_limits(settings, result_ttl=0.4, job_deadline=0.1) as ledger:
        ledger.put_upload(model("a", 70))
        ledger.put_upload(model("b", 30))
        measured(ledger, "d")
        for _ in range(4):
            time.sleep(0.15)
            ledger.find_upload(A, "model", "b" * 64)
        assert ledger.usage(A) == Usage(30, 0, 0, 0, 0)


def test_a_result_lives_as_long_as_somebody_looks(settings: Settings) -> None:
    with with_limits(settings, result_ttl=0.4, job_deadline=0.1) as ledger:
        id = measured(ledger, "d")
        for _ in range(4):
            time.sleep(0.15)
            assert ledger.get(id, A) is not None
        assert ledger.usage(A) == Usage(0, 0, 115, 1, 0)


QUOTAS: dict[str, tuple[dict[str, int], Callable[[Ledger], object], Callable[[Ledger], object]]] = {
    "models": (
        {"max_model_bytes_per_tenant": 100},
        lambda ledger: ledger.put_upload(model("a", 70)),
        lambda ledger: ledger.put_upload(model("b", 31)),
    ),
    "images": (
        {"max_file_bytes_per_tenant": 100},
        lambda ledger: ledger.put_upload(model("a", 70, kind="file")),
        lambda ledger: ledger.put_upload(model("b", 31, kind="file")),
    ),
    "announced bytes": (
        {"max_model_bytes_per_tenant": 100},
        lambda ledger: ledger.put_upload(model("a", 70)),
        lambda ledger: ledger.admit(A, "model", 31),
    ),
    "results": (
        {"max_result_bytes_per_tenant": 115},
        lambda ledger: measured(ledger, "d"),
        lambda ledger: submit(ledger, question="other"),
    ),
    "jobs": (
        {"max_jobs_per_tenant": 1},
        lambda ledger: measured(ledger, "d"),
        lambda ledger: submit(ledger, candidates=("d",)),  # also one that would be answered at once
    ),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_a_quota_refuses_what_is_beyond_it_for_that_tenant_alone(settings: Settings, name: str) -> None:
    limits, fill, beyond = QUOTAS[name]
    with with_limits(settings, **limits) as ledger:
        fill(ledger)
        before = ledger.usage(A)
        with pytest.raises(ProblemError, match="GET /usage") as caught:
            beyond(ledger)
        assert caught.value.kind == "quota-exceeded"
        assert caught.value.problem.context["limit"] == next(iter(limits.values()))
        assert ledger.usage(A) == before
        ledger.put_upload(model("b", 31, tenant=B))
        submit(ledger, B)


def test_what_is_stored_may_be_sent_again_at_the_limit(settings: Settings) -> None:
    with with_limits(settings, max_model_bytes_per_tenant=100) as ledger:
        ledger.put_upload(model("a", 100))
        assert ledger.put_upload(model("a", 100)) is not None
        assert ledger.usage(A).models == 100


@pytest.fixture
def full(ledger: Ledger, store: "redis.Redis") -> Iterator[Ledger]:
    """The store is above the watermark, with room for what must be written."""
    measured(ledger, "d")
    ledger.put_upload(model("a", 1))
    submit(ledger, question="running")
    store.config_set("maxmemory", int(store.info("memory")["used_memory"] / 0.8))
    yield ledger
    store.config_set("maxmemory", 0)


def test_above_the_watermark_nothing_new_is_written(full: Ledger, store: "redis.Redis") -> None:
    def everything() -> set[bytes]:
        return set(store.scan_iter(f"{full.settings.namespace}:*"))

    before, counted = everything(), full.usage(A)
    assert refused(lambda: submit(full, question="new")) == "unavailable"
    assert refused(lambda: submit(full, candidates=("d",))) == "unavailable"  # its record would take room
    assert refused(lambda: full.put_upload(model("b", 1))) == "unavailable"
    assert refused(lambda: full.admit(A, "model")) == "unavailable"
    assert everything() == before
    assert full.usage(A) == counted


def test_above_the_watermark_what_runs_ends_and_what_is_stored_is_found(full: Ledger) -> None:
    id = full.list(A).records[0].id
    claimed = full.claim(id, "w")
    assert claimed is not None
    assert full.fail(id, 1, INVALID, TIMING)
    assert full.put_upload(model("a", 1)) is not None
    assert full.get(id, A) is not None


def test_cancel_says_what_it_did_itself(ledger: Ledger) -> None:
    id = submit(ledger).id
    told = [record.canceled_now for _ in range(2) if (record := ledger.cancel(id, A))]
    assert told == [True, False]
