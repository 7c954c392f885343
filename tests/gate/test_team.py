"""What a team that keeps models needs of the gate: what changed, a start by one command, no silence."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.gate.conftest import Check, Done, onnx_model, spec
from typer.testing import CliRunner

from erfscope.cli import app
from erfscope.cli.progress import plain_lines
from erfscope.gate.layers import changed, of_spec
from erfscope_contract.presets import PRESETS

Write = Callable[..., Path]
WATCHED = 'drift = { max = "2%" }\ntrf_size = {}\nerf_size = {}\n'


def config(rules: str) -> str:
    return f'[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*"\n{rules}'


def start(*words: str) -> Done:
    """`erfscope init …` in the working folder."""
    done = CliRunner().invoke(app, ["init", *words])
    return Done(done.exit_code, done.stdout, done.stderr if done.exit_code == 0 else str(done.exception))


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
    assert "Changed in the model: second: dilation 8 → 1." in done.words
    assert "Changed in the model: conv1: TRF 7 → 5." in done.words
    assert done.words.count("Changed in the model") == 2  # once for each model


def test_other_weights_are_no_change_of_layers(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4, init="kaiming_normal"))
    write(
        "erfscope.toml", config('inputs = 64\ndrift = { max = "1%" }\nparticipation = {}\nr2 = {}\nkurtosis_x = {}\n')
    )
    assert check("--update-baseline").code == 0
    write("models/net.json", spec(dilation=4, init="ones"))
    done = check()
    assert done.code == 1
    assert "No layer has another kernel, stride or dilation: look at the weights." in done.words


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
    assert "The baseline has no layers to compare with" in check().words


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"a": "conv kernel_size=3"}, {"a": "conv kernel_size=5"}, "a: kernel_size 3 → 5."),
        ({"a": "conv stride=2"}, {"a": "conv"}, "a: stride 2 → 1."),
        ({"a": "conv", "b": "relu"}, {"a": "conv"}, "b (relu) is gone."),
        ({"a": "conv"}, {"a": "conv", "b": "pool"}, "b (pool) is new."),
        ({"a": "conv"}, {"a": "dense"}, "a: conv → dense."),
        (
            {"a": "Conv TRF=9 stride=1", "b": "Conv TRF=19 stride=1"},
            {"a": "Conv TRF=3 stride=1", "b": "Conv TRF=13 stride=1"},
            "a: TRF 9 → 3.",
        ),
        (dict.fromkeys("abcde", "conv"), {}, "a (conv) is gone; b (conv) is gone; c (conv) is gone and 2 more."),
    ],
)
def test_changes_in_words(before: dict[str, str], now: dict[str, str], words: str) -> None:
    assert changed(before, now) == f"Changed in the model: {words}"
    assert changed(before, before) == ""


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_layers_of_different_names(name: str) -> None:
    layers = of_spec(PRESETS[name]())
    assert layers
    assert changed(layers, layers) == ""


def test_init_writes_what_the_gate_needs(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    write("models/export.onnx", onnx_model((1, 2)))
    done = start("models/net.json", "models/export.onnx", "--inputs", "4")
    assert done.code == 0, done.err
    for name in ("erfscope.toml", "erfscope-baseline.json", ".github/workflows/erfscope.yml"):
        assert Path(name).is_file()
        assert f"wrote {name}" in done.words
    steps = yaml.safe_load(Path(".github/workflows/erfscope.yml").read_text("utf-8"))["jobs"]["check"]["steps"]
    assert any("erfscope check" in step.get("run", "") for step in steps)
    passed = check()
    assert passed.code == 0
    assert "6 passed" in passed.words
    write("models/net.json", spec(dilation=1))
    assert "second: dilation 4 → 1" in check().words


def test_init_keeps_what_is_there(write: Write) -> None:
    write("models/net.json", spec())
    write("erfscope.toml", "# mine\n")
    done = start("models/net.json")
    assert done.code != 0
    assert "erfscope.toml: there already. --force writes over it." in done.err
    assert Path("erfscope.toml").read_text("utf-8") == "# mine\n"


def test_init_names_a_model_that_is_not_there() -> None:
    done = start("models/none.onnx")
    assert done.code != 0
    assert "there is no file models/none.onnx" in done.err
    assert not Path("erfscope.toml").exists()


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
    assert "checking models/net.json measure: 100 %" in done.err.splitlines()
    assert "checking" not in done.out
    told = plain_lines("checking")
    for share in (0.0, 0.01, 0.09, 0.1, 0.5):
        told("a.onnx measure", share)
    assert capsys.readouterr().err.splitlines() == [f"checking a.onnx measure: {share} %" for share in (0, 10, 50)]


def git(*words: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *words], check=True, capture_output=True)


def test_the_history_of_a_branch_tells_who_moved_what(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    write("erfscope.toml", config("drift = { max = '2%' }\ntrf_size = {}\n"))
    git("init", "--quiet")
    for dilation, subject in ((4, "first sizes"), (2, "half the dilation"), (2, "no change")):
        write("models/net.json", spec(dilation=dilation))
        assert check("--update-baseline").code == 0
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", subject)
    done = CliRunner().invoke(app, ["history", "--json"], catch_exceptions=False)
    steps = json.loads(done.stdout)
    assert [(one["subject"], one["metric"], one["value"]["value"]) for one in steps] == [
        ("first sizes", "trf_size", 11.0),
        ("half the dilation", "trf_size", 7.0),
    ]
    assert [one["before"] and one["before"]["value"] for one in steps] == [None, 11.0]
    table = CliRunner().invoke(app, ["history", "models/net.json"], catch_exceptions=False).stdout
    assert "half the dilation" in table
    assert "11 px" in table
    assert "first" not in CliRunner().invoke(app, ["history", "--last", "1", "models/other.json"]).stdout


def test_a_history_needs_commits(write: Write) -> None:
    write("models/net.json", spec())
    write("erfscope.toml", config("drift = { max = '2%' }\ntrf_size = {}\n"))
    assert "git cannot tell the history" in str(CliRunner().invoke(app, ["history"]).exception)
    git("init", "--quiet")
    assert "git cannot tell" in str(CliRunner().invoke(app, ["history"]).exception)
