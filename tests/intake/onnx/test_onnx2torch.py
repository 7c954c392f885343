"""The same file both ways: by our own converters, and by those of onnx2torch, which stand behind ours."""

from pathlib import Path

import numpy as np
import onnx2torch
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erfscope_contract.request import ErfRequest
from erfscope_engine import measure
from erfscope_intake.answer import Answer, Sources, answer
from erfscope_intake.converters import TABLE
from erfscope_intake.onnx_behind import registered

OPSET = 13
REQUEST = ErfRequest.model_validate({"average": {"inputs": 4}, "target": {"layer": "y"}, "dtype": "float64"})
NODES = [
    helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3]),
    helper.make_node("BatchNormalization", ["c0", "scale", "bias", "mean", "var"], ["n0"], epsilon=1e-5),
    helper.make_node("LeakyRelu", ["n0"], ["r0"], alpha=0.1),
    helper.make_node("AveragePool", ["r0"], ["p0"], kernel_shape=[2, 2], strides=[2, 2]),
    helper.make_node("Conv", ["p0", "w1"], ["c1"], pads=[2, 2, 2, 2], dilations=[2, 2], group=2, kernel_shape=[3, 3]),
    helper.make_node("GlobalAveragePool", ["c1"], ["g1"]),
    helper.make_node("Sigmoid", ["g1"], ["s1"]),
    helper.make_node("Mul", ["c1", "s1"], ["m1"]),
    helper.make_node("Add", ["m1", "p0"], ["a1"]),
    helper.make_node("Concat", ["a1", "p0"], ["j1"], axis=1),
    helper.make_node("ConvTranspose", ["j1", "w2"], ["t2"], strides=[2, 2], kernel_shape=[2, 2]),
    helper.make_node("Tanh", ["t2"], ["y"]),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small network of operators that both have a converter for."""
    draw = np.random.default_rng(0)
    shapes = {
        "w0": (4, 3, 3, 3), "b0": (4,), "scale": (4,), "bias": (4,), "mean": (4,), "var": (4,), "w1": (4, 2, 3, 3),
        "w2": (8, 2, 2, 2),
    }  # fmt: skip
    arrays = {
        name: (draw.uniform(0.2, 1, shape) * (1 if len(shape) == 1 else draw.choice([-0.3, 0.3], shape))).astype(
            np.float32
        )
        for name, shape in shapes.items()
    }
    graph = helper.make_graph(
        NODES, "both",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 24, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    path = tmp_path / "both.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def measured(path: Path) -> Answer:
    return answer(REQUEST, Sources(path), device="cpu")


def test_both_have_every_operator_of_the_file() -> None:
    for node in NODES:
        assert ("", node.op_type) in TABLE
        assert registered(node.op_type, "", OPSET) is not None, node.op_type


def test_one_file_by_our_converters_and_by_those_of_onnx2torch(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = measured(file)
    for node in NODES:
        monkeypatch.delitem(TABLE, ("", node.op_type), raising=False)
    theirs = measured(file)
    np.testing.assert_allclose(theirs.map, ours.map, rtol=1e-12, atol=1e-12)
    assert theirs.result.trf == ours.result.trf
    assert theirs.result.layer == ours.result.layer


def test_one_file_by_the_intake_and_as_a_module_that_onnx2torch_makes_of_all_of_it(file: Path) -> None:
    """The field is the same; the sizes too, as far as float32 weights in two orders of arithmetic let them be."""
    ours = measured(file)
    module = onnx2torch.convert(str(file))
    theirs = measure(module, (3, 24, 20), dtype="float64", inputs=4, layer="output")
    assert theirs.result.trf.box == ours.result.trf.box
    assert theirs.result.trf.center == ours.result.trf.center
    np.testing.assert_allclose(theirs.map, ours.map, rtol=1e-6, atol=1e-6)
