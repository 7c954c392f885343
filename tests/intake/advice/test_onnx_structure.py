"""Structural changes of ONNX files against onnxruntime: what they must leave as it was."""

from math import ceil
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
    add_coarser_stage,
    add_large_kernel,
    can_unstride,
    end_of_features,
    end_of_stage,
    last_stage,
    set_input,
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


@pytest.mark.parametrize("side", [SIDE, SIDE - 2])
def test_an_added_stage_is_two_convolutions_on_half_the_grid(model: ModelProto, side: int) -> None:
    """Behind the coarsest grid, of 16 and of 15 units, which comes back to its own size."""
    set_input(model, None, [3, side, side])
    stage = last_stage(model)
    assert stage is not None
    place = end_of_stage(model, stage)
    assert place is not None
    assert (place.tensor, place.channels, place.grid) == ("y3", 6, (side // 2, side // 2))
    changed = _copy(model)
    add_coarser_stage(changed, place, seed=3)
    weights = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in changed.graph.initializer}
    image = np.random.default_rng(1).normal(size=(1, 3, side, side)).astype(np.float32)
    x = torch.from_numpy(_run(model, image))
    down = functional.relu(functional.conv2d(x, weights["extra_stage_down"], stride=2, padding=1))
    inner = functional.relu(functional.conv2d(down, weights["extra_stage_conv"], padding=1))
    odd = side // 2 % 2
    back = functional.conv_transpose2d(inner, weights["extra_stage_up"], stride=2, padding=odd, groups=6)
    assert _run(changed, image) == pytest.approx((x + back).numpy(), abs=1e-5)


def test_the_grids_of_free_axes_are_those_of_the_measured_input(model: ModelProto) -> None:
    for axis in (2, 3):
        dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
        dim.dim_param = f"side_{axis}"
    assert last_stage(model) is None
    set_input(model, None, [3, 64, 48])
    stage = last_stage(model)
    assert stage is not None
    assert stage.grid == (32, 24)


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
    assert {"dilation", "output_stride", "large_kernel", "extra_stage", "input_scale"} <= kinds
    assert told.input_shape == [3, 64, 64]
    for change in told.changes:
        assert change.weights_kept == 1.0
        assert change.train_anew == ([change.kind] if change.kind in ("large_kernel", "extra_stage") else [])
        assert change.size > (told.erf_measured or 0.0)
    (smaller,) = (change for change in told.changes if change.kind == "input_scale")
    parts = smaller.input_parts or 0
    assert parts == ceil(24 / (told.erf_measured or 1))
    assert smaller.erf_measured == pytest.approx(parts * (told.erf_measured or 0))
    assert smaller.stderr == pytest.approx(parts * (told.stderr or 0))
    assert smaller.added_macs == told.macs // parts**2 - told.macs
    assert smaller.layer_shape == [6, *(ceil(n / parts) for n in told.layer_shape[1:])]
    assert smaller.text in ("feed the image at half its size", f"feed the image at 1/{parts} of its size")
