"""Progress where stderr is no terminal: silent while a command is short, then a line from time to time."""

import time

import pytest

from erfscope.cli.progress import progress_bar, slow_lines


def test_a_long_command_writes_a_line_from_time_to_time(capsys: pytest.CaptureFixture[str]) -> None:
    with slow_lines("looking at net.onnx", every=0.01) as update:
        update("search 17 tried", 0.4)
        seen = ""
        while "looking at net.onnx: search 17 tried, 40 %, after 0 s" not in seen:
            time.sleep(0.01)
            seen += capsys.readouterr().err


def test_each_command_without_a_terminal_does_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("erfscope.cli.progress.slow_lines.__wrapped__.__defaults__", (0.01,))
    with progress_bar("measuring net.onnx") as update:
        update("trace", 0.1)
        seen = ""
        while "measuring net.onnx: trace, 10 %" not in seen:
            time.sleep(0.01)
            seen += capsys.readouterr().err


def test_a_short_command_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("measuring net.onnx") as update:
        update("trace", 0.1)
    assert capsys.readouterr().err == ""
