"""Kernel, stride and dilation off the bytes of ONNX files, against what the onnx library reads of the same files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.gate.conftest import onnx_model
from typer.testing import CliRunner

from erfscope.cli import app
from erfscope.gate.windows import modules, windows

SCOPES = "pkg.torch.onnx.name_scopes"


def model_of(attributes: dict[str, list[int]], scopes: str | None = None) -> bytes:
    """One convolution 3×5 that names no kernel unless `attributes` do."""
    node = helper.make_node("Conv", ["image", "w"], ["out"], name="", **attributes)
    if scopes is not None:
        node.metadata_props.add(key=SCOPES, value=scopes)
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, c, None, None])
        for name, c in (("image", 3), ("out", 4))
    ]
    weight = numpy_helper.from_array(np.zeros((4, 3, 3, 5), np.float32), "w")
    graph = helper.make_graph([node, helper.make_node("Relu", ["out"], ["end"])], "net", sides[:1], sides[1:], [weight])
    return bytes(helper.make_model(graph).SerializeToString())


def test_dilations_of_a_chain(tmp_path: Path) -> None:
    content = onnx_model((1, 2, 4))
    (tmp_path / "net.onnx").write_bytes(content)
    read = windows(content)
    assert read == windows(tmp_path / "net.onnx")
    assert {name: facts["dilation"] for name, facts in read.items()} == {"conv0": "1", "conv1": "2", "conv2": "4"}
    assert {(facts["kernel"], facts["step"]) for facts in read.values()} == {("3", "1")}


def test_a_kernel_that_only_the_weight_tells() -> None:
    assert windows(model_of({"strides": [2, 1]}))["out"] == {"kernel": "3×5", "step": "2×1", "dilation": "1"}


@pytest.mark.parametrize(
    ("scopes", "module"),
    [("['', 'last', 'last.1', 'conv2d']", "last.1"), ("['', 'conv2d']", None), ("no list", None), ("{}", None)],
)
def test_the_module_that_an_operator_came_from(scopes: str, module: str | None) -> None:
    assert windows(model_of({}, scopes))["out"].get("module") == module


@pytest.mark.parametrize(("weight", "module"), [("last.0.weight", "last.0"), ("val_3", "last.1")])
def test_a_convolution_with_a_folded_batchnorm_is_named_after_its_own_module(weight: str, module: str) -> None:
    """Torch's exporter notes the BatchNorm's module for both, and keeps the name of the convolution's weight."""
    model = onnx.load_from_string(model_of({}, "['', 'last', 'last.1', '_native_batch_norm']"))
    model.graph.node[0].input[1] = model.graph.initializer[0].name = weight
    assert windows(model.SerializeToString())["out"]["module"] == module
    assert modules(model.SerializeToString()) == {"out": module}


@pytest.mark.parametrize("content", [b"", b"no ONNX at all", onnx_model()[:-40]])
def test_what_is_not_onnx_has_no_windows(content: bytes) -> None:
    assert windows(content) == {}


def test_modules_are_known_of_every_output_of_a_file_that_names_them() -> None:
    node = helper.make_node("Relu", ["x"], ["seen"], name="relu")
    node.metadata_props.add(key=SCOPES, value="['', 'last', 'last.1', 'relu']")
    graph = helper.make_graph([node], "g", [], [])
    assert modules(helper.make_model(graph).SerializeToString()) == {"seen": "last.1"}
    assert modules(onnx_model((1,))) == {}
    assert modules(b"no model") == {}


def test_layers_shows_the_modules_of_an_export(write: Callable[..., Path]) -> None:
    model = onnx.load_model_from_string(onnx_model((1, 2)))
    for number, node in enumerate(model.graph.node):
        node.metadata_props.add(key=SCOPES, value=f"['', 'body.{number}', 'op']")
    path = write("net.onnx", model.SerializeToString())
    done = CliRunner().invoke(app, ["layers", str(path)])
    assert done.exit_code == 0
    assert "TRF area" in done.stdout
    assert "body.3" in done.stdout
