"""Who calls is who connects: X-Forwarded-For is believed from configured proxies only. Large requests weigh more."""

from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from tests.service.conftest import a_spec, assert_problem, running_service

from erfscope_service.erf.submission import CALL_BYTES
from erfscope_service.settings import ServiceSettings

MOST = 4
pytestmark = pytest.mark.usefixtures("every_call_is_counted")


def codes(settings: ServiceSettings, space: str, proxies: str) -> list[int]:
    """Answers to one more call than an address may make, each in the name of another address."""
    changes = {"rate_limit": f"{MOST}/hour", "namespace": space, "trusted_proxies": proxies, "keys": "off"}
    with running_service(settings.model_copy(update=changes)) as url, httpx2.Client(base_url=url) as client:
        named = [{"X-Forwarded-For": f"192.0.2.{n}"} for n in range(MOST + 1)]
        return [client.get("/usage", headers=headers).status_code for headers in named]


def test_a_stranger_cannot_borrow_addresses(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable is not ours
    assert codes(settings, "strangers", "") == [200] * MOST + [429]


def test_a_configured_proxy_tells_who_calls(settings: ServiceSettings) -> None:
    assert codes(settings, "proxied", "127.0.0.0/8") == [200] * (MOST + 1)
    assert codes(settings, "elsewhere", "10.0.0.0/8") == [200] * MOST + [429]


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.1/8", "10.0.0.0/8, *"])
def test_a_proxy_is_an_address_or_a_network(wrong: str) -> None:
    with pytest.raises(ValidationError, match="must be addresses or networks"):
        ServiceSettings(trusted_proxies=wrong)


def large(size: int) -> dict[str, Any]:
    """A request of at least so many bytes."""
    taps = [[y, x] for y in range(-16, 16) for x in range(-16, 16)]
    layer = {"type": "sparse_conv", "out_channels": 1, "offsets": taps}
    return a_spec(layers=[layer] * (size // 8000 + 1))


def test_a_large_request_weighs_more(settings: ServiceSettings) -> None:
    changes = {"rate_limit": f"{MOST}/hour", "namespace": "heavy", "max_json_bytes": 2**20}
    with running_service(settings.model_copy(update=changes)) as url, httpx2.Client(base_url=url, timeout=30) as client:
        assert client.post("/erf", json=large((MOST - 1) * CALL_BYTES)).status_code == 202
        problem = assert_problem(client.get("/usage"), 429, "too-many-requests")
    assert problem["context"]["retry_after"] > 0
