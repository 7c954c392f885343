"""Kernel, stride and dilation off the bytes of ONNX files, against what the onnx library reads of the same files."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.gate.conftest import onnx_model

from erfscope.gate.windows import windows

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


@pytest.mark.parametrize("content", [b"", b"no ONNX at all", onnx_model()[:-40]])
def test_what_is_not_onnx_has_no_windows(content: bytes) -> None:
    assert windows(content) == {}
