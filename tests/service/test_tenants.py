"""Deletion of a tenant: nothing of it is left in the store, others have all of theirs, and its name starts empty."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis
from tests.service.conftest import Worker, a_spec, assert_problem, running_service, submit

from erfscope_jobs import keys, tenants
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.keys import ApiKey
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.settings import Settings
from erfscope_service.settings import ServiceSettings

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 64


@pytest.fixture
def locked(settings: ServiceSettings, tmp_path: Path, request: pytest.FixtureRequest) -> ServiceSettings:
    """Keys on; a namespace for each test, which no pattern may take for one."""
    space = f"tenants[x]*-{request.node.name.replace('_', '-')}"
    return settings.model_copy(update={"keys": "on", "namespace": space, "data_dir": tmp_path})


@pytest.fixture
def ledger(locked: ServiceSettings) -> Iterator[Ledger]:
    with Ledger(locked) as ledger:
        yield ledger


def names_with(settings: Settings, tenant: str) -> set[str]:
    """Names and contents of the store that have this tenant in them, counters of its calls excepted."""
    space = settings.namespace
    with redis.Redis.from_url(settings.redis_url) as store:
        names = {name.decode() for name in store.scan_iter(count=1000) if name.decode().startswith(f"{space}:")}
        jobs = {
            name for name in names if name.startswith(f"{space}:job:") and store.hget(name, "tenant") == tenant.encode()
        }
    return {name for name in names if tenant in name and ":rate" not in name} | jobs


def key_for(ledger: Ledger, tenant: str) -> tuple[ApiKey, dict[str, str]]:
    key, text = keys.issue(tenant)
    ledger.run(keys.add(ledger.settings.namespace, key))
    return key, {"Authorization": f"Bearer {text}"}


def fill(client: httpx2.Client, worker: Worker) -> None:
    """Something of every sort: a result, a known answer, jobs that wait and run, a series, files."""
    worker.advertise()
    first = submit(client, "shared question", **{"Idempotency-Key": "again"})
    worker.measure(worker.claim(first["id"]))
    assert submit(client, "shared question")["cached"] is True
    assert worker.claim(submit(client, "runs")["id"])
    sweep = {"sweep": {**a_spec()["model"], "parameters": ["/layers/0/out_channels"], "values": [1, 2]}}
    assert client.post("/series", json=sweep).status_code == 202
    assert client.post("/advice", json={**a_spec(), "want": 9}).status_code == 202
    assert client.post("/models", content=b"a model").status_code in (200, 201, 202)
    assert client.post("/files", content=PNG).status_code in (200, 201)


def test_a_deleted_tenant_leaves_nothing_and_others_all(locked: ServiceSettings, ledger: Ledger) -> None:
    worker = Worker(ledger, BlobStore(locked.blobs))
    with running_service(locked) as url:
        (_, alices), (_, bobs) = key_for(ledger, "alice"), key_for(ledger, "bob")
        with (
            httpx2.Client(base_url=url, headers=alices, timeout=30) as alice,
            httpx2.Client(base_url=url, headers=bobs, timeout=30) as bob,
        ):
            fill(bob, worker)
            fill(alice, worker)
            before = names_with(locked, "bob")
            listed = {one.name: one for one in tenants.every(ledger)}
            assert set(listed) == {"alice", "bob"}
            assert (len(listed["alice"].keys), listed["alice"].usage) == (1, listed["bob"].usage)
            revoked: list[ApiKey] = []
            gone = tenants.delete(ledger, listed["alice"], revoked.append)
            assert dict(gone) == {
                "keys": 1,
                "jobs of /erf": 5,
                "jobs of /advice": 1,
                "jobs of /inspect": 1,
                "models": 1,
                "image files": 1,
                "series": 1,
            }
            assert revoked == list(listed["alice"].keys)
            assert names_with(locked, "alice") == set()
            assert_problem(alice.get("/jobs"), 401, "unauthorized")
            assert names_with(locked, "bob") == before
            assert len(bob.get("/jobs").json()["jobs"]) == 7
        again, header = key_for(ledger, "alice")
        with httpx2.Client(base_url=url, headers=header, timeout=30) as alice:
            assert alice.get("/jobs").json()["jobs"] == []
            assert alice.get("/usage").json()["jobs"]["used"] == 0
            assert submit(alice, "shared question")["cached"] is False, "no answer of before is left"
        assert [key.id for one in tenants.every(ledger) if one.name == "alice" for key in one.keys] == [again.id]


def test_a_tenant_without_keys_is_found_by_what_it_stores(locked: ServiceSettings, ledger: Ledger) -> None:
    key, header = key_for(ledger, "carol")
    with running_service(locked) as url, httpx2.Client(base_url=url, headers=header, timeout=30) as client:
        submit(client, "kept")
    ledger.run(keys.revoke(locked.namespace, key.id))
    (carol,) = (one for one in tenants.every(ledger) if one.name == "carol")
    assert (carol.keys, carol.usage.jobs) == ((), 1)
    assert dict(tenants.delete(ledger, carol, print)) == {"jobs of /erf": 1}
    assert names_with(locked, "carol") == set()
    assert tenants.look(ledger, "carol") is None


def test_an_answer_whose_job_has_expired_goes_too(locked: ServiceSettings, ledger: Ledger) -> None:
    worker = Worker(ledger, BlobStore(locked.blobs))
    _, header = key_for(ledger, "dora")
    with running_service(locked) as url, httpx2.Client(base_url=url, headers=header, timeout=30) as client:
        job = submit(client, "expires")["id"]
        worker.measure(worker.claim(job))
    with redis.Redis.from_url(locked.redis_url) as store:
        store.pexpire(f"{locked.namespace}:job:{job}", 1)
        time.sleep(0.01)
        answers = [
            name for name in store.scan_iter("*:answer:*", count=1000) if name.startswith(locked.namespace.encode())
        ]
        assert len(answers) == 1
        store.zadd(f"{locked.namespace}:held:dora:job", {job: 1})
        tenants.delete(ledger, next(one for one in tenants.every(ledger) if one.name == "dora"), print)
        assert not store.exists(*answers)
    assert names_with(locked, "dora") == set()
