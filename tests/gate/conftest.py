"""The gate as people meet it: a folder with a configuration and models, the command, and what it leaves behind."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from erfscope.cli import app

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"


def conv(**more: Any) -> dict[str, Any]:
    return {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same", **more}


def spec(dilation: int = 1, side: int = 32, **more: Any) -> dict[str, Any]:
    """Two convolutions, the second dilated: TRF 3 + 2 · dilation."""
    layers = [conv(name="first"), {"type": "relu"}, conv(name="second", dilation=dilation), {"type": "relu"}]
    return {"name": "net", "input": {"channels": 3, "size": [side, side]}, "layers": layers, **more}


def onnx_model(dilations: tuple[int, ...] = (1, 2, 4), seed: int = 0, side: int = 48) -> bytes:
    """Convolutions 3×3 with ReLU on an input of side × side: TRF 1 + 2 · the sum of dilations."""
    rng = np.random.default_rng(seed)
    nodes, weights, name = [], [], "image"
    for n, dilation in enumerate(dilations):
        shape = (8, 8 if n else 3, 3, 3)
        values = rng.standard_normal(shape) * (2 / (shape[1] * 9)) ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{n}"))
        attributes = {"kernel_shape": [3, 3], "pads": [dilation] * 4, "dilations": [dilation] * 2}
        nodes.append(helper.make_node("Conv", [name, f"w{n}"], [f"conv{n}"], name=f"conv{n}", **attributes))
        name = f"relu{n}"
        nodes.append(helper.make_node("Relu", [f"conv{n}"], [name], name=name))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, side, side])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """stdout without its line breaks."""
        return " ".join(self.out.split())


Check = Callable[..., Done]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one test has measured, the others recall."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    """No setting of the machine, and no forge, unless a test plays one."""
    for name in list(os.environ):
        if name.startswith(("ERFSCOPE_", "GITHUB_", "CI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(shared_cache))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, which is the working folder."""
    place = tmp_path / "repository"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def write(folder: Path) -> Callable[[str, str | bytes | dict[str, Any]], Path]:
    """`write("models/a.json", spec())`: a file of the repository."""

    def wrote(name: str, content: str | bytes | dict[str, Any]) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return wrote


@pytest.fixture
def miniature(folder: Path) -> Callable[[str], Path]:
    """`miniature("passing")`: a copy of examples/ci/passing as the working folder."""

    def copied(name: str) -> Path:
        shutil.copytree(CI / name, folder, dirs_exist_ok=True)
        return folder

    return copied


@pytest.fixture
def check() -> Check:
    """`erfscope check …` in the working folder."""

    def ran(*words: str | Path) -> Done:
        done = CliRunner().invoke(app, ["check", *map(str, words)], catch_exceptions=False)
        return Done(done.exit_code, done.stdout, done.stderr)

    return ran


def installed_environment(**more: str) -> dict[str, str]:
    """For a child: the installed commands on the path, and this test's settings."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, **more}
