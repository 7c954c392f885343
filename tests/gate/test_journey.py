"""A model team's way, command by command, in a git repository: from `init` to the commit that moved a number."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image
from tests.gate.conftest import onnx_model
from typer.testing import CliRunner, Result

from erfscope.cli import app

Write = Callable[..., Path]
REPORTS = ("--junit", "out/junit.xml", "--markdown", "out/erf.md", "--report", "out/erf.json", "--pictures", "out/maps")


def erfscope(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done


def halves(path: Path) -> tuple[int, int]:
    """How many pixels of the left and of the right map are neither of the darkest colours nor white."""
    with Image.open(path) as picture:
        colours = np.asarray(picture.convert("RGB")).astype(int)
    is_lit = (colours[..., 1] > 60) & (np.ptp(colours, axis=2) > 40)
    maps = is_lit[:, : colours.shape[1] - 120]  # without the colour bar
    middle = maps.shape[1] // 2
    return int(maps[:, :middle].sum()), int(maps[:, middle:].sum())


def commit(subject: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    for words in (["add", "--all", ":!out"], [*names, "commit", "--quiet", "--message", subject]):
        subprocess.run(["git", *words], check=True, capture_output=True)


def test_from_init_to_the_commit_that_moved_a_number(write: Write) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    write("models/net.onnx", onnx_model((1, 2, 4)))
    erfscope("init", "models/net.onnx", "--inputs", "4")
    commit("Guard the receptive field")
    assert "3 passed" in erfscope("check").stdout

    write("models/net.onnx", onnx_model((1, 2, 1)))
    failed = erfscope("check", *REPORTS, code=1)
    assert "Changed in models/net.onnx: dilation of conv2 4 → 1, padding 4 → 1." in failed.stdout
    failures = [one.get("message", "") for one in ET.parse("out/junit.xml").iter("failure")]
    assert failures
    assert all("dilation of conv2 4 → 1" in one for one in failures)
    assert "dilation of conv2 4 → 1" in Path("out/erf.md").read_text("utf-8")
    assert json.loads(Path("out/erf.json").read_text("utf-8"))["result"] == "assertion"
    after, change = sorted(Path("out/maps").iterdir(), key=lambda path: len(path.name))
    assert change.name == f"{after.stem}-change.png"
    before, now = halves(change)
    assert before > 1.3 * now, "the former network sees more"

    updated = " ".join(erfscope("check", "--update-baseline").stdout.split())
    assert "trf_size 15 px → 9 px" in updated
    assert "dilation of conv2 4 → 1" in updated
    commit("Less context: faster head")
    assert "3 passed" in erfscope("check").stdout
    steps = json.loads(erfscope("history", "--json").stdout)
    moved = [one for one in steps if one["before"] is not None and one["metric"] == "trf_size"]
    assert [(one["subject"], one["before"]["value"], one["value"]["value"]) for one in moved] == [
        ("Less context: faster head", 15.0, 9.0)
    ]
