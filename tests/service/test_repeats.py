"""What is asked twice is done once, what failed can be repeated, and what is refused leaves nothing running."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import redis
from tests.service.conftest import TENANT, Worker, assert_problem, running_service, sha256
from tests.service.test_models import INSPECTION, upload
from tests.service.test_series import a_sweep

from erfscope_contract.problem import ProblemError
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Upload
from erfscope_service.settings import ServiceSettings

ASKERS = 20


@pytest.fixture
def alone(settings: ServiceSettings) -> Iterator[ServiceSettings]:
    """Settings of a service whose ledger nobody else uses, and which takes two open jobs."""
    changed = settings.model_copy(update={"namespace": "alone", "max_open_jobs_per_tenant": 2})
    yield changed
    with redis.Redis.from_url(settings.redis_url) as store:
        store.delete(*store.scan_iter("alone:*"))


@pytest.fixture
def http(alone: ServiceSettings) -> Iterator[httpx2.Client]:
    with running_service(alone) as url, httpx2.Client(base_url=url, timeout=30) as client:
        yield client


def test_a_refused_series_leaves_nothing_running(http: httpx2.Client, alone: ServiceSettings) -> None:
    body, headers = a_sweep(values=[1, 2, 4]), {"Idempotency-Key": "refused"}
    assert_problem(http.post("/series", json=body, headers=headers), 429, "too-many-requests")
    with Ledger(alone) as ledger:
        assert (ledger.pulse().open, ledger.list(TENANT).records) == (0, [])
        assert ledger.usage(TENANT).jobs == 0
    fits = a_sweep(values=[1, 2])  # the refused one has left nothing under its key
    series = http.post("/series", json=fits, headers=headers)
    assert series.status_code == 202
    assert {point["status"] for point in series.json()["points"]} == {"queued"}


def test_jobs_that_were_there_before_a_refused_series_go_on(http: httpx2.Client, alone: ServiceSettings) -> None:
    kept = http.post("/series", json=a_sweep(values=[1, 2]), headers={"Idempotency-Key": "kept"}).json()
    more = a_sweep(values=[1, 2, 4])
    assert http.post("/series", json=more, headers={"Idempotency-Key": "more"}).status_code == 429
    assert {point["status"] for point in http.get(f"/series/{kept['id']}").json()["points"]} == {"queued"}


def test_twenty_who_ask_for_an_inspection_start_one_and_looks_start_none(
    http: httpx2.Client, alone: ServiceSettings
) -> None:
    content = b"looked at by many"
    with Ledger(alone) as ledger:
        ledger.put_upload(Upload(TENANT, "model", sha256(content), len(content), "net.onnx"))
        with ThreadPoolExecutor(ASKERS) as pool:
            looks = list(pool.map(lambda _: http.get(f"/models/{sha256(content)}"), range(ASKERS)))
            assert {look.status_code for look in looks} == {200}
            assert ledger.pulse().open == 0
            asked = list(pool.map(lambda _: http.post(f"/models/{sha256(content)}"), range(ASKERS)))
        assert {one.status_code for one in asked} == {202}
        assert ledger.pulse().open == 1


def test_a_failed_inspection_is_repeated_when_the_model_is_sent_again(client: httpx2.Client, worker: Worker) -> None:
    content = b"fails at first"

    def job() -> str:
        known = worker.ledger.find_upload(TENANT, "model", sha256(content))
        assert known is not None
        assert known.job is not None
        return known.job

    upload(client, content)
    first = job()
    record = worker.claim(first)
    worker.ledger.fail(first, record.attempt, ProblemError("timeout", "Too slow.").problem, record.timing)
    assert client.get(f"/models/{sha256(content)}").json()["status"] == "failed"
    assert job() == first, "looking repeats nothing"
    with ThreadPoolExecutor(ASKERS) as pool:
        again = list(pool.map(lambda _: upload(client, content).json()["status"], range(ASKERS)))
    assert set(again) == {"queued"}
    second = job()
    assert second != first
    worker.succeed(worker.claim(second), json.dumps(INSPECTION).encode())
    assert client.get(f"/models/{sha256(content)}").json()["status"] == "succeeded"
