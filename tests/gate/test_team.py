"""What a team that keeps models needs of the gate: what changed, a start by one command, no silence."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.gate.conftest import Check, onnx_model, spec

from erfscope.cli.progress import plain_lines
from erfscope.gate import answers
from erfscope.gate.cache import Answer
from erfscope.gate.layers import changed, of_spec
from erfscope.gate.question import Question
from erfscope_contract.presets import PRESETS

Write = Callable[..., Path]
WATCHED = 'drift = { max = "2%" }\ntrf_size = {}\nerf_size = {}\n'


def config(rules: str) -> str:
    return f'[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*"\n{rules}'


def test_a_drift_tells_which_layer_lost_its_dilation(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=8))
    write("models/export.onnx", onnx_model((1, 2, 4)))
    write("erfscope.toml", config(WATCHED))
    assert check("--update-baseline").code == 0
    write("models/net.json", spec(dilation=1))
    write("models/export.onnx", onnx_model((1, 1, 4)))
    done = check()
    assert done.code == 1
    assert "19 → 5 px" in done.words
    assert "Changed in models/net.json: dilation of second 8 → 1." in done.words
    assert "Changed in models/export.onnx: dilation of conv1 2 → 1, padding 2 → 1." in done.words
    assert done.words.count("Changed in") == 2  # once for each model, above what broke
    assert done.words.index("Changed in models/export.onnx") < done.words.index("✗ fail models")


def test_each_failure_of_a_forge_tells_what_changed(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=8))
    write("erfscope.toml", config(WATCHED.replace("trf_size = {}", "trf_size = { min = 10 }")))
    assert check("--update-baseline").code == 0
    write("models/net.json", spec(dilation=1))
    assert check("--junit", "junit.xml", "--markdown", "erf.md", "--report", "report.json").code == 1
    told = [one.get("message", "") for one in ET.parse("junit.xml").iter("failure")]
    assert len(told) == 3  # the bound as well
    assert all("Changed in the model: dilation of second 8 → 1." in one for one in told)
    assert Path("erf.md").read_text("utf-8").count("dilation of second 8 → 1") == 1
    found = json.loads(Path("report.json").read_text("utf-8"))["findings"]
    assert {one["change"] for one in found} == {"dilation of second 8 → 1."}


def test_an_update_tells_what_it_changed(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=8))
    write("erfscope.toml", config(WATCHED))
    assert "models/net.json: new, with trf_size 19 px" in check("--update-baseline").words
    assert "wrote erfscope-baseline.json; every value and layer is as before." in check("--update-baseline").words
    write("models/net.json", spec(dilation=1))
    write("models/second.json", spec(dilation=1))
    done = check("--update-baseline")
    assert "wrote erfscope-baseline.json; changed are:" in done.words
    assert "models/net.json: trf_size 19 px → 5 px;" in done.words
    assert "; dilation of second 8 → 1." in done.words
    assert "models/second.json: new" in done.words
    Path("models/second.json").unlink()
    assert "models/second.json: gone; no check measures it any more." in check("--update-baseline").words


def test_other_weights_are_no_change_of_layers(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4, init="kaiming_normal"))
    write(
        "erfscope.toml", config('inputs = 64\ndrift = { max = "1%" }\nparticipation = {}\nr2 = {}\nkurtosis_x = {}\n')
    )
    assert check("--update-baseline").code == 0
    write("models/net.json", spec(dilation=4, init="ones"))
    done = check()
    assert done.code == 1
    assert "Changed in models/net.json: the weights alone; the input's shape, every layer's kernel," in done.words
    assert "How to mend: Restore the former weights. Where it is meant:" in done.words


def test_a_model_that_is_trained_again_is_told_both_ways_on(check: Check, write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2), seed=0))
    write("erfscope.toml", config('inputs = 64\ndrift = { max = "1%" }\nmass_50_side = {}\nparticipation = {}\n'))
    assert check("--update-baseline").code == 0
    write("models/net.onnx", onnx_model((1, 2), seed=3))
    done = check("--markdown", "a.md")
    assert done.code == 1
    assert "How to mend: If the model was trained again, other values are usual: run `erfscope check" in done.words
    assert "erfscope init models/net.onnx --weights random" in done.words
    assert '`weights = "kaiming_normal"`, `draws = 128` and `inputs = 1`, each on its line' in Path("a.md").read_text(
        "utf-8"
    )


def test_a_baseline_without_layers_says_so(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=8))
    write("erfscope.toml", config(WATCHED))
    assert check("--update-baseline").code == 0
    file = Path("erfscope-baseline.json")
    body = json.loads(file.read_text("utf-8"))
    del body["entries"][0]["layers"]
    file.write_text(json.dumps(body), "utf-8")
    assert check().code == 0
    write("models/net.json", spec(dilation=1))
    assert "the baseline has no layers to compare with" in check().words


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"a": "conv kernel_size=3"}, {"a": "conv kernel_size=5"}, "kernel of a 3 → 5."),
        ({"a": "conv stride=2"}, {"a": "conv"}, "stride of a 2 → 1."),
        ({"a": "conv padding=1"}, {"a": "conv"}, "padding of a 1 → 0."),
        ({"a": "max_pool kernel_size=3"}, {"a": "max_pool kernel_size=3 stride=2"}, "stride of a 3 → 2."),
        ({"a": "repeat times=4"}, {"a": "repeat times=3"}, "times of a 4 → 3."),
        ({"a": "conv", "b": "relu"}, {"a": "conv"}, "layer b (relu) removed after a."),
        ({"a": "conv"}, {"a": "conv", "b": "pool"}, "layer b (pool) added after a."),
        ({"a": "conv"}, {"a": "dense"}, "a: conv → dense."),
        (
            {"a": "Conv TRF=9 grid=1", "b": "Conv TRF=19 grid=1"},
            {"a": "Conv TRF=3 grid=1", "b": "Conv TRF=13 grid=1"},
            "TRF of a 9 → 3.",
        ),
        (
            {"a": "Conv TRF=3 grid=1 kernel=3 step=1 dilation=1", "b": "Conv TRF=11 grid=1 kernel=3 step=1 dilation=4"},
            {"a": "Conv TRF=3 grid=2 kernel=3 step=2 dilation=1", "b": "Conv TRF=7 grid=2 kernel=3 step=1 dilation=1"},
            "stride of a 1 → 2; dilation of b 4 → 1.",
        ),
        (  # two facts of one layer are one change
            {"input": "input shape=3×64×64", "a": "conv dilation=4 padding=4", "b": "conv"},
            {"input": "input shape=3×96×96", "a": "conv", "b": "conv groups=depthwise"},
            "shape of the input 3×64×64 → 3×96×96; dilation of a 4 → 1, padding 4 → 0; groups of b 1 → depthwise.",
        ),
        (
            {"input": "input shape=3×64×64", "a": "upsample scale_factor=2", "b": "max_pool kernel_size=2"},
            {
                "input": "input shape=3×64×64",
                "a": "upsample scale_factor=2 mode=bilinear",
                "b": "max_pool kernel_size=2 ceil_mode=1",
            },
            "mode of a nearest → bilinear; ceil mode of b 0 → 1.",
        ),
        (  # an older baseline has neither the input nor these facts
            {"a": "conv kernel_size=3"},
            {"input": "input shape=3×64×64", "a": "conv kernel_size=3 out_channels=8 groups=2"},
            "",
        ),
        (  # another module, the same tensor
            {"a": "Conv TRF=9 grid=1 dilation=4 module=body.0"},
            {"a": "Conv TRF=3 grid=1 dilation=1 module=trunk.0"},
            "dilation of a (module trunk.0, before: body.0) 4 → 1.",
        ),
        (
            {"a": "Conv TRF=9 grid=1"},
            {"a": "Conv TRF=3 grid=1 kernel=3 step=1 dilation=4 module=last.0"},
            "TRF of a (module last.0) 9 → 3.",
        ),
        (dict.fromkeys("abcde", "conv"), {}, "layers a (conv), b (conv), c (conv) and 2 more removed."),
        (
            dict.fromkeys("abcd", "conv"),
            {"a": "x", "b": "x", "c": "x", "d": "x"},
            "a: conv → x; b: conv → x; c: conv → x and 1 more.",
        ),
    ],
)
def test_changes_in_words(before: dict[str, str], now: dict[str, str], words: str) -> None:
    assert changed(before, now) == words
    assert changed(before, before) == ""


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_layers_of_different_names(name: str) -> None:
    layers = of_spec(PRESETS[name]())
    assert layers
    assert changed(layers, layers) == ""


def test_a_broken_file_is_not_the_service_s_fault(check: Check, write: Write) -> None:
    write("models/net.onnx", b"no ONNX at all")
    write("erfscope.toml", config("erf_size = { min = 1 }\n"))
    done = check("--report", "report.json")
    assert done.code == 2
    assert "not a valid ONNX model" in done.words
    assert json.loads(Path("report.json").read_text("utf-8"))["result"] != "service"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("erf_ratio = { min = 80 }", "erf_ratio.min is 80, but a ratio lies between 0 and 1; 80 % is 0.8"),
        ("mass_50_ratio = { max = 5 }", "mass_50_ratio.max is 5, but a ratio lies between 0 and 1; 5 % is 0.05"),
    ],
)
def test_a_ratio_in_per_cent_is_refused_in_words(check: Check, write: Write, rule: str, words: str) -> None:
    write("models/net.json", spec())
    write("erfscope.toml", config(f"{rule}\n"))
    done = check()
    assert done.code == 2
    assert words in done.words
    assert "erfscope.toml:5" in done.words


def test_a_field_that_fills_the_input_is_not_guarded_in_silence(check: Check, write: Write) -> None:
    write("models/net.json", spec(side=3, init="ones"))
    write("erfscope.toml", config("erf_size = { min = 2 }\ntrf_size = { min = 5 }\n"))
    done = check()
    assert done.code == 0
    assert "erf_size cannot tell: the field fills the input (3 × 3 px), which limits it." in done.words
    assert "trf_size cannot tell" not in done.words
    write("models/net.json", spec(side=32, dilation=4, init="ones"))
    write("erfscope.toml", config("erf_size = { min = 2 }\n"))
    assert "cannot tell" not in check().words


def test_progress_is_plain_lines_in_a_log(check: Check, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("models/net.json", spec(dilation=3))
    write("erfscope.toml", config("erf_size = { min = 2 }\n"))
    done = check("--no-cache")
    assert "checking models/net.json starts: 0 %" in done.err.splitlines()
    assert "checking models/net.json measure: 100 %" in done.err.splitlines()
    assert "checking" not in done.out
    with plain_lines("checking") as told:
        for share in (0.0, 0.01, 0.09, 0.1, 0.5):
            told("a.onnx measure", share)
    assert capsys.readouterr().err.splitlines() == [f"checking a.onnx measure: {share} %" for share in (0, 10, 50)]


def test_a_log_has_a_sign_of_life_while_nothing_new_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_lines("checking", alive=0.01) as told:
        told("a.onnx measure", 0.2)
        seen = ""
        while "checking a.onnx measure: 20 %, for" not in seen:
            time.sleep(0.01)
            seen += capsys.readouterr().err


def test_sigterm_leaves_reports_of_what_was_measured(
    check: Check, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models/a.json", spec(side=20))
    write("models/b.json", spec(side=24))
    write("erfscope.toml", config("trf_size = { min = 2 }\n").replace("models/net.json", "models/*.json"))
    measure = answers._measure

    def stopped_at_the_second(question: Question, *more: Any) -> Answer:
        if question.subject.label == "models/b.json":
            signal.raise_signal(signal.SIGTERM)
        return measure(question, *more)

    monkeypatch.setattr(answers, "_measure", stopped_at_the_second)
    before = signal.getsignal(signal.SIGTERM)
    done = check("--no-cache", "--report", "report.json", "--junit", "report.xml")
    assert done.code == 3
    found = json.loads(Path("report.json").read_text())["findings"]
    assert [(one["model"], one["verdict"]) for one in found] == [("models/a.json", "pass"), ("models/b.json", "broken")]
    assert "ended by SIGTERM" in found[1]["detail"]
    assert Path("report.xml").is_file()
    assert signal.getsignal(signal.SIGTERM) is before
