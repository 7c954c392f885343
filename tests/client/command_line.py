"""The command line in this process, and a small spec."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from erfscope.cli import main

SPEC = {
    "name": "tiny",
    "input": {"channels": 1, "size": [16, 16]},
    "layers": [
        {"type": "conv", "name": "first", "out_channels": 2, "kernel_size": 3, "padding": "same"},
        {"type": "conv", "name": "second", "out_channels": 2, "kernel_size": 3, "padding": "same"},
    ],
}


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERFSCOPE_")}
    return {**kept, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("measure", "net.onnx", ERFSCOPE_URL=…)` in an empty folder: the whole command, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ERFSCOPE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str, **variables: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["erfscope", *words])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path
