"""What is asked twice is done once, what failed can be repeated, and what is refused leaves nothing running."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import redis
from tests.service.conftest import TENANT, Worker, assert_problem, running_service, sha256
from tests.service.test_models import INSPECTION, upload
from tests.service.test_series import a_sweep

from erfscope_contract.problem import ProblemError
from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Kind, Submission, Submitted, Upload
from erfscope_service.series import service as series_service
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


def test_a_refused_series_leaves_what_a_retry_with_its_key_was_given(
    alone: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call is held between its refusal and its clean-up, while a second one with its key gets all points."""
    refused, retried = threading.Event(), threading.Event()
    undo = series_service._undo

    async def held(*arguments: Any) -> None:
        refused.set()
        await asyncio.to_thread(retried.wait, 20)
        await undo(*arguments)

    monkeypatch.setattr(series_service, "_undo", held)
    headers = {"Idempotency-Key": "twice"}
    with (
        running_service(alone) as url,
        httpx2.Client(base_url=url, timeout=30) as http,
        Ledger(alone) as ledger,
        ThreadPoolExecutor(1) as pool,
    ):
        other = ledger.submit(Submission(Kind.ERF, TENANT, payload="{}", question="another")).record.id
        first = pool.submit(http.post, "/series", json=a_sweep(values=[1, 2]), headers=headers)
        assert refused.wait(20)
        ledger.cancel(other, TENANT)
        second = http.post("/series", json=a_sweep(values=[1, 2]), headers=headers)
        retried.set()
        assert (first.result().status_code, second.status_code) == (429, 202)
        points = http.get(f"/series/{second.json()['id']}").json()["points"]
        assert [point["status"] for point in points] == ["queued", "queued"]
        assert ledger.pulse().open == 2


def test_a_model_that_is_deleted_before_its_inspection_is_asked_for_stays_deleted(
    alone: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deleted when the call has found it, and has not submitted the inspection yet."""
    content = b"deleted in between"
    submit = AsyncLedger.submit

    async def late(ledger: AsyncLedger, job: Submission, *, settle: bool = True) -> Submitted:
        if job.kind is Kind.INSPECT:
            await ledger.drop_upload(TENANT, "model", sha256(content))
        return await submit(ledger, job, settle=settle)

    monkeypatch.setattr(AsyncLedger, "submit", late)
    with running_service(alone) as url, httpx2.Client(base_url=url, timeout=30) as http, Ledger(alone) as ledger:
        sent = upload(http, content)
        assert (sent.status_code, sent.json()["status"]) == (202, None)
        assert_problem(http.get(f"/models/{sha256(content)}"), 404, "not-found")
        ledger.put_upload(Upload(TENANT, "model", sha256(content), len(content), "net.onnx"))
        assert_problem(http.post(f"/models/{sha256(content)}"), 404, "not-found")
        assert ledger.find_upload(TENANT, "model", sha256(content)) is None
        assert (ledger.pulse().open, ledger.usage(TENANT).models) == (0, 0)


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
