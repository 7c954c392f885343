"""README and its companions: what they name and point to exists, the session is real. tests/docs runs the blocks."""

import ast
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.house.conftest import PATIENCE, ROOT, House, environment

from erfscope import Client
from erfscope.cli import app

DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
README = (ROOT / "README.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, onnx_model: bytes) -> Path:
    """What a reader of README has at hand: an ONNX file, and the examples."""
    (tmp_path / "model.onnx").write_bytes(onnx_model)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_can_be_read(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text.count("```") % 2 == 0
    for block in blocks(text, "bash"):
        done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    for block in blocks(text, "python"):
        ast.parse(block)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_and_target_exists(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.typer_instance.info.name) for group in app.registered_groups if group.typer_instance}
    lines = [line for language in ("bash", "text") for block in blocks(text, language) for line in block.splitlines()]
    shown = {found[1] for line in lines if (found := re.match(r"(?:\$ )?erfscope (\w+)", line))}
    assert shown | set(re.findall(r"`erfscope (\w+)", text)) <= commands
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"^make (\w+)|`make (\w+)`", text, flags=re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_and_path_is_there(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    paths = re.findall(r"`((?:client|service|worker|tests|examples|docs)/[\w./]+)`", text)
    missing = [path for path in (*links, *paths) if not (ROOT / path).exists()]
    assert missing == []


def test_the_session_is_what_the_command_says(folder: Path) -> None:
    (session,) = blocks(README, "text")
    first, *shown = session.splitlines()
    words = shlex.split(first.removeprefix("$ "))
    done = subprocess.run(
        words, env=environment(), cwd=folder, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    names = [re.split(r" {2,}", line)[0] for line in done.stdout.splitlines()]
    assert names[:-2] == [re.split(r" {2,}", line)[0] for line in shown][:-2]
    trf = next(line for line in shown if line.startswith("TRF size"))
    assert trf.split() == next(line for line in done.stdout.splitlines() if line.startswith("TRF size")).split()


def test_metrics_that_are_explained_exist(house: House) -> None:
    table = README.split("## What the numbers mean")[1].split("\n## ")[0]
    explained = {
        name for row in re.findall(r"^\| (.+?) \|", table, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    with Client(house.url) as client:
        result = client.run("preset:plain-5-relu", inputs=4)
    assert explained - {"stderr"} <= set(result.metrics)
    assert explained


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_continuous_integration_runs_the_documented_commands() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert {"make lint", "make test"} <= set(script.splitlines())
