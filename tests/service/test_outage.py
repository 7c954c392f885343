"""Redis away or frozen: 503 with Retry-After, and the same Idempotency-Key afterwards makes one job."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
import redis
from tests.service.conftest import (
    a_spec,
    assert_problem,
    eventually,
    register_store,
    running_service,
    running_valkey,
)

from erfscope_contract.problem import ProblemError
from erfscope_jobs import keys
from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.following import SLICE
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell
from erfscope_service.settings import ServiceSettings

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 64
TIMEOUT = 0.25  # of Redis, so that the test is quick; the default is 2 s


@pytest.fixture(params=["open", "with keys and rates"])
def away(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[httpx2.Client, int, Path]]:
    """A service with a Redis of its own: client, the server's pid, its folder."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running_valkey(folder) as url:
        with redis.Redis.from_url(url) as connection:
            pid = int(connection.info("server")["process_id"])
        settings = ServiceSettings(redis_url=url, data_dir=tmp_path / "data", redis_timeout=TIMEOUT)
        if request.param != "open":
            settings = settings.model_copy(update={"keys": "on", "rate_limit": "600/minute"})
        with (
            running_service(settings) as base_url,
            Ledger(settings) as ledger,
            httpx2.Client(base_url=base_url, timeout=30) as client,
        ):
            key, text = keys.issue("caller")
            ledger.run(keys.add(settings.namespace, key))
            client.headers["Authorization"] = f"Bearer {text}"
            try:
                yield client, pid, folder
            finally:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def assert_unavailable(client: httpx2.Client, id: str) -> None:
    asks: list[Callable[[], httpx2.Response]] = [
        lambda: client.post("/erf", json=a_spec(name="during"), headers={"Idempotency-Key": "k"}),
        lambda: client.post("/erf", files={"model": ("m.onnx", b"model")}),
        lambda: client.post("/models", content=b"model"),
        lambda: client.get(f"/erf/{id}"),
        lambda: client.get(f"/erf/{id}/events"),
        lambda: client.get(f"/erf/{id}/heatmap.png"),
        lambda: client.get(f"/erf/{id}/map.npy"),
        lambda: client.delete(f"/erf/{id}"),
        lambda: client.get("/erf"),
        lambda: client.get(f"/models/{'0' * 64}"),
        lambda: client.delete(f"/models/{'0' * 64}"),
        lambda: client.post("/files", content=b"\x89PNG\r\n\x1a\n0000"),
        lambda: client.get("/health/ready"),
        lambda: client.get("/metrics"),
    ]
    for ask in asks:
        response = ask()
        assert_problem(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) >= 1
    assert client.get("/health/live").status_code == 200


def test_a_frozen_redis_is_a_503_and_then_all_is_well(away: tuple[httpx2.Client, int, Path]) -> None:
    client, pid, _ = away
    before = client.post("/erf", json=a_spec(name="before")).json()["id"]
    os.kill(pid, signal.SIGSTOP)
    assert_unavailable(client, before)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: client.get("/health/ready").status_code == 200)
    assert client.get(f"/erf/{before}").json()["status"] == "queued"
    headers = {"Idempotency-Key": "k"}
    first, second = (client.post("/erf", json=a_spec(name="during"), headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    during = [job for job in client.get("/erf").json()["jobs"] if job["model"]["name"] == "during"]
    assert len(during) == 1


def test_a_dead_redis_is_a_503(away: tuple[httpx2.Client, int, Path]) -> None:
    client, pid, _ = away
    before = client.post("/erf", json=a_spec(name="before")).json()["id"]
    with client.stream("GET", f"/erf/{before}/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: snapshot"
        os.kill(pid, signal.SIGKILL)
        assert ": interrupted: unavailable" in list(lines), "the stream ends in order; the client comes again"
    assert_unavailable(client, before)


@pytest.mark.parametrize("away", ["open"], indirect=True)
def test_a_call_has_one_deadline_however_often_redis_is_tried(away: tuple[httpx2.Client, int, Path]) -> None:
    """The connections are broken by the first timeout; what follows has to connect again, and then retries."""
    client, pid, folder = away
    settings = ServiceSettings(redis_url=f"unix://{folder / 's'}?db=0", redis_timeout=TIMEOUT)

    async def ask_twice() -> list[object]:
        ledger = AsyncLedger(settings)
        await ledger.ping()
        os.kill(pid, signal.SIGSTOP)
        contexts: list[object] = []
        for _ in range(2):
            with pytest.raises(ProblemError) as caught:
                await ledger.ping()
            contexts.append(caught.value.problem.context["reason"])
        with pytest.raises(ProblemError) as caught:
            await ledger.events("x", wait=TIMEOUT)
        contexts.append(caught.value.problem.context["reason"])
        await ledger.close()
        return contexts

    reasons = asyncio.run(ask_twice())
    assert reasons[1:] == [f"no answer within {TIMEOUT:g} s", f"no answer within {TIMEOUT + SLICE:g} s"]
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("away", ["open"], indirect=True)
def test_a_job_that_is_on_disk_is_accepted_although_nobody_can_be_rung(
    away: tuple[httpx2.Client, int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the publish hangs: a moment that a frozen Redis cannot be made to have."""
    client, _, _ = away
    released = threading.Event()
    monkeypatch.setattr(Doorbell, "ring", lambda self, id, kind: released.wait(30))
    try:
        response = client.post("/erf", json=a_spec(name="unheard"))
    finally:
        was_waiting = not released.is_set()
        released.set()
    assert (response.status_code, was_waiting) == (202, True)
    assert client.get(f"/erf/{response.json()['id']}").json()["status"] == "queued"


def test_uploads_to_a_store_that_hangs_hold_up_nobody_else(settings: ServiceSettings, tmp_path: Path) -> None:
    uploads = 40  # more than asyncio has threads by itself, on any machine
    hanging, released = [], threading.Event()

    def hang() -> None:
        hanging.append(1)
        released.wait(60)

    async def story(url: str) -> int:
        async with httpx2.AsyncClient(base_url=url, timeout=60, limits=httpx2.Limits(max_connections=100)) as client:
            job = (await client.post("/erf", json=a_spec(name="meanwhile"))).json()["id"]
            sent = [asyncio.create_task(client.post("/files", content=PNG + bytes([n]))) for n in range(uploads)]
            try:
                async with asyncio.timeout(50):
                    while len(hanging) < uploads:
                        await asyncio.sleep(0.01)
                    return (await client.get(f"/erf/{job}")).status_code
            finally:
                released.set()
                await asyncio.gather(*sent)

    register_store("hanging", hang)
    far = settings.model_copy(update={"data_dir": tmp_path, "blob_url": f"hanging://{tmp_path}/there"})
    with running_service(far) as url:
        assert asyncio.run(story(url)) == 200
