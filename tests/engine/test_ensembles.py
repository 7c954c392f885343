"""Many draws of the weights at once: the numbers of plain autograd, draw by draw, and the same bytes in parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.engine.oracle import difference, sample

from erfscope_contract.architecture import Architecture
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions, Weights
from erfscope_engine import Measurement, Network, measure_network, network_of, sample_network
from erfscope_engine.shards import Merge, Part
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.spec import build_network

CPU = torch.device("cpu")
CONV = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}
RELU = {"type": "relu"}

STACKED: dict[str, list[dict[str, Any]]] = {
    "plain": [CONV, RELU, CONV, RELU, CONV],
    "strides, dilations, groups": [
        CONV, RELU, {**CONV, "stride": 2, "padding": 1, "groups": 2}, {**CONV, "dilation": 2, "padding": 1},
        {"type": "tanh"},
    ],
    "norms and skips": [
        CONV, {"type": "batch_norm"}, RELU,
        {"type": "residual", "layers": [CONV, {"type": "batch_norm"}, RELU]}, {"type": "group_norm", "num_groups": 2},
        CONV,
    ],
    "up and down": [
        CONV, {"type": "max_pool", "kernel_size": 2}, CONV,
        {"type": "conv_transpose", "out_channels": 4, "kernel_size": 2, "stride": 2},
        {"type": "batch_norm"}, RELU, {"type": "upsample", "scale_factor": 2, "mode": "nearest"}, CONV,
    ],
    "sparse taps, dropout, positions": [
        {"type": "sparse_conv", "out_channels": 4, "offsets": [[0, 0], [2, -1], [-1, 3]]}, RELU,
        {"type": "dropout", "p": 0.3, "active": True}, {"type": "position_embedding"}, CONV, {"type": "silu"}, CONV,
    ],
    "joined branches": [
        {"type": "parallel", "branches": [[CONV, RELU], [{**CONV, "kernel_size": 5}]], "merge": "concat"},
        {**CONV, "kernel_size": 1},
    ],
}  # fmt: skip
ONE_BY_ONE: dict[str, list[dict[str, Any]]] = {
    "attention": [{**CONV, "stride": 4, "padding": 1}, {"type": "attention", "num_heads": 2}],
    "large maps": [{**CONV, "out_channels": 160}, RELU, {**CONV, "kernel_size": 15}],
}


def spec(layers: list[dict[str, Any]], init: str = "default", dtype: torch.dtype = torch.float64) -> Network:
    architecture = Architecture.model_validate(
        {"input": {"channels": 3, "size": [24, 20]}, "init": init, "layers": layers}
    )
    return build_network(architecture, InputOptions(), dtype=dtype, device=CPU, weights=Weights.GIVEN, seed=3)


def request(**average: Any) -> ErfRequest:
    asked = {"target": {"channels": "sum"}, "average": average, "dtype": "float64"}
    return ErfRequest.model_validate(asked)


def one_by_one(network: Network, found: Measurement, draws: int, inputs: int) -> np.ndarray:
    """The map by plain autograd through the whole image, one draw and one sample after another."""
    total = np.zeros(network.input_shape[1:])
    kept: dict[str, torch.Tensor] = {}
    for k in range(draws * inputs):
        network.redraw(k // inputs)
        x = sample(network.input_shape, k)[None].requires_grad_()
        network.run(x, lambda name, operator, value: kept.__setitem__(name, value))
        unit = kept[found.result.layer.name][0][(slice(None), *found.result.unit)]
        (g,) = torch.autograd.grad(unit.sum(), x)
        total += g[0].abs().mean(0).numpy() / (draws * inputs)
    return total


def same(found: Measurement, expected: np.ndarray) -> bool:
    return difference(found, expected) < 1e-12


@pytest.mark.parametrize("layers", STACKED.values(), ids=STACKED)
@pytest.mark.parametrize("inputs", [1, 3])
def test_draws_at_once_equal_plain_autograd_of_each(layers: list[dict[str, Any]], inputs: int) -> None:
    network = spec(layers)
    found = measure_network(network, request(weights=5, inputs=inputs))
    assert found.result.provenance.draws_together == 5
    assert found.result.samples.used == 5 * inputs
    assert same(found, one_by_one(network, found, 5, inputs))


@pytest.mark.parametrize("layers", ONE_BY_ONE.values(), ids=ONE_BY_ONE)
def test_what_cannot_run_at_once_runs_one_by_one(layers: list[dict[str, Any]]) -> None:
    network = spec(layers, init="kaiming_normal")
    found = measure_network(network, request(weights=3, inputs=2))
    assert found.result.provenance.draws_together == 1
    assert same(found, one_by_one(network, found, 3, 2))


def test_more_draws_than_run_at_once_leave_nothing_over() -> None:
    network = spec(STACKED["plain"])
    found = measure_network(network, request(weights=22, inputs=1))
    assert found.result.provenance.draws_together == 11
    assert same(found, one_by_one(network, found, 22, 1))


@pytest.mark.parametrize("unit", [[0, 0], [0, 19], [23, 19]])
def test_units_at_the_border_and_branches_that_see_padding_alone(unit: list[int]) -> None:
    beside = [{**CONV, "padding": 6}, {"type": "crop", "margin": [0, 10, 0, 10]}]
    network = spec([CONV, RELU, {"type": "parallel", "branches": [beside, [CONV]], "merge": "add"}, CONV])
    target = {"unit": unit, "channels": "sum"}
    asked = ErfRequest.model_validate({**request(weights=4, inputs=2).model_dump(), "target": target})
    found = measure_network(network, asked)
    assert found.result.provenance.draws_together == 4
    assert same(found, one_by_one(network, found, 4, 2))


def test_weights_that_are_looked_at_are_recorded_anew() -> None:
    """A network whose way hangs on the numbers of its weights."""
    first, second = torch.zeros(3, 3, 3, 3, dtype=torch.float64), torch.zeros(3, 3, 3, 3, dtype=torch.float64)

    def redraw(k: int) -> None:
        source = torch.Generator().manual_seed(k)
        for weight in (first, second):
            weight.copy_(torch.randn(weight.shape, generator=source, dtype=torch.float64))

    def run(x: torch.Tensor, mark: Any) -> None:
        y = torch.nn.functional.conv2d(x, first if first.sum().item() > 0 else first.flip(2), padding=1)
        mark("y", "Conv", y)
        mark("z", "Conv", torch.nn.functional.conv2d(torch.relu(y), second, padding=1))

    redraw(0)
    shape = (3, 12, 12)
    network = Network("looks", run, "x", shape, torch.float64, CPU, redraw=redraw, weights=lambda: [first, second])
    found = measure_network(network, request(weights=6, inputs=2))
    assert found.result.provenance.draws_together == 1
    assert same(found, one_by_one(network, found, 6, 2))
    unlisted = measure_network(replace(network, weights=None), request(weights=6, inputs=2))
    assert unlisted.map.tobytes() == found.map.tobytes()


def test_weights_that_are_given_cannot_be_drawn() -> None:
    with pytest.raises(ProblemError, match="needs weights that can be re-drawn"):
        measure_network(network_of(torch.nn.Conv2d(3, 3, 3), (3, 9, 9)), request(weights=2))


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """Convolution with bias, batch norm, ReLU, a shared weight, a scale per position."""
    rng = np.random.default_rng(0)
    constants = {
        "w1": rng.standard_normal((4, 3, 3, 3)), "b1": rng.standard_normal(4), "w2": rng.standard_normal((4, 4, 3, 3)),
        "scale": rng.random(4), "shift": rng.random(4), "mean": rng.random(4), "var": rng.random(4),
        "place": rng.random((1, 4, 24, 20)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"]),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c2", "place"], ["m2"]),
        helper.make_node("Conv", ["m2", "w2"], ["y"], pads=[2, 2, 2, 2], dilations=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 24, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.mark.parametrize("scheme", [Weights.DEFAULT, Weights.XAVIER_UNIFORM])
def test_an_onnx_model_draws_at_once(onnx_file: Path, scheme: Weights) -> None:
    network = load_onnx(onnx_file, InputOptions(), dtype=torch.float64, device=CPU, weights=scheme, seed=5)
    found = measure_network(network, request(weights=5, inputs=2))
    assert found.result.provenance.draws_together == 5
    assert same(found, one_by_one(network, found, 5, 2))


def test_same_request_same_bytes_and_parts_are_those_of_the_whole() -> None:
    asked = request(weights=40, inputs=3)
    whole, again = (measure_network(spec(STACKED["norms and skips"]), asked) for _ in range(2))
    assert whole.map.tobytes() == again.map.tobytes()
    assert whole.result.provenance.draws_together == 14
    parts: list[dict[str, Any]] = []
    for samples in ((0, 24), (24, 72), (72, 120)):  # cut where a group of the average ends, not where draws together do
        part = Part(samples)
        sample_network(spec(STACKED["norms and skips"]), asked, part.sampler)
        parts.append(part.arrays)
    merge = Merge([parts[1], parts[0], parts[2]])
    merged = measure_network(spec(STACKED["norms and skips"]), asked, sampler=merge.sampler)
    assert merged.result.samples.used == 120
    assert merged.map.tobytes() == whole.map.tobytes()


def test_dead_samples_of_every_draw_are_counted() -> None:
    network = spec([{**CONV, "out_channels": 1}, RELU])
    found = measure_network(network, request(weights=24, inputs=2))
    dead = 0
    kept: dict[str, torch.Tensor] = {}
    for k in range(48):
        network.redraw(k // 2)
        x = sample(network.input_shape, k)[None]
        network.run(x, lambda name, operator, value: kept.__setitem__(name, value))
        dead += int(kept[found.result.layer.name][0, 0, 12, 10] <= 0)
    assert 0 < dead < 48
    assert found.result.samples.dead == dead


def test_a_profile_over_draws_is_that_of_each_layer() -> None:
    network = spec(STACKED["norms and skips"])
    asked = request(weights=4, inputs=2)
    found = measure_network(network, asked.model_copy(update={"layers": "all"}))
    assert found.layers_map is not None
    for row, kept in zip(found.result.layers, found.layers_map, strict=True):
        target = {"layer": row.name, "channels": "sum"}
        alone = measure_network(network, ErfRequest.model_validate({**asked.model_dump(), "target": target}))
        assert np.allclose(kept, alone.map, atol=1e-6)
        assert row.scale_log2 == pytest.approx(alone.result.scale_log2, abs=1e-9)
