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
    assert windows(model_of({"strides": [2, 1]}))["out"] == {
        "kernel": "3×5",
        "step": "2×1",
        "dilation": "1",
        "padding": "0",
        "groups": "1",
        "channels": "4",
    }


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


def facts_of(*nodes: onnx.NodeProto, **constants: list[float]) -> list[dict[str, str]]:
    """What is read of these operators; a constant of whole numbers is int64, another float32."""
    stored = [
        numpy_helper.from_array(np.array(values, np.int64 if isinstance(values[0], int) else np.float32), name)
        for name, values in constants.items()
    ]
    stored.append(numpy_helper.from_array(np.zeros((8, 4, 3, 3), np.float32), "w"))
    read = windows(helper.make_model(helper.make_graph(nodes, "g", [], [], stored)).SerializeToString())
    return [read[node.output[0]] for node in nodes]


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "facts"),
    [
        ("Conv", ["x", "w"], {"group": 2, "pads": [1, 0, 1, 2]}, {"groups": "2", "padding": "1×0+2", "channels": "8"}),
        ("Conv", ["x", "w"], {"auto_pad": "SAME_UPPER"}, {"padding": "same_upper", "groups": "1"}),
        ("ConvTranspose", ["x", "w"], {"group": 2, "output_padding": [1, 1]}, {"channels": "8", "output_padding": "1"}),
        ("MaxPool", ["x"], {"kernel_shape": [2, 2], "ceil_mode": 1}, {"ceil_mode": "1", "padding": "0"}),
        ("AveragePool", ["x"], {"kernel_shape": [2, 2], "count_include_pad": 1}, {"count_include_pad": "1"}),
        ("Pad", ["x", "pads"], {"mode": "reflect"}, {"padding": "2×1+3", "mode": "reflect"}),
        ("Pad", ["x"], {"pads": [0, 0, -1, -1, 0, 0, -1, -1]}, {"padding": "-1", "mode": "constant"}),
        ("Resize", ["x", "", "scale"], {"mode": "linear"}, {"scale": "2×1.5", "mode": "linear"}),
        ("Resize", ["x", "", "", "size"], {}, {"size": "32", "mode": "nearest", "coordinates": "half_pixel"}),
        ("Upsample", ["x"], {"scales": [1.0, 1.0, 2.0, 2.0]}, {"scale": "2"}),
        ("DepthToSpace", ["x"], {"blocksize": 2}, {"block": "2"}),
        ("Slice", ["x", "starts", "ends", "axes"], {}, {"starts": "1×0", "ends": "-1×end", "axes": "2×3"}),
    ],
)  # fmt: skip
def test_what_the_field_of_an_operator_follows_from(
    operator: str, inputs: list[str], attributes: dict[str, object], facts: dict[str, str]
) -> None:
    node = helper.make_node(operator, inputs, ["out"], **attributes)
    constants: dict[str, list[float]] = {"pads": [0, 0, 2, 1, 0, 0, 2, 3], "scale": [1.0, 1.0, 2.0, 1.5],
        "size": [1, 8, 32, 32], "starts": [1, 0], "ends": [-1, 2**63 - 1], "axes": [2, 3]}  # fmt: skip
    (read,) = facts_of(node, **constants)
    assert {word: read.get(word) for word in facts} == facts


def test_a_constant_that_is_an_operator_is_read() -> None:
    value = helper.make_tensor("", TensorProto.FLOAT, [4], [1.0, 1.0, 4.0, 4.0])  # not as raw bytes
    scale = helper.make_node("Constant", [], ["scale"], value=value)
    resize = helper.make_node("Resize", ["x", "", "scale"], ["out"])
    model = helper.make_model(helper.make_graph([scale, resize], "g", [], []))
    assert windows(model.SerializeToString())["out"]["scale"] == "4"
