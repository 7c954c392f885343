"""What a shell is offered: presets, model files, layers; and what is said at the start of a command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from onnx import TensorProto, helper, save

from erfscope.cli import completion
from erfscope_contract.version import __version__

from .command_line import SPEC, Run, environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "nets").mkdir()
    nodes = [helper.make_node("Relu", ["x"], ["mid"]), helper.make_node("Relu", ["mid"], ["out"])]
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("x", "out")]
    save(helper.make_model(helper.make_graph(nodes, "g", kinds[:1], kinds[1:])), tmp_path / "nets" / "b.onnx")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_models_are_files_folders_and_presets() -> None:
    offered = completion.models("")
    assert offered[:2] == ["a.json", "nets/"]
    assert "preset:resnet50" in offered
    assert completion.models("nets/") == ["nets/b.onnx"]
    assert completion.models("./a") == ["./a.json"]
    assert completion.models("preset:resnet3") == ["preset:resnet34"]
    assert completion.models("nowhere/x") == []


@pytest.mark.usefixtures("folder")
def test_layers_are_those_of_the_model_that_was_given() -> None:
    def offered(model: object, incomplete: str = "") -> list[str]:
        return completion.layers(SimpleNamespace(params={"model": model}, args=[]), incomplete)

    assert offered("a.json") == ["auto", "first", "second"]
    assert offered("nets/b.onnx") == ["auto", "mid", "out"]
    assert offered("nets/b.onnx", "o") == ["out"]
    assert offered("preset:resnet50", "layer4")[0].startswith("layer4")
    assert offered("missing.onnx") == []


@pytest.mark.usefixtures("folder")
def test_a_shell_gets_them() -> None:
    words = {
        "COMP_WORDS": "erfscope measure a.json --layer s",
        "COMP_CWORD": "4",
        "_ERFSCOPE_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'erfscope'; from erfscope.cli import main; main()"],
        env={**environment(), **words}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["second"], done.stderr


def test_the_version_is_an_option_too(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_that_pytorch_is_loaded_is_said(folder: Path) -> None:
    code = (
        "from pathlib import Path; from erfscope import _local; from erfscope._models import prepare;"
        "from erfscope_contract.request import InputOptions;"
        "_local.inspect(prepare(Path('a.json')), InputOptions(), lambda stage, share: print(stage))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "loading PyTorch"
