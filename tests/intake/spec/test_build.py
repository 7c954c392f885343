"""The built network: numbers against torch's own operators, names, and what it releases."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_contract.architecture import Architecture
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions, Weights
from erfscope_intake.spec import build_network
from erfscope_intake.spec.blocks import LocalResponseNorm, SelfAttention
from erfscope_intake.spec.build import Execution

CONV: dict[str, Any] = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}


def ignore(name: str, operator: str, value: Tensor) -> None:
    """A mark for runs whose names do not matter."""


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_one_spec_runs_in_every_dimension(build: Any, trace: Any, rank: int) -> None:
    network = build(
        CONV,
        {"type": "batch_norm"},
        {"type": "residual", "layers": [CONV], "activation": "relu"},
        {"type": "max_pool", "name": "half", "kernel_size": 2},
        {"type": "conv_transpose", "kernel_size": 2, "stride": 2},
        {"type": "avg_pool", "kernel_size": 2},
        {"type": "concat", "inputs": ["half", "previous"]},
        size=(8,) * rank,
    )
    marked = trace(network, torch.randn(2, 4, *(8,) * rank, dtype=torch.float64))
    assert marked["concat_6"].shape == (2, 8, *(4,) * rank)
    assert marked["concat_6"].std() > 0


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_ones_kernels_give_the_binomial_closed_form(build: Any, kernel: int) -> None:
    """S1: the gradient of a stack of ones kernels is the n-fold convolution of the box with itself."""
    bare = {"type": "conv", "kernel_size": kernel, "bias": False}
    network = build({"type": "repeat", "times": 5, "layers": [bare]}, size=(40,), channels=1, init="ones")
    x = torch.zeros(1, 1, 40, dtype=torch.float64, requires_grad=True)
    out = network.run(x, ignore)
    out[0, 0, 10].backward()
    expected = torch.ones(1, dtype=torch.float64)
    for _ in range(5):
        expected = F.conv1d(expected.view(1, 1, -1), torch.ones(1, 1, kernel, dtype=torch.float64), padding=kernel - 1)
        expected = expected.flatten()
    assert x.grad is not None
    assert torch.equal(x.grad[0, 0, 10 : 10 + expected.numel()], expected)
    assert x.grad.sum() == kernel**5


@pytest.mark.parametrize("groups", [1, 2])
def test_sparse_taps_equal_the_dense_kernel_that_holds_them(build: Any, groups: int) -> None:
    offsets = [[0, 0], [-2, 1], [3, -3]]
    layer = {"type": "sparse_conv", "out_channels": 6, "offsets": offsets, "stride": 2, "groups": groups}
    network = build(layer, size=(11, 12))
    x = torch.randn(2, 4, 11, 12, dtype=torch.float64)
    sparse = network.run.modules[0]
    dense = torch.zeros(6, 4 // groups, 7, 7, dtype=torch.float64)
    for tap, (y, z) in enumerate(offsets):
        dense[:, :, 3 + y, 3 + z] = sparse.weight[..., tap]
    expected = F.conv2d(x, dense, sparse.bias, stride=2, padding=3, groups=groups)
    torch.testing.assert_close(network.run(x, ignore), expected)


def test_even_same_padding_is_torchs(build: Any) -> None:
    network = build({"type": "conv", "kernel_size": [2, 4], "padding": "same", "dilation": [1, 2]})
    convolution = network.run.modules[0][1]
    x = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    expected = F.conv2d(
        F.pad(x, [3, 3, 0, 1]), convolution.weight, convolution.bias, dilation=(1, 2)
    )  # torch: total // 2 before, the rest behind
    torch.testing.assert_close(network.run(x, ignore), expected)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_modes_are_torchs(build: Any, mode: Any, rank: int) -> None:
    network = build({"type": "conv", "kernel_size": 3, "padding": 2, "padding_mode": mode}, size=(6,) * rank)
    own = network.run.modules[0][1]
    x = torch.randn(2, 4, *(6,) * rank, dtype=torch.float64)
    theirs = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)[rank - 1](4, 4, 3, padding=2, padding_mode=mode)
    theirs.weight, theirs.bias = own.weight, own.bias
    torch.testing.assert_close(network.run(x, ignore), theirs(x))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_local_response_norm_is_torchs(size: int) -> None:
    x = torch.randn(2, 7, 4, 5, dtype=torch.float64)
    expected = F.local_response_norm(x, size, 1e-2, 0.75, 2.0)
    torch.testing.assert_close(LocalResponseNorm(size, 1e-2, 0.75, 2.0)(x), expected)


def test_attention_is_torchs() -> None:
    torch_layer = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    ours = SelfAttention(8, 2, bias=True).double()
    ours.qkv.weight, ours.qkv.bias = torch_layer.in_proj_weight, torch_layer.in_proj_bias
    ours.out = torch_layer.out_proj
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    tokens = x.flatten(2).transpose(1, 2)
    expected, _ = torch_layer(tokens, tokens, tokens)
    torch.testing.assert_close(ours(x), expected.transpose(1, 2).reshape(x.shape))


def test_layer_norm_over_channels_leaves_positions_alone(build: Any) -> None:
    network = build({"type": "layer_norm"})
    out = network.run(torch.randn(2, 4, 16, 16, dtype=torch.float64), ignore)
    torch.testing.assert_close(out.mean(1), torch.zeros(2, 16, 16, dtype=torch.float64))


def test_a_reused_layer_is_kept_until_its_last_use(build: Any, trace: Any) -> None:
    network = build(
        {**CONV, "name": "a"},
        {"type": "relu"},
        {"type": "add", "inputs": ["previous", "a"]},
        {"type": "multiply", "inputs": ["previous", "a", "input"]},
    )
    x = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    marked = trace(network, x)
    torch.testing.assert_close(marked["multiply_3"], (marked["a"].relu() + marked["a"]) * marked["a"] * x)
    assert [set(values) for values in network.run.releases] == [set(), set(), {1}, {0, -1, 2}]


def test_the_network_is_frozen_and_says_what_it_is(build: Any) -> None:
    network = build(CONV, {"type": "dropout", "p": 0.5}, {"type": "sequential", "name": "tail", "layers": [CONV]})
    assert not any(
        weight.requires_grad or module.training for module in network.run.modules for weight in module.parameters()
    )
    assert (network.input_name, network.input_shape, network.notes) == ("input", (4, 16, 16), ())
    assert network.aliases["tail"] == "tail.conv_0"
    x = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    assert torch.equal(network.run(x, ignore), network.run(x, ignore))


def test_options_choose_the_shape_and_refuse_another_input() -> None:
    architecture = Architecture.model_validate({"layers": [CONV]})
    how: dict[str, Any] = {
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "weights": Weights.GIVEN,
        "seed": 0,
    }
    assert build_network(architecture, InputOptions(shape=[3, 9, 7], name="input"), **how).input_shape == (
        3,
        9,
        7,
    )
    with pytest.raises(ProblemError, match="one input, called 'input'"):
        build_network(architecture, InputOptions(name="image"), **how)


@pytest.mark.parametrize(
    "layer",
    [CONV, {"type": "batch_norm"}, {"type": "layer_norm"}, {"type": "group_norm", "num_groups": 2}, {"type": "prelu"},
     {"type": "dropout", "p": 0.5, "active": True}, {"type": "attention", "num_heads": 2}],
    ids=lambda layer: str(layer["type"]),
)  # fmt: skip
def test_a_network_that_is_not_drawn_holds_what_an_expectation_reads(layer: dict[str, Any]) -> None:
    """The same numbers as a drawn one whose weights are set to their standard deviations, norms' statistics too."""
    architecture = Architecture.model_validate(
        {"input": {"channels": 3, "size": [6, 6]}, "layers": [{**CONV, "init": "kaiming_normal"}, layer]}
    )
    cpu = torch.device("cpu")
    held = []
    for drawn in (True, False):
        network = build_network(
            architecture, InputOptions(), dtype=torch.float32, device=cpu, weights=Weights.GIVEN, seed=0, drawn=drawn
        )
        if drawn:
            assert network.spread is not None
            network.spread()
        assert isinstance(network.run, Execution)
        held.append([value for module in network.run.modules for value in module.state_dict().values()])
    assert len(held[0]) == len(held[1]) > 0
    assert all(torch.equal(one, other) for one, other in zip(*held, strict=True))


def test_on_the_meta_device_there_are_shapes_and_no_weights() -> None:
    huge = {"type": "conv", "out_channels": 20_000, "kernel_size": 1}
    architecture = Architecture.model_validate({"layers": [huge, huge]})
    meta = torch.device("meta")
    network = build_network(
        architecture, InputOptions(), dtype=torch.float32, device=meta, weights=Weights.GIVEN, seed=0
    )
    assert network.run(torch.empty(1, 3, 8, 8, device=meta), ignore).shape == (1, 20_000, 8, 8)  # type: ignore[attr-defined]  # Run returns object


def test_active_dropout_drops_the_share_it_says_and_keeps_the_mean(build: Any) -> None:
    network = build({"type": "dropout", "p": 0.25, "active": True}, size=(64, 64), seed=3)
    out = network.run(torch.ones(2, 4, 64, 64, dtype=torch.float64), ignore)
    assert set(out.unique().tolist()) == {0.0, 1 / 0.75}
    assert torch.equal(out[0], out[1])
    assert abs(float((out == 0).double().mean()) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / out[0].numel())
    assert network.notes == ("dropout is active: one mask per draw of the weights",)
    network.redraw(1)
    assert not torch.equal(network.run(torch.ones(1, 4, 64, 64, dtype=torch.float64), ignore)[0], out[0])
