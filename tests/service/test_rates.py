"""Rate limits: 429 with Retry-After, per tenant or address, counted across replicas, and never a 500."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
from pydantic import ValidationError
from tests.service.conftest import a_spec, assert_problem, running_service, running_valkey

from erfscope_jobs import keys
from erfscope_jobs.ledger import Ledger
from erfscope_service.settings import USUAL_RATE, ServiceSettings

MOST = 5


@pytest.fixture
def limited(settings: ServiceSettings, request: pytest.FixtureRequest, every_call_is_counted: None) -> ServiceSettings:
    """Five calls an hour; a namespace for each test."""
    space = request.node.name.removeprefix("test_").replace("_", "-")
    return settings.model_copy(update={"rate_limit": f"{MOST}/hour", "namespace": space})


def test_too_many_calls_are_429_and_say_when_to_come_again(limited: ServiceSettings) -> None:
    with running_service(limited) as url, httpx2.Client(base_url=url, timeout=30) as client:
        codes = [client.get("/erf/x").status_code for _ in range(MOST)]
        refused = client.post("/erf", json=a_spec())
        problem = assert_problem(refused, 429, "too-many-requests")
        assert client.get("/health/ready").status_code == 200, "what needs no key is not counted"
        assert client.get("/").status_code == 200
        assert 'erfscope_rejections_total{kind="too-many-requests"} 1.0' in client.get("/metrics").text
    assert codes == [404] * MOST
    assert 1 <= int(refused.headers["retry-after"]) <= 2 * 3600
    assert problem["context"]["retry_after"] == int(refused.headers["retry-after"])
    assert problem["detail"] == (
        f"Rate limit of {MOST} requests per hour exceeded. Retry in {refused.headers['retry-after']} s."
    )


def test_every_answer_says_what_is_left(limited: ServiceSettings) -> None:
    with running_service(limited) as url, httpx2.Client(base_url=url, timeout=30) as client:
        answers = [client.get("/erf") for _ in range(MOST + 1)]
        not_counted = client.get("/health/ready")
    left = [re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.headers["ratelimit"]) for answer in answers]
    assert [int(one[1]) for one in left if one] == [4, 3, 2, 1, 0, 0]
    assert all(one and 1 <= int(one[2]) <= 2 * 3600 for one in left)
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=5;w=3600'}
    assert "ratelimit" not in not_counted.headers


def test_without_a_limit_nothing_is_said(client: httpx2.Client) -> None:
    assert "ratelimit" not in client.get("/erf").headers


def test_replicas_count_together(limited: ServiceSettings) -> None:
    with ExitStack() as stack:
        urls = [stack.enter_context(running_service(limited)) for _ in range(2)]
        clients = [stack.enter_context(httpx2.Client(base_url=url, timeout=30)) for url in urls]
        codes = [clients[i % 2].get("/erf").status_code for i in range(MOST + 2)]
    assert codes == [200] * MOST + [429] * 2


def test_each_tenant_has_a_limit_of_its_own(limited: ServiceSettings) -> None:
    locked = limited.model_copy(update={"keys": "on"})
    with running_service(locked) as url, Ledger(locked) as ledger:

        def codes(name: str, tenant: str) -> list[int]:
            key, text = keys.issue(name, tenant)
            ledger.run(keys.add(locked.namespace, key))
            with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {text}"}, timeout=30) as client:
                return [client.get("/erf").status_code for _ in range(MOST)]

        assert codes("a", "one") == [200] * MOST
        assert codes("b", "one") == [429] * MOST, "keys of one tenant count together"
        assert codes("c", "two") == [200] * MOST


def test_a_key_with_a_rate_is_counted_by_itself(limited: ServiceSettings) -> None:
    locked = limited.model_copy(update={"keys": "on"})
    with running_service(locked) as url, Ledger(locked) as ledger:

        def client(name: str, rate: str | None) -> tuple[keys.ApiKey, httpx2.Client]:
            key, text = keys.issue(name, "lab", rate=rate)
            ledger.run(keys.add(locked.namespace, key))
            return key, httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {text}"}, timeout=30)

        (slow, few), (_, usual), (_, free) = client("few", "2/minute"), client("usual", None), client("free", "off")
        with few, usual, free:
            assert [few.get("/erf").status_code for _ in range(3)] == [200, 200, 429]
            assert usual.get("/erf").headers["ratelimit"].startswith(f'"default";r={MOST - 1};'), "not counted with it"
            assert few.get("/erf").headers["ratelimit-policy"] == '"default";q=2;w=60'
            assert few.get("/erf").json()["detail"].startswith("Rate limit of 2 requests per minute exceeded.")
            assert "ratelimit" not in free.get("/erf").headers
            assert ledger.run(keys.change_rate(locked.namespace, slow, "4/minute"))
            assert_problem(usual.post("/series", json=a_series(2 * MOST)), 429, "too-many-requests")
            assert few.post("/series", json=a_series(4)).status_code == 202, "each point counts, for this key"
            assert_problem(few.get("/erf"), 429, "too-many-requests")


def test_a_revoked_key_gets_no_rate(limited: ServiceSettings) -> None:
    with Ledger(limited) as ledger:
        key, _ = keys.issue("gone")
        ledger.run(keys.add(limited.namespace, key))
        assert ledger.run(keys.revoke(limited.namespace, key.id))
        assert not ledger.run(keys.change_rate(limited.namespace, key, "1/minute"))
        assert ledger.run(keys.find(limited.namespace, key.id)) is None


def test_counters_have_a_time_to_live(limited: ServiceSettings) -> None:
    with running_service(limited) as url:
        httpx2.get(f"{url}/erf")
    with redis.Redis.from_url(limited.redis_url) as connection:
        counters = list(connection.scan_iter(f"{limited.namespace}:rate*"))
        assert counters
        assert all(connection.pttl(counter) > 0 for counter in counters)


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A limited service whose Redis can be frozen; its URL and Redis' pid."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running_valkey(folder) as url:
        with redis.Redis.from_url(url) as connection:
            pid = int(connection.info("server")["process_id"])
        settings = ServiceSettings(redis_url=url, data_dir=tmp_path, redis_timeout=0.25, rate_limit=f"{MOST}/hour")
        with running_service(settings) as base_url:
            try:
                yield base_url, pid
            finally:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
def test_an_outage_is_the_ledgers_503(frozen: tuple[str, int], fault: signal.Signals) -> None:
    url, pid = frozen
    with httpx2.Client(base_url=url, timeout=30) as client:
        assert client.get("/erf").status_code == 200
        os.kill(pid, fault)
        for _ in range(2):
            assert_problem(client.get("/erf"), 503, "unavailable")


@pytest.mark.parametrize(
    ("host", "setting", "expected"),
    [
        ("127.0.0.1", "auto", []),
        ("0.0.0.0", "auto", ["600 per 1 minute"]),
        ("0.0.0.0", "off", []),
        ("127.0.0.1", "20/second; 600/minute", ["20 per 1 second", "600 per 1 minute"]),
    ],
)
def test_the_usual_rate_holds_beyond_this_machine(host: str, setting: str, expected: list[str]) -> None:
    assert USUAL_RATE == "600/minute"
    settings = ServiceSettings(host=host, rate_limit=setting)
    assert [str(limit) for limit in settings.rates] == expected


def test_a_rate_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="must be auto, off, or calls per second"):
        ServiceSettings(rate_limit="often")


def a_series(points: int) -> dict[str, Any]:
    return {"sweep": {**a_spec()["model"], "parameters": ["/layers/0/out_channels"], "values": [*range(1, points + 1)]}}


def test_a_series_counts_as_its_points(limited: ServiceSettings) -> None:
    with running_service(limited) as url, httpx2.Client(base_url=url, timeout=30) as client:
        assert client.post("/series", json=a_series(MOST - 1)).status_code == 202
        refused = client.post("/series", json=a_series(2))
        assert_problem(refused, 429, "too-many-requests")
        assert 3600 / MOST <= int(refused.headers["retry-after"]) <= 2 * 3600
        assert client.get("/erf").status_code == 429


def test_a_series_of_more_points_than_the_limit_needs_all_of_it(limited: ServiceSettings) -> None:
    with running_service(limited) as url, httpx2.Client(base_url=url, timeout=30) as client:
        assert client.post("/series", json=a_series(2 * MOST)).status_code == 202
        assert client.get("/erf").status_code == 429
