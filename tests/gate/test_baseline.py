"""Drift against the committed baseline: caught when a dilation goes, silent when only the seed changes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.gate.conftest import Check, onnx_model, spec

Write = Callable[..., Path]
BASELINE = "erfscope-baseline.json"
RULES = "erf_size = {}\nmass_50_side = {}\ntrf_size = {}\n"


def config(seed: int = 0, inputs: int = 16, level: str = "error", tolerance: str = "2%") -> str:
    sampling = f"[defaults]\ninputs = {inputs}\nseed = {seed}\n"
    drift = f"drift = {{ max = '{tolerance}', level = '{level}', message = 'Tell the tracking team.' }}\n"
    return f'{sampling}[[check]]\nmodel = "models/*"\n{drift}{RULES}'


def entries() -> dict[str, Any]:
    return {entry["model"]: entry for entry in json.loads(Path(BASELINE).read_text("utf-8"))["entries"]}


@pytest.fixture
def committed(check: Check, write: Write) -> None:
    """A repository whose baseline is committed."""
    write("models/net.onnx", onnx_model((1, 2, 4)))
    write("erfscope.toml", config())
    done = check("--update-baseline")
    assert done.code == 0, done.out
    assert f"wrote {BASELINE}" in done.words


@pytest.mark.usefixtures("committed")
def test_a_dead_head_does_not_pass_by_the_numbers_of_the_layer_before_it(check: Check, write: Write) -> None:
    model = onnx.load_from_string(onnx_model((1, 2, 4)))
    (last,) = (one for one in model.graph.initializer if one.name == "w2")
    last.CopyFrom(numpy_helper.from_array(np.zeros(tuple(last.dims), np.float32), "w2"))
    write("models/net.onnx", model.SerializeToString())
    done = check()
    assert done.code == 1
    assert "The baseline was measured at layer relu2; auto took relu1 now (relu2: its gradient is" in done.words


@pytest.mark.usefixtures("committed")
def test_a_removed_dilation_is_drift(check: Check, write: Write) -> None:
    assert check().code == 0
    write("models/net.onnx", onnx_model((1, 2, 1)))
    done = check()
    assert done.code == 1
    assert "Tell the tracking team. erf_size differs by -" in done.words
    assert "px, the limit is 2%; two combined standard errors are" in done.words
    assert (
        "trf_size differs by -6 px (-40.0%) from the baseline: 15 → 9 px, the limit is 2%; both values are exact."
        in done.words
    )
    assert "How to mend: Undo that change to the model." in done.words
    write("erfscope.toml", config(level="warn"))
    assert check().code == 0
    write("erfscope.toml", config(level="off"))
    assert "drift" not in check().out


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_seed_is_no_drift(check: Check, write: Write, seed: int) -> None:
    write("erfscope.toml", config(seed=seed, inputs=24))
    done = check("--json")
    assert done.code == 0, done.out
    found = {one["metric"]: one["found"] for one in json.loads(done.out)["findings"]}
    before = {name: one["value"] for name, one in entries()["models/net.onnx"]["metrics"].items()}
    assert found["mass_50_side"] != before["mass_50_side"]  # the seed has changed what was measured
    assert found["trf_size"] == before["trf_size"]


@pytest.mark.usefixtures("committed")
def test_the_standard_error_is_respected(check: Check, write: Write) -> None:
    """The same two values: beyond a tolerance of nothing, but explained by their errors."""
    write("erfscope.toml", config(seed=1, tolerance="0%"))
    body = json.loads(Path(BASELINE).read_text("utf-8"))
    metrics = body["entries"][0]["metrics"]
    for metric in metrics.values():
        metric["stderr"] = 100.0 if metric["stderr"] else None
    write(BASELINE, body)
    done = check()
    assert done.code == 0, done.out
    assert "so a smaller change is not told from noise" in done.words
    metrics["mass_50_side"].update(stderr=0.0, value=1.0)
    write(BASELINE, body)
    assert check().code == 1


def test_without_a_baseline(check: Check, write: Write) -> None:
    write("models/net.json", spec(side=20))
    write("erfscope.toml", config(inputs=4))
    done = check()
    assert done.code == 1
    assert "This model has no baseline" in done.words
    assert done.out.count("erfscope check --update-baseline") == 1
    check("--update-baseline")
    write("erfscope.toml", config(inputs=4) + "r50 = {}\n")
    assert "r50 has no baseline" in check().out


def test_an_update_keeps_what_it_did_not_measure(check: Check, write: Write) -> None:
    for name in ("a", "b"):
        write(f"models/{name}.json", spec(side=20))
    write("erfscope.toml", config(inputs=4))
    check("--update-baseline")
    before = entries()
    write("models/a.json", spec(2, side=20))
    write("models/b.json", spec(3, side=20))
    check("--update-baseline", "models/a.json")
    after = entries()
    assert after["models/b.json"] == before["models/b.json"]
    assert after["models/a.json"]["metrics"]["trf_size"]["value"] == 7
    Path("models/a.json").write_text("{")
    assert check("--update-baseline").code == 2
    assert entries()["models/a.json"] == after["models/a.json"]  # it could not be measured: the old values stay
    assert entries()["models/b.json"]["metrics"]["trf_size"]["value"] == 9
    Path("models/a.json").unlink()
    assert check("--update-baseline").code == 0
    assert set(entries()) == {"models/b.json"}


def test_two_checks_about_one_measurement_share_an_entry(check: Check, write: Write) -> None:
    write("models/a.json", spec(side=20))
    more = '[[check]]\nmodel = "models/a.json"\nr50 = {}\ndrift = { max = 1.5 }\n'
    write("erfscope.toml", config(inputs=4) + more)
    assert check("--update-baseline").code == 0
    assert set(entries()["models/a.json"]["metrics"]) == {"erf_size", "mass_50_side", "trf_size", "r50"}
    assert "± 1.5" in check().out


@pytest.mark.usefixtures("committed")
def test_the_file_is_read_strictly_and_written_stably(check: Check, write: Write) -> None:
    written = Path(BASELINE).read_bytes()
    check("--update-baseline")
    assert Path(BASELINE).read_bytes() == written
    for text, said in (("{", "is not a baseline"), ('{"schema_version": 9, "entries": []}', "schema_version 9")):
        write(BASELINE, text)
        done = check()
        assert (done.code, said in done.out) == (2, True)
    assert check("--update-baseline").code == 0
    assert Path(BASELINE).read_bytes() == written


def test_nothing_to_commit(check: Check, write: Write) -> None:
    write("models/a.json", spec(side=20))
    write("erfscope.toml", '[[check]]\nmodel = "models/*"\nerf_size = { min = 1 }')
    done = check("--update-baseline")
    assert (done.code, "no check has a drift rule" in done.words) == (2, True)
    assert not Path(BASELINE).exists()


def test_another_layer_is_another_entry(check: Check, write: Write) -> None:
    write("models/a.json", spec(side=20))
    write(
        "erfscope.toml",
        config(inputs=4) + '[[check]]\nmodel = "models/a.json"\nlayer = "first"\n' + RULES + "drift = { max = '2%' }\n",
    )
    check("--update-baseline")
    rows = json.loads(Path(BASELINE).read_text("utf-8"))["entries"]
    assert [row["request"] for row in rows] == [{"target": {"layer": "first"}}, {}]


def test_a_value_that_chance_hides_is_written_with_a_warning_that_names_the_inputs(check: Check, write: Write) -> None:
    write("net.onnx", onnx_model((1, 2), seed=3))
    rules = '[[check]]\nmodel = "net.onnx"\ninputs = {}\nmass_20_side = {{}}\nr50 = {{}}\ndrift = {{ max = "1%" }}\n'
    write("erfscope.toml", rules.format(4))
    done = check("--update-baseline", "--markdown", "a.md")
    assert done.code == 0
    assert "! warn net.onnx" in done.words
    needed = re.search(r"How to mend: Write `inputs = (\d+)` into the check \(now 4\), and run `erfscope", done.words)
    assert needed is not None
    assert done.words.count("into the check (now 4)") == 1  # the largest number alone
    assert re.search(r'Or allow more: `drift = { max = "\d+%" }`\.', done.words)
    assert "chance hides a change of" in Path("a.md").read_text("utf-8").splitlines()[0]
    assert "+0 px" not in check().words
    write("erfscope.toml", rules.format(needed[1]))
    assert "warn" not in check("--update-baseline").out
