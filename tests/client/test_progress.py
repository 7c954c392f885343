"""Progress where stderr is no terminal: silent while a command is short, then a line from time to time."""

import time
from collections.abc import Callable

import pytest

from erfscope.cli.progress import progress_bar, slow_lines

PATIENCE = 30.0  # seconds after which a line that has not come counts as missing


def wait_for(line: str, read: Callable[[], str]) -> None:
    """Until the line was written; fails after PATIENCE."""
    seen, start = "", time.monotonic()
    while line not in seen:
        assert time.monotonic() - start < PATIENCE, seen
        time.sleep(0.01)
        seen += read()


def test_a_long_command_writes_a_line_from_time_to_time(capsys: pytest.CaptureFixture[str]) -> None:
    with slow_lines("looking at net.onnx", every=0.01) as update:
        update("search 17 tried", 0.4)
        wait_for("looking at net.onnx: search 17 tried, 40 %, after 0 s", lambda: capsys.readouterr().err)


def test_each_command_without_a_terminal_does_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("erfscope.cli.progress.slow_lines.__wrapped__.__defaults__", (0.01,))
    with progress_bar("measuring net.onnx") as update:
        update("trace", 0.1)
        wait_for("measuring net.onnx: tracing the network, 10 %, after 0 s", lambda: capsys.readouterr().err)
        update("load", 0.0)
        wait_for("measuring net.onnx: loading the model, after 0 s", lambda: capsys.readouterr().err)


def test_a_short_command_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("measuring net.onnx") as update:
        update("trace", 0.1)
    assert capsys.readouterr().err == ""
