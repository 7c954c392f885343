"""Each operation of the ledger against a real server."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import ProblemError
from erfscope_jobs import series
from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import (
    Answer,
    Beat,
    Idempotency,
    Kind,
    Purge,
    Record,
    Submission,
    Upload,
)
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import WorkerInfo

A, B = "alice", "bob"
SHA = "ab" * 32
TIMING = Timing(seconds=1.5, stages={"load": 0.5}, worker="w")
INVALID = ProblemError("invalid-target", "No such layer.").problem


def job(tenant: str = A, **more: Any) -> Submission:
    return Submission(**({"kind": Kind.ERF, "tenant": tenant, "payload": '{"x":1}', "question": "q"} | more))


def submit(ledger: Ledger, tenant: str = A, **more: Any) -> Record:
    return ledger.submit(job(tenant, **more)).record


def answer(digest: str, text: bytes = b'{"size": 1}') -> Answer:
    return Answer(digest, text, b"png", {"map": SHA})


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.kind


def test_submitted_job_is_queued_and_found_by_its_tenant_alone(ledger: Ledger) -> None:
    record = submit(ledger)
    assert (record.status, record.attempt, record.payload) == (Status.QUEUED, 0, '{"x":1}')
    assert ledger.get(record.id, A) == record
    assert ledger.get(record.id, B) is None
    assert ledger.cancel(record.id, B) is None
    assert ledger.purge(record.id, B) is Purge.MISSING
    assert ledger.get("nothing", A) is None


def test_same_id_gives_the_same_job(ledger: Ledger) -> None:
    once = job()
    assert ledger.submit(once).created
    again = ledger.submit(once)
    assert (again.created, again.record.id) == (False, once.id)
    assert ledger.pulse().open == 1


def test_idempotency_key_is_a_tenants_own_and_bound_to_the_body(ledger: Ledger) -> None:
    first = submit(ledger, idempotency=Idempotency("key", "body"))
    assert submit(ledger, idempotency=Idempotency("key", "body")).id == first.id
    assert submit(ledger, B, idempotency=Idempotency("key", "other")).id != first.id
    assert refused(lambda: submit(ledger, idempotency=Idempotency("key", "other"))) == "idempotency-mismatch"


def test_purged_job_frees_its_idempotency_key(ledger: Ledger) -> None:
    first = submit(ledger, idempotency=Idempotency("key", "body"))
    ledger.cancel(first.id, A)
    assert ledger.purge(first.id, A) is Purge.PURGED
    assert submit(ledger, idempotency=Idempotency("key", "other")).id != first.id


def test_claim_only_from_queued(ledger: Ledger) -> None:
    id = submit(ledger).id
    claimed = ledger.claim(id, "w")
    assert claimed is not None
    assert (claimed.status, claimed.attempt) == (Status.RUNNING, 1)
    assert claimed.started_at is not None
    assert ledger.claim(id, "v") is None
    assert ledger.claim("nothing", "w") is None


def test_finished_job_has_result_and_lasting_bytes(ledger: Ledger) -> None:
    id = submit(ledger).id
    ledger.claim(id, "w")
    assert ledger.finish(id, 1, answer("d"), TIMING)
    record = ledger.get(id, A)
    assert record is not None
    assert (record.status, record.progress, record.result) == (Status.SUCCEEDED, 1.0, b'{"size": 1}')
    assert (record.answer, record.arrays, record.timing) == ("d", {"map": SHA}, TIMING)
    assert ledger.figure(A, "d") == b"png"
    assert ledger.figure(A, "other") is None
    assert ledger.kept_blobs([SHA, "00" * 32]) == [True, False]


def test_first_answer_to_a_question_is_the_one_that_is_kept(ledger: Ledger) -> None:
    first, second = submit(ledger).id, submit(ledger).id
    for id, text in ((first, b'"first"'), (second, b'"second"')):
        ledger.claim(id, "w")
        assert ledger.finish(id, 1, answer("d", text), TIMING)
    records = [ledger.get(id, A) for id in (first, second)]
    assert [record.result for record in records if record] == [b'"first"', b'"first"']
    assert len({record.result_sha256 for record in records if record}) == 1


def test_known_answer_makes_a_job_that_has_succeeded(ledger: Ledger) -> None:
    id = submit(ledger).id
    ledger.claim(id, "w")
    ledger.finish(id, 1, answer("d"), TIMING)
    cached = submit(ledger, candidates=("unknown", "d"))
    assert (cached.status, cached.cached, cached.result) == (Status.SUCCEEDED, True, b'{"size": 1}')
    assert ledger.events(cached.id) == []  # nobody has to be told, and a stream takes 4 kB
    assert ledger.pulse().open == 0


def test_claimed_job_recalls_an_answer_that_came_meanwhile(ledger: Ledger) -> None:
    first, second = submit(ledger).id, submit(ledger).id
    for id in (first, second):
        ledger.claim(id, "w")
    assert not ledger.recall(second, 1, "d")
    ledger.finish(first, 1, answer("d"), TIMING)
    assert not ledger.recall(second, 2, "d")
    assert ledger.recall(second, 1, "d")
    record = ledger.get(second, A)
    assert record is not None
    assert (record.status, record.cached, record.result) == (Status.SUCCEEDED, True, b'{"size": 1}')


def test_answer_goes_with_the_last_job_that_has_it(ledger: Ledger) -> None:
    first = submit(ledger).id
    ledger.claim(first, "w")
    ledger.finish(first, 1, answer("d"), TIMING)
    second = submit(ledger, candidates=("d",)).id
    ledger.purge(first, A)
    kept = ledger.get(second, A)
    assert kept is not None
    assert kept.result is not None
    ledger.purge(second, A)
    assert ledger.figure(A, "d") is None
    assert submit(ledger, candidates=("d",)).status is Status.QUEUED


def test_cancel_ends_open_jobs_and_leaves_ended_ones(ledger: Ledger) -> None:
    queued, running, failed = (submit(ledger).id for _ in range(3))
    for id in (running, failed):
        ledger.claim(id, "w")
    ledger.fail(failed, 1, INVALID, TIMING)
    statuses = [record.status for id in (queued, running, failed) if (record := ledger.cancel(id, A))]
    assert statuses == [Status.CANCELED, Status.CANCELED, Status.FAILED]
    assert ledger.beat(running, 1, "load", 0.5) is Beat.CANCELED
    assert ledger.claim(queued, "w") is None


def test_purge_takes_ended_jobs_only(ledger: Ledger) -> None:
    id = submit(ledger).id
    assert ledger.purge(id, A) is Purge.OPEN
    ledger.cancel(id, A)
    assert [ledger.purge(id, A) for _ in range(2)] == [Purge.PURGED, Purge.MISSING]
    assert ledger.get(id, A) is None
    assert ledger.list(A).records == []


def test_limits_of_tenant_and_of_all(ledger: Ledger) -> None:
    for _ in range(4):
        submit(ledger)
    with pytest.raises(ProblemError, match="You have 4 unfinished jobs; at most 4 are taken") as full:
        submit(ledger)
    assert (full.value.kind, full.value.problem.context["limit"]) == ("too-many-requests", 4)
    for _ in range(2):
        submit(ledger, B)
    assert refused(lambda: submit(ledger, "carol")) == "unavailable"
    first = ledger.list(B).records[0]
    ledger.cancel(first.id, B)
    submit(ledger, "carol")


def test_full_memory_refuses_new_work_but_not_reading(settings: Settings, ledger: Ledger) -> None:
    id = submit(ledger).id
    client = redis.Redis.from_url(settings.redis_url)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
    try:
        assert refused(lambda: submit(ledger)) == "unavailable"
        assert ledger.get(id, A) is not None
        assert ledger.pulse().memory_share > 0.7
    finally:
        client.config_set("maxmemory", 0)
        client.close()
    submit(ledger)


def test_pages_go_from_new_to_old_without_gap_or_double(settings: Settings) -> None:
    with Ledger(settings.model_copy(update={"max_open_jobs": 50, "max_open_jobs_per_tenant": 50})) as ledger:
        ids = [submit(ledger).id for _ in range(7)]
        submit(ledger, B)
        submit(ledger, kind=Kind.INSPECT)
        seen, token, pages = [], None, 0
        while pages == 0 or token:
            page = ledger.list(A, 3, token, Kind.ERF)
            seen += [record.id for record in page.records]
            token, pages = page.next_token, pages + 1
        assert (seen, pages) == (ids[::-1], 3)
        kinds = [record.kind for record in ledger.list(A, 50).records]
        assert kinds == [Kind.INSPECT, *[Kind.ERF] * 7], "without a kind all of them"
    assert refused(lambda: ledger.list(A, 3, "1; DROP")) == "invalid-request"


def test_snapshot_and_stream_fit_together(ledger: Ledger) -> None:
    id = submit(ledger).id
    snapshot = ledger.get(id, A)
    assert snapshot is not None
    ledger.claim(id, "w")
    ledger.cancel(id, A)
    news = ledger.events(id, snapshot.last_event)
    assert [event.data["status"] for event in news] == ["running", "canceled"]
    assert ledger.events(id, news[0].id) == news[1:]
    assert ledger.events(id, news[-1].id, wait=0.05) == []
    assert refused(lambda: ledger.events(id, "not an id")) == "invalid-request"


def test_uploads_belong_to_a_tenant(ledger: Ledger) -> None:
    upload = Upload(A, "model", SHA, 12, "net.onnx")
    stored = ledger.put_upload(upload)
    assert stored is not None
    assert (stored.name, stored.size, stored.job) == ("net.onnx", 12, None)
    assert ledger.find_upload(A, "model", SHA) == stored
    assert ledger.find_upload(B, "model", SHA) is None
    assert ledger.find_upload(A, "file", SHA) is None
    again = ledger.put_upload(Upload(A, "model", SHA, 12, "other.onnx"))
    assert again is not None
    assert again.name == "net.onnx"
    assert [ledger.drop_upload(A, "model", SHA) for _ in range(2)] == [True, False]


def test_a_model_has_one_inspection_until_it_is_looked_at_again(ledger: Ledger) -> None:
    def known() -> Upload:
        found = ledger.find_upload(A, "model", SHA)
        assert found is not None
        return found

    ledger.put_upload(Upload(A, "model", SHA, 12, "net.onnx"))
    new = known()
    first = submit(ledger, kind=Kind.INSPECT, inspects=new)
    assert submit(ledger, kind=Kind.INSPECT, inspects=new).id == first.id == known().job
    assert ledger.put_upload(new) == known(), "what is known of a model that is sent again stays known"
    second = submit(ledger, kind=Kind.INSPECT, inspects=known())
    assert second.id != first.id
    assert submit(ledger, kind=Kind.INSPECT, inspects=new).id == second.id == known().job, "a late caller"


def test_a_deleted_model_stays_deleted_whoever_inspects_it(ledger: Ledger) -> None:
    model = Upload(A, "model", SHA, 12, "net.onnx")
    ledger.put_upload(model)
    running = submit(ledger, kind=Kind.INSPECT, inspects=model, blobs=(SHA,))
    ledger.claim(running.id, "w")
    seen = ledger.find_upload(A, "model", SHA)
    assert ledger.drop_upload(A, "model", SHA)
    assert refused(lambda: submit(ledger, kind=Kind.INSPECT, inspects=seen)) == "not-found"
    assert ledger.beat(running.id, 1, "inspect", 0.5) is Beat.HELD
    assert ledger.finish(running.id, 1, answer("d"), TIMING)
    assert ledger.find_upload(A, "model", SHA) is None
    assert ledger.usage(A).models == 0
    again = ledger.put_upload(model)
    assert again is not None
    assert again.job is None, "a model that is sent again is a new one"


def test_a_job_is_withdrawn_by_the_last_who_holds_it(ledger: Ledger) -> None:
    again = Idempotency("k", "b")
    first = submit(ledger, idempotency=again, holder="one")
    assert submit(ledger, idempotency=again, holder="two").id == first.id
    assert not ledger.withdraw(first.id, A, "one")
    assert not ledger.withdraw(first.id, A, "one"), "taken back once, however often it is asked"
    assert not ledger.withdraw(first.id, B, "two")
    assert ledger.get(first.id, A) is not None
    assert ledger.withdraw(first.id, A, "two")
    assert (ledger.get(first.id, A), ledger.pulse().open, ledger.usage(A).jobs) == (None, 0, 0)
    assert submit(ledger, idempotency=again).id != first.id


def test_a_model_of_several_files_lives_on_as_a_whole(settings: Settings, ledger: Ledger) -> None:
    data = {"a.bin": "aa" * 32, "below/é.bin": "bb" * 32}
    upload = Upload(A, "model", SHA, 12, "net.onnx", onnx="cc" * 32, data=data)
    stored = ledger.put_upload(upload)
    assert stored is not None
    assert (stored.onnx, stored.data, stored.blobs) == ("cc" * 32, data, ("cc" * 32, "aa" * 32, "bb" * 32))
    again = ledger.put_upload(stored)
    assert again == ledger.find_upload(A, "model", SHA) == stored
    blobs = list(stored.blobs)
    assert ledger.kept_blobs(blobs) == [True] * 3
    client, space = ledger._client(0.0), settings.namespace
    client.zadd(f"{space}:blobs", dict.fromkeys(blobs, 1))
    client.pexpire(f"{space}:upload:{A}:model:{SHA}", 60_000)
    assert ledger.find_upload(A, "model", SHA) == again
    assert ledger.kept_blobs(blobs) == [True] * 3


def test_workers_live_as_long_as_they_say_so(ledger: Ledger) -> None:
    fingerprint = Fingerprint("2.0", "cpu", 2)
    info = WorkerInfo("w", "host", 1, 2, 0, fingerprint)
    ledger.advertise(info)
    assert (ledger.workers(), ledger.pulse().workers) == ([info], 1)
    ledger.retire("w")
    assert ledger.workers() == []
    ledger.advertise(info)
    time.sleep(0.25)
    assert (ledger.workers(), ledger.pulse().workers) == ([], 0)
    assert ledger.fingerprints() == [fingerprint]


def test_every_key_has_a_ttl_that_covers_what_needs_it(settings: Settings, ledger: Ledger) -> None:
    id = submit(ledger, blobs=(SHA,), idempotency=Idempotency("k", "b")).id
    ledger.put_upload(Upload(A, "model", SHA, 12, "net.onnx"))
    ledger.claim(id, "w")
    ledger.finish(id, 1, answer("d"), TIMING)
    submit(ledger)
    ledger.advertise(WorkerInfo("w", "host", 1, 2, 0, Fingerprint("2.0", "cpu", 2)))
    client = redis.Redis.from_url(settings.redis_url)
    space = settings.namespace
    ttl: dict[str, Any] = {bytes(key).decode(): client.pttl(key) for key in client.scan_iter(f"{space}:*")}
    client.close()
    assert len(ttl) >= 12
    assert min(ttl.values()) > 0
    assert ttl[f"{space}:job:{id}"] >= ttl[f"{space}:answer:d"] - 1000  # they were read one after the other
    assert ttl[f"{space}:answer:d"] > settings.result_ttl * 1000 - 5000


def test_outage_is_one_problem_and_quick(settings: Settings) -> None:
    with Ledger(settings.model_copy(update={"redis_url": "unix:///nowhere/s?db=0"})) as ledger:
        assert refused(lambda: submit(ledger)) == "unavailable"
        assert refused(ledger.ping) == "unavailable"


def test_asynchronous_face_does_the_same(settings: Settings) -> None:
    async def story() -> list[Any]:
        async with AsyncLedger(settings) as ledger:
            assert await ledger.ping()
            record = (await ledger.submit(job())).record
            waiting = asyncio.create_task(ledger.events(record.id, record.last_event, wait=5))
            await asyncio.sleep(0.05)
            canceled = await ledger.cancel(record.id, A)
            events = await waiting
            assert canceled == await ledger.get(record.id, A)
            assert (await ledger.list(A)).records[0].id == record.id
            return [event.data["status"] for event in events]

    assert asyncio.run(story()) == ["canceled"]


def test_what_is_looked_at_lives_on(settings: Settings, ledger: Ledger) -> None:
    id = submit(ledger, blobs=("cd" * 32,), idempotency=Idempotency("k", "body")).id
    ledger.put_upload(Upload(A, "model", "cd" * 32, 1, "net.onnx"))
    ledger.claim(id, "w")
    ledger.finish(id, 1, answer("d"), TIMING)
    ledger.run(series.remember(settings, A, "s", "{}"))
    space, client = settings.namespace, ledger._client(0.0)
    names = [f"{space}:{name}" for name in (f"job:{id}", f"events:{id}", "answer:d", f"series:{A}:s")]
    names += [f"{space}:upload:{A}:model:{'cd' * 32}", *map(bytes.decode, client.keys(f"{space}:key:*"))]
    assert [client.pexpire(name, 60_000) for name in names] == [1] * 6
    client.zadd(f"{space}:blobs", {"cd" * 32: 1, SHA: 1})
    assert (ledger.get(id, B), ledger.run(series.recall(settings, B, "s"))) == (None, None)
    assert max(client.pttl(name) for name in names) <= 60_000
    assert ledger.get(id, A)
    assert ledger.find_upload(A, "model", "cd" * 32)
    assert ledger.run(series.recall(settings, A, "s")) == "{}"
    assert min(client.pttl(name) for name in names) > 990 * settings.result_ttl
    assert ledger.kept_blobs(["cd" * 32, SHA]) == [True, True]


def test_looking_again_costs_no_write(settings: Settings, ledger: Ledger) -> None:
    id = submit(ledger).id
    ledger.cancel(id, A)

    def changes() -> int:
        return int(ledger._client(0.0).info("persistence")["rdb_changes_since_last_save"])

    before = changes()
    assert ledger.get(id, A)
    assert changes() == before
