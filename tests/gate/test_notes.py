"""What a report tells although every rule holds: other layers, a dead layer, a picture that is not there."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.gate.conftest import Check, conv, onnx_model, spec
from tests.gate.test_init import start

Write = Callable[..., Path]
CONFIG = '[defaults]\ninputs = 4\n[[check]]\nname = "sizes"\nmodel = "models/*"\n'
DEAD = (
    "auto passed over relu2, conv2: its gradient is exactly zero (dead, or saturated). The numbers are those of layer"
)


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that another test has drawn would be there."""
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(tmp_path / "cache"))


def dead_head() -> bytes:
    """Three convolutions, the last with weights of zero."""
    model = onnx.load_from_string(onnx_model((1, 2, 4)))
    (last,) = (one for one in model.graph.initializer if one.name == "w2")
    last.CopyFrom(numpy_helper.from_array(np.zeros(tuple(last.dims), np.float32), "w2"))
    return bytes(model.SerializeToString())


def test_other_layers_within_the_rules_are_a_note(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=2))
    write("models/same.json", spec(dilation=2, name="same"))
    write("erfscope.toml", CONFIG + "drift = { max = '5%' }\ntrf_size = { min = 4 }\n")
    assert check("--update-baseline").code == 0
    assert "note:" not in check().words
    narrow = conv(kernel_size=1, name="mix")
    layers = spec(dilation=2)["layers"]
    write("models/net.json", spec(layers=[*layers[:2], narrow, *layers[2:]]))
    done = check("--report", "r.json", "--markdown", "r.md", "--junit", "r.xml")
    assert done.code == 0
    change = "layer mix (conv, kernel 1) added between relu_1 and second."
    text = f"Its input or layers differ from the baseline's, and no drift rule broke: {change} If this is meant, run"
    assert f"note: models/net.json: {text} `erfscope check --update-baseline`" in done.words
    notes = json.loads(Path("r.json").read_text("utf-8"))["notes"]
    assert [one["model"] for one in notes] == ["models/net.json"]
    assert change.replace("_", "\\_") in Path("r.md").read_text("utf-8")
    (words,) = ET.parse("r.xml").iterfind("testsuite/system-out")
    assert change in str(words.text)
    write("models/net.json", spec(dilation=8))
    done = check()
    assert done.code == 1
    assert "note:" not in done.words  # the failure tells it
    write("models/net.json", spec(dilation=2, init="ones"))
    assert "Its input or layers differ" not in check().words


def test_a_rule_without_a_baseline_that_breaks_does_not_hide_other_layers(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=2))
    rules = "drift = { max = '5%' }\ntrf_size = {}\n"
    write("erfscope.toml", CONFIG + rules)
    assert check("--update-baseline").code == 0
    write("models/net.json", spec(layers=[*spec(dilation=2)["layers"], conv(kernel_size=1, name="mix")]))
    stem = '[[check]]\nmodel = "models/*"\nlayer = "first"\ntrf_size = { max = 1 }\n'
    write("erfscope.toml", CONFIG + rules + stem)
    done = check()
    assert done.code == 1
    assert "no drift rule broke: layer mix (conv, kernel 1) added after relu_3." in done.words


@pytest.mark.parametrize(
    ("words", "why"),
    [([], "the cache of this machine does not have it."), (["--no-cache"], "which --no-cache switches off.")],
)
def test_a_former_picture_that_is_not_there_says_why(
    check: Check, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], why: str
) -> None:
    write("models/net.json", spec(dilation=2))
    write("erfscope.toml", CONFIG + "drift = { max = '5%' }\ntrf_size = {}\n")
    assert check("--update-baseline").code == 0
    write("models/net.json", spec(dilation=4))
    assert "There is no picture" not in check("--pictures", "drawn").words
    assert len(list(Path("drawn").glob("*-change.png"))) == 1
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(tmp_path / "another"))
    done = check(*words, "--pictures", "elsewhere", "--markdown", "r.md")
    assert not list(Path("elsewhere").glob("*-change.png"))
    assert "note: models/net.json: There is no picture of the model that the baseline was measured from" in done.words
    assert why in done.words
    assert "There is no picture" in Path("r.md").read_text("utf-8")
    assert "There is no picture" not in check().words  # nobody asked for one


def test_an_accepted_change_is_drawn_beside_the_model_of_the_base(check: Check, write: Write) -> None:
    git = partial(subprocess.run, check=True, capture_output=True)
    names = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    write("models/net.json", spec(dilation=2))
    write("erfscope.toml", CONFIG + "drift = { max = '5%' }\ntrf_size = { max = 7 }\n")
    assert check("--update-baseline").code == 0
    git(["git", "init", "--quiet", "--initial-branch", "main"])
    git(["git", "add", "--all"])
    git([*names, "commit", "--quiet", "--message", "first"])
    git(["git", "checkout", "--quiet", "-b", "topic"])
    write("models/net.json", spec(dilation=4))
    for _ in range(2):  # the second run tells the same: the text belongs into the commit's message
        done = check("--update-baseline", "--base", "main")
        assert "wrote erfscope-baseline.json; changed since the last commit are:" in done.words
        assert "trf_size 7 px → 11 px; dilation of second 2 → 4." in done.words
        assert "This change re-baselines the model. Against main (" in done.words
        assert "these bounds do not hold. Where the new values are meant, change: erfscope.toml:" in done.words
    git([*names, "commit", "--quiet", "--all", "--message", "second"])
    assert "There is no picture" not in check("--base", "main", "--pictures", "drawn").words
    assert len(list(Path("drawn").glob("*-change.png"))) == 1
    done = check("--base", "main", "--pictures", "elsewhere", "--no-cache")
    assert "There is no picture of the model that the baseline of main was measured from" in done.words


def test_a_dead_head_is_told_without_a_baseline(check: Check, write: Write) -> None:
    write("models/net.onnx", dead_head())
    write("erfscope.toml", CONFIG + "trf_size = { min = 3 }\n")
    done = check()
    assert done.code == 0
    assert done.words.count(f"note: models/net.onnx: {DEAD} relu1.") == 1
    write("models/net.onnx", onnx_model((1, 2, 4)))
    assert "passed over" not in check().words


def test_a_dead_head_is_told_when_the_gate_starts(write: Write) -> None:
    write("models/net.onnx", dead_head())
    done = start("models/net.onnx", "--inputs", "4")
    assert done.code == 0, done.err
    assert f"note: models/net.onnx: {DEAD} relu1." in done.words


def test_a_dead_head_that_fails_is_told_once(check: Check, write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2, 4)))
    write("erfscope.toml", CONFIG + "drift = { max = '5%' }\ntrf_size = {}\n")
    assert check("--update-baseline").code == 0
    write("models/net.onnx", dead_head())
    done = check()
    assert done.code == 1
    assert "The baseline was measured at layer relu2" in done.words
    assert "auto passed over" not in done.words
