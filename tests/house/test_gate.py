"""The CI gate against the real stack: the service measures, the gate judges."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from tests.house.conftest import House
from typer.testing import CliRunner

from erfscope.cli import app

CONFIG = '[[check]]\nmodel = "*.onnx"\ninputs = 4\n'
Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(house: House, tmp_path: Path, onnx_model: bytes, monkeypatch: pytest.MonkeyPatch) -> Check:
    """`erfscope check --json …` in a folder with the model; its exit code and report."""
    (tmp_path / "net.onnx").write_bytes(onnx_model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERFSCOPE_URL", raising=False)
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(tmp_path / "cache"))

    def ran(rules: str, *words: str) -> tuple[int, dict[str, Any]]:
        Path("erfscope.toml").write_text(CONFIG + rules)
        done = CliRunner().invoke(app, ["check", "--json", *words], catch_exceptions=False)
        return done.exit_code, json.loads(done.stdout)

    return ran


def test_a_service_measures_what_this_process_measures(check: Check, house: House) -> None:
    rules = "trf_size = { min = 7, max = 7 }\nsigma_1 = { min = 0.1 }\n"
    here = check(rules)
    there = check(rules, "--url", house.url, "--pictures", "drawn", "--timeout", "120")
    again = check(rules, "--url", house.url, "--pictures", "drawn")
    assert [code for code, _ in (here, there, again)] == [0, 0, 0]
    assert [(report["measured"], report["cached"]) for _, report in (here, there, again)] == [(1, 0), (1, 0), (0, 1)]
    found = [[one["found"] for one in report["findings"]] for _, report in (here, there, again)]
    assert found[1] == found[2] == pytest.approx(found[0], rel=1e-5)
    (picture,) = Path("drawn").iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_one_bad_model_does_not_hide_the_others(check: Check, house: House) -> None:
    Path("bad.onnx").write_bytes(b"no model")
    code, report = check("trf_size = { min = 7, max = 7 }\n", "--url", house.url)
    assert code == 2
    assert [(one["model"], one["verdict"]) for one in report["findings"]] == [
        ("bad.onnx", "broken"),
        ("net.onnx", "pass"),
    ]
    assert "not a valid ONNX model" in report["findings"][0]["detail"]


def test_a_layer_that_is_not_there_is_the_configuration(check: Check, house: House) -> None:
    code, report = check('trf_size = { min = 7 }\nlayer = "third"\n', "--url", house.url)
    assert code == 2
    assert "layer" in report["findings"][0]["detail"]
    assert report["findings"][0]["line"] == 5


def test_patience_ends(check: Check, house: House) -> None:
    code, report = check("trf_size = { min = 7 }\nseed = 99\n", "--url", house.url, "--timeout", "0")
    assert code == 3
    assert "after 0 s; it goes on" in report["findings"][0]["detail"]


def test_a_drift_that_a_service_measured_tells_its_layer(check: Check, house: House) -> None:
    rules = "trf_size = {}\ndrift = { max = '1%' }\n"
    assert check(rules, "--url", house.url, "--update-baseline")[0] == 0
    model = onnx.load("net.onnx")
    second = next(node for node in model.graph.node if node.name == "second")
    next(one for one in second.attribute if one.name == "pads").ints[:] = [2] * 4
    second.attribute.append(helper.make_attribute("dilations", [2, 2]))
    onnx.save(model, "net.onnx")
    code, report = check(rules, "--url", house.url)
    assert code == 1
    assert report["findings"][0]["change"] == "dilation of second 1 → 2, padding 1 → 2."
