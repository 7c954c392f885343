"""`erfscope up` heeds the variables that its parts heed, and says which it cannot."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.orphans import tied
from tests.worker.test_up import IDLE, PATIENCE, descendants, environment, until, up

from erfscope import Client, errors
from erfscope.cli import up_folder
from erfscope_worker.commands import up as command
from erfscope_worker.embedded import installation
from erfscope_worker.embedded.stack import LEAVING, Stack


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_port_folder_and_keys_by_variables(tmp_path: Path) -> None:
    """Neither option is given; the folder is made for this user alone, and `keys` finds it by the same variable."""
    folder, port = tmp_path / "parents" / "data", free_port()
    variables = environment(
        **IDLE,
        ERFSCOPE_PORT=str(port),
        ERFSCOPE_HOST="127.0.0.2",
        ERFSCOPE_DATA_DIR=str(folder),
        ERFSCOPE_KEYS="on",
        ERFSCOPE_LOG="json",
        ERFSCOPE_REDIS_URL="redis://192.0.2.1:6379/0",
    )
    words = [sys.executable, "-m", "erfscope"]
    with subprocess.Popen(
        [*words, "up"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=tied(),  # noqa: PLW1509
    ) as up:
        try:
            assert up.stdout is not None
            lines = [up.stdout.readline() for _ in range(4)]
            del variables["ERFSCOPE_REDIS_URL"]
            listed = subprocess.run(
                [*words, "keys", "list"], env=variables, capture_output=True, text=True, check=False
            )
        finally:
            up.send_signal(signal.SIGTERM)
            _, warnings = up.communicate(timeout=PATIENCE)
    assert lines[0] == f"erfscope is ready at http://127.0.0.2:{port}\n", warnings
    assert lines[1] == f"data and logs: {folder}\n"
    assert "erfscope keys create NAME" in lines[2]
    assert up.returncode == 0
    assert "ERFSCOPE_REDIS_URL is not used" in warnings
    assert [json.loads(line)["level"] for line in warnings.splitlines()][-2:] == ["INFO", "INFO"], "ready, stopping"
    assert (listed.returncode, listed.stdout.strip()) == (0, "no keys"), listed.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    for part in ("worker", "service"):
        assert all(json.loads(line) for line in (folder / "logs" / f"{part}.log").read_text().splitlines())
    assert "level=notice" in (folder / "logs" / "store.log").read_text()


def test_logs_go_to_the_journal_as_json(tmp_path: Path) -> None:
    """Of all parts and of `up` itself, in place of files; Valkey's lines are logfmt."""
    with up(tmp_path, **IDLE, ERFSCOPE_LOG="json", ERFSCOPE_LOG_TO="stderr") as running:
        os.kill(running.part("-m\0erfscope_service\0"), signal.SIGKILL)
        with Client(running.url, retries=0) as client:
            until("the death", lambda: not answers(client))
            until("the service again", lambda: answers(client))
        running.family = descendants(running.process.pid)
        running.process.send_signal(signal.SIGTERM)
        code, text = running.end()
    assert code == 0
    assert list((tmp_path / "logs").iterdir()) == []
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    others = [line for line in text.splitlines() if not line.startswith("{")]
    # Valkey writes the line of its signal handler in a form of its own.
    assert [line for line in others if "level=" not in line and ":signal-handler" not in line] == []
    mine = [line for line in lines if line["logger"] == "erfscope_worker.up"]
    assert all(line["time"] for line in mine)
    assert [(line["level"], line["message"].split(" ended")[0].split(";")[0]) for line in mine] == [
        ("INFO", f"erfscope is ready at {running.url}"),
        ("WARNING", "the service"),
        ("INFO", "stopping"),
    ]
    assert any("takes jobs" in line["message"] for line in lines), "of the worker"
    assert any(line["logger"].startswith("uvicorn") for line in lines), "of the service"


def answers(client: Client) -> bool:
    try:
        return client.health().status == "ready"
    except errors.ConnectionFailed:
        return False


def test_a_failed_start_is_a_json_line_too(tmp_path: Path) -> None:
    with installation.occupy(tmp_path, "127.0.0.1", 0):
        words = [sys.executable, "-m", "erfscope", "up", "--data-dir", str(tmp_path)]
        done = subprocess.run(words, env=environment(ERFSCOPE_LOG="json"), capture_output=True, text=True, check=False)
    line = json.loads(done.stderr)
    assert (done.returncode, line["level"], "already up" in line["message"]) == (3, "ERROR", True)


def test_a_variable_that_is_no_port_is_named(tmp_path: Path) -> None:
    variables = environment(ERFSCOPE_PORT="http", ERFSCOPE_DATA_DIR=str(tmp_path))
    words = [sys.executable, "-m", "erfscope", "up"]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ERFSCOPE_PORT" in done.stderr
    assert "http" in done.stderr


@pytest.mark.parametrize(
    ("name", "variable"), [("worker", "ERFSCOPE_SHUTDOWN_GRACE"), ("service", "ERFSCOPE_SHUTDOWN_SECONDS")]
)
def test_a_part_is_killed_only_after_its_own_time_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    with installation.occupy(tmp_path, "127.0.0.1", 0) as occupied:
        stack = Stack(occupied)
        usual = stack.grace(name)
        monkeypatch.setenv(variable, "40")
        assert (stack.grace(name), stack.environment()[variable]) == (40 + LEAVING, "40")
    assert LEAVING < usual < 40


@pytest.mark.parametrize(
    ("host", "keys", "folder", "line"),
    [
        ("127.0.0.1", "auto", False, None),
        ("127.0.0.1", "on", False, r"as ERFSCOPE_KEYS asks: erfscope keys create NAME\.$"),
        ("0.0.0.0", "auto", False, r"Others reach it too.*erfscope keys create NAME \("),
        ("0.0.0.0", "auto", True, r"erfscope keys create NAME --data-dir \S+ \("),
        ("0.0.0.0", "off", True, None),
    ],
)
def test_how_a_key_is_made_is_told_where_one_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, keys: str, folder: bool, line: str | None
) -> None:
    monkeypatch.setenv("ERFSCOPE_KEYS", keys)
    with installation.occupy(tmp_path, host, 0) as occupied:
        lines = command.about_keys(occupied, tmp_path if folder else None)
    assert len(lines) == (line is not None)
    assert line is None or re.search(line, lines[0])


def test_without_a_variable_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFSCOPE_DATA_DIR", "")
    assert up_folder.default_data_dir().name == "erfscope"
    monkeypatch.setenv("ERFSCOPE_DATA_DIR", os.path.join("x", "y"))
    assert up_folder.default_data_dir() == Path("x/y")
