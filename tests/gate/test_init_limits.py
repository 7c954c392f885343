"""How many inputs or draws `erfscope init` takes, and what it watches, so that chance hides no drift."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.gate.conftest import Check, onnx_model
from tests.gate.test_init import Write, start, written

from erfscope.gate.findings import Finding, Report, Rule, Verdict
from erfscope.gate.limited import by_chance
from erfscope.gate.sampling import Noise
from erfscope.gate.starter import Limit, Plan, checks


@pytest.mark.parametrize("dilations", [(1, 2), (1, 2, 4, 8)])
def test_a_fresh_gate_sees_its_own_limit_and_passes_with_other_seeds(
    check: Check, write: Write, dilations: tuple[int, ...]
) -> None:
    write("models/net.onnx", onnx_model(dilations))
    done = start("models/net.onnx")
    assert done.code == 0, done.err
    (one,) = written()["check"]
    inputs = one.get("inputs", 16)
    text = Path("erfscope.toml").read_text("utf-8")
    if inputs > 16:
        assert f"# {inputs} inputs: with 16, chance moved " in text
        assert f"models/net.onnx: {inputs} inputs, so that chance does not hide a drift of 5%" in done.words
    assert one["drift"]["max"] == "5%"
    for seed in range(1, 4):
        write("erfscope.toml", text.replace("[defaults]", f"[defaults]\nseed = {seed}"))
        done = check()
        assert done.code == 0, done.out
        assert "to see one of" not in done.words


def test_more_inputs_are_taken_where_the_first_cannot_see_the_limit(write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2, 4, 8)))
    write("erfscope.toml", "[defaults]\ninputs = 4\n")
    assert start("models/net.onnx").code == 0
    assert written()["check"][0]["inputs"] > 16
    assert "inputs: with 4, chance moved " in Path("erfscope.toml").read_text("utf-8")


def test_with_drawn_weights_the_gate_guards_the_architecture_alone(check: Check, write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2, 4), seed=0))
    done = start("models/net.onnx", "--weights", "random", "--inputs", "48")
    assert done.code == 0, done.err
    (one,) = written()["check"]
    assert (one["weights"], one["draws"], one["inputs"]) == ("kaiming_normal", 48, 1)
    write("models/net.onnx", onnx_model((1, 2, 4), seed=3))
    assert check().code == 0
    write("models/net.onnx", onnx_model((1, 2, 1), seed=0))
    assert check().code == 1


def test_more_draws_are_taken_where_the_first_cannot_see_the_limit(write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2, 4)))
    done = start("models/net.onnx", "--weights", "random")
    assert done.code == 0, done.err
    (one,) = written()["check"]
    assert one["inputs"] == 1
    assert one["draws"] > 16
    assert f"# {one['draws']} draws: with 16, chance moved " in Path("erfscope.toml").read_text("utf-8")


def test_a_size_that_chance_moves_too_much_is_not_watched() -> None:
    assert Noise("erf_size", 0.4).enough(16) == 512
    assert Noise("erf_size", 0.4).needed(16) > 512
    finding = Finding("net", "net.onnx", Rule.DRIFT, Verdict.PASS, "", "", 1, metric="erf_size", found=10.0)
    for stderr, limited in ((1.0, {"net.onnx": Limit.CHANCE}), (0.1, {})):
        report = Report((replace(finding, stderr=stderr),), "erfscope.toml")
        assert by_chance(report, {"net.onnx": 16}) == limited
    text = checks({"net": "net.onnx"}, "check", {"net.onnx": Plan(limit=Limit.CHANCE)}, 16)
    assert "# erf_size is not watched: chance moves it too much: it alone would need more than 256 inputs" in text
    (one,) = tomllib.loads(text)["check"]
    assert [name for name in one if name.endswith(("_size", "_side"))] == ["trf_size", "mass_50_side"]


def test_a_limit_that_the_asked_inputs_cannot_see_is_widened(check: Check, write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2, 4, 8)))
    done = start("models/net.onnx", "--inputs", "3")
    assert done.code == 0, done.err
    (one,) = written()["check"]
    assert "inputs" not in one
    share = int(one["drift"]["max"].removesuffix("%"))
    assert share > 5
    assert f"models/net.onnx: the drift limit is {share}%: see the comment" in done.words
    text = Path("erfscope.toml").read_text("utf-8")
    assert "# The limit is wider than 5%: with 3 inputs chance moves " in text
    write("erfscope.toml", text.replace("[defaults]", "[defaults]\nseed = 5"))
    assert check().code == 0
