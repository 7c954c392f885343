"""Structural changes of ONNX files against onnxruntime: what they must leave as it was."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch.nn import functional

from erfscope_contract.advice import AdviceRequest
from erfscope_intake.advice import advise
from erfscope_intake.advice.onnx_structure import (
    add_large_kernel,
    can_unstride,
    end_of_features,
    halve_input,
    last_stage,
    unstride,
)

SIDE = 32


@pytest.fixture
def model() -> ModelProto:
    """Stem, a strided convolution, two more on its grid, and a classifier behind a global pooling."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    strides = (1, 2, 1, 1)
    for n, stride in enumerate(strides):
        shape = (6, 3 if n == 0 else 6, 3, 3)
        weights.append(numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), f"w{n}"))
        source = f"y{n - 1}" if n else "x"
        fields = {"pads": [1, 1, 1, 1], "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", [source, f"w{n}"], [f"c{n}"], f"conv{n}", **fields))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"y{n}"], f"relu{n}"))
    nodes.append(helper.make_node("GlobalAveragePool", ["y3"], ["out"], "pool"))
    values = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 6, 1, 1]), _features()]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])], values, weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _features() -> ValueInfoProto:
    return helper.make_tensor_value_info("y3", TensorProto.FLOAT, [1, 6, 16, 16])


def _run(model: ModelProto, image: np.ndarray, output: str = "y3") -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (value,) = session.run([output], {"x": image})
    return np.asarray(value)


def _copy(model: ModelProto) -> ModelProto:
    other = ModelProto()
    other.CopyFrom(model)
    return other


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)


def test_a_dropped_stride_gives_the_old_values_and_those_between(model: ModelProto, image: np.ndarray) -> None:
    """Twice the dilation on twice the grid: every second unit is the old one (Chen et al. 2017)."""
    stage = last_stage(model)
    assert stage is not None
    assert (stage.grid, stage.strides) == ((16, 16), ("c1",))
    assert [conv.label for conv in stage.convolutions] == ["c2", "c3"]
    assert can_unstride(model, stage)
    changed = _copy(model)
    unstride(changed, stage, 2)
    fine, before = _run(changed, image), _run(model, image)
    assert fine.shape == (1, 6, SIDE, SIDE)
    assert fine[..., ::2, ::2] == pytest.approx(before, abs=1e-5)


def test_half_the_input_is_its_mean_over_two_pixels(model: ModelProto, image: np.ndarray) -> None:
    changed = _copy(model)
    halve_input(changed, "x", 2)
    small = image.reshape(1, 3, SIDE // 2, 2, SIDE // 2, 2).mean((3, 5))
    resized = _copy(model)
    for axis in (2, 3):
        resized.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = SIDE // 2
    assert _run(changed, image) == pytest.approx(_run(resized, small), abs=1e-5)


def test_an_added_block_is_read_by_all_that_read_what_it_is_behind(model: ModelProto, image: np.ndarray) -> None:
    place = end_of_features(model)
    assert place is not None
    assert (place.tensor, place.channels, place.grid) == ("y3", 6, (16, 16))
    del model.graph.output[1]
    changed = _copy(model)
    add_large_kernel(changed, place, 7, seed=3)
    onnx.checker.check_model(changed)
    weights = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in changed.graph.initializer}
    model.graph.output.append(_features())
    x = torch.from_numpy(_run(model, image))
    inner = functional.relu(functional.conv2d(x, weights["large_kernel_depthwise"], padding=3, groups=6))
    expected = (x + functional.conv2d(inner, weights["large_kernel_pointwise"])).mean((2, 3), keepdim=True)
    assert _run(changed, image, "out") == pytest.approx(expected.numpy(), abs=1e-5)


def test_advice_keeps_a_file_s_weights(model: ModelProto, tmp_path: Path) -> None:
    del model.graph.output[1]
    onnx.save(model, tmp_path / "net.onnx")
    asked = {"model": {"sha256": "0" * 64}, "want": 24, "samples": 6, "verify": 8}
    told = advise(AdviceRequest.model_validate(asked), tmp_path / "net.onnx")
    kinds = {change.kind for change in told.changes}
    assert {"dilation", "output_stride", "large_kernel", "input_scale"} <= kinds
    assert told.input_shape == [3, 64, 64]
    for change in told.changes:
        assert change.weights_kept == 1.0
        assert (change.train_anew == ["large_kernel"]) == (change.kind == "large_kernel")
        assert change.size > (told.erf_measured or 0.0)
    half = next(change for change in told.changes if change.kind == "input_scale")
    assert half.added_macs < 0
    assert half.layer_shape == [6, 16, 16]
