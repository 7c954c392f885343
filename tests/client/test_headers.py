"""What may stand in a header, and that the API key stands nowhere else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from erfscope import Client, errors
from erfscope._headers import api_key, idempotency_key
from erfscope._retry import RetryPolicy
from erfscope._transport import Settings

from .command_line import Run
from .conftest import Reply, Service, job_json

KEY = "erf_0123456789abcdef"


@pytest.mark.parametrize("text", [KEY + "\n", f" {KEY} \r\n", KEY])
def test_white_space_around_a_key_is_not_sent(
    connect: Callable[..., Any], service: Service, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ERFSCOPE_API_KEY", text)
    service.on("GET /erf/job-1", Reply(body=job_json()))
    for given in (None, text):
        connect(service.url, api_key=given).job("job-1")
    assert [request.headers["authorization"] for request in service.seen] == [f"Bearer {KEY}"] * 2


def test_white_space_alone_is_no_key() -> None:
    assert api_key(None, {"ERFSCOPE_API_KEY": " \n"}) is None


@pytest.mark.parametrize("text", ["erf_01\n23", "erf_01 23", "erf_é", "erf_\x00"])
def test_a_key_that_is_none_is_refused_and_not_shown(text: str) -> None:
    variable = "ERFSCOPE_API_KEY"
    for given, environment, origin in ((None, {variable: text}, variable), (text, {}, "--api-key")):
        with pytest.raises(errors.BadRequest, match=origin) as caught:
            api_key(given, environment)
        assert "erf_" not in str(caught.value)


def test_the_commands_do_not_show_it_either(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"input": {"channels": 1, "size": [8, 8]}, "layers": [{"type": "conv", "out_channels": 1, "kernel_size": 3}]}'
    )
    (tmp_path / "erfscope.toml").write_text('[[check]]\nmodel = "a.json"\nerf_size = { min = 3 }\n')
    where, key = "http://127.0.0.1:1", "erf_01\n23"
    for words in (("check", "--junit", "j.xml", "--markdown", "m.md"), ("jobs",), ("measure", "a.json")):
        done = run(*words, "--url", where, ERFSCOPE_API_KEY=key)
        assert done.returncode == 2, done
        assert "ERFSCOPE_API_KEY" in done.stdout + done.stderr
        assert "erf_01" not in done.stdout + done.stderr
    assert "erf_01" not in (tmp_path / "j.xml").read_text() + (tmp_path / "m.md").read_text()


def test_a_server_that_echoes_the_key(connect: Callable[..., Any], service: Service) -> None:
    service.on("GET /health/ready", Reply(500, f"Authorization: Bearer {KEY}".encode()))
    with pytest.raises(errors.APIError, match="Authorization: Bearer …") as caught:
        connect(service.url, api_key=KEY).health()
    assert KEY not in str(caught.value)


def test_a_transport_error_does_not_carry_it() -> None:
    settings = Settings("http://127.0.0.1:1", KEY, 1.0, RetryPolicy(0))
    failed = settings.unreachable(httpx2.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"), 1)
    assert KEY not in str(failed)


def test_what_cannot_be_sent_is_not_tried_again() -> None:
    assert RetryPolicy().delay(0, httpx2.LocalProtocolError("Illegal header value")) is None


@pytest.mark.parametrize("key", ["schlüssel", "two words", "a\n", "x" * 256])
def test_an_idempotency_key_that_is_none(service: Service, key: str) -> None:
    with Client(service.url) as client, pytest.raises(errors.BadRequest, match="visible ASCII"):
        client.submit(b"onnx", images=b"png", idempotency_key=key)
    assert not service.seen
    assert idempotency_key("x" * 255) == "x" * 255
