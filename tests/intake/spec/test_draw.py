"""Drawn weights: the schemes' distributions, and that a draw depends on (seed, draw, name) alone."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from erfscope_contract.architecture import Init
from erfscope_contract.request import Weights
from erfscope_engine import Network

WIDE: dict[str, Any] = {"type": "conv", "name": "c", "out_channels": 64, "kernel_size": 3}
FAN_IN, FAN_OUT = 32 * 9, 64 * 9


def weights_of(network: Network) -> list[Tensor]:
    modules = network.run.modules  # type: ignore[attr-defined]  # Run is a bare callable to the engine
    return [weight.clone() for module in modules for weight in module.parameters()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("init", [init for init in Init if init is not Init.TAPS])
def test_a_draw_depends_on_seed_and_number_alone(build: Any, init: Init) -> None:
    layers = [WIDE, {"type": "attention", "num_heads": 2}, {"type": "position_embedding"}]
    network = build(*layers, channels=8, init=init)
    first = weights_of(network)
    before = torch.random.get_rng_state()
    network.redraw(7)
    network.redraw(1)
    second = weights_of(network)
    network.redraw(0)
    assert same(weights_of(network), first)
    assert not same(first, second)  # the position embedding is random whatever the scheme
    torch.manual_seed(99)
    again = build(*layers, channels=8, init=init)
    torch.random.set_rng_state(before)
    again.redraw(1)
    assert same(weights_of(again), second)
    assert not same(weights_of(build(*layers, channels=8, init=init, seed=1)), first)


def test_building_leaves_the_global_generator_alone(build: Any) -> None:
    before = torch.random.get_rng_state()
    build(WIDE, channels=8).redraw(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_layer_keeps_its_weights_when_others_come(build: Any) -> None:
    alone = weights_of(build(WIDE, channels=8))
    more = weights_of(build(WIDE, {"type": "conv", "kernel_size": 1}, channels=8))
    assert same(alone, more[:2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_precision_has_the_same_weights_rounded(build: Any, dtype: torch.dtype) -> None:
    exact, rounded = (weights_of(build(WIDE, channels=8, init="orthogonal", dtype=d)) for d in (torch.float64, dtype))
    assert same([weight.to(dtype) for weight in exact], rounded)


@pytest.mark.parametrize(
    ("init", "mean", "std"),
    [
        ("default", 0, 1 / math.sqrt(3 * FAN_IN)),
        ("kaiming_normal", 0, math.sqrt(2 / FAN_IN)),
        ("kaiming_uniform", 0, math.sqrt(2 / FAN_IN)),
        ({"scheme": "kaiming_normal", "gain": 1, "mode": "fan_out"}, 0, math.sqrt(1 / FAN_OUT)),
        ("xavier_normal", 0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("xavier_uniform", 0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("orthogonal", 0, 1 / math.sqrt(FAN_IN)),
        ("normal", 0, 1 / math.sqrt(FAN_IN)),
        ({"scheme": "normal", "mean": 1, "std": 2}, 1, 2),
        ("uniform", 0, 1 / math.sqrt(FAN_IN)),
        ({"scheme": "uniform", "low": 0, "high": 1}, 0.5, math.sqrt(1 / 12)),
        ("low_center", 0, math.sqrt(2 / FAN_IN)),
        ("ones", 1, 0),
    ],
)
def test_a_scheme_has_its_mean_and_deviation(build: Any, init: Any, mean: float, std: float) -> None:
    weight, bias = weights_of(build(WIDE, channels=32, init=init))
    slack = 5 / math.sqrt(weight.numel())  # five standard errors
    assert float(weight.mean()) == pytest.approx(mean, abs=slack * std + 1e-12)
    assert float(weight.std(correction=0)) == pytest.approx(std, rel=slack)
    assert bool((bias != 0).any()) == (init == "default")


def test_orthogonal_rows_are_orthonormal(build: Any) -> None:
    weight, _ = weights_of(build(WIDE, channels=32, init={"scheme": "orthogonal", "gain": 2}))
    rows = weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, 4 * torch.eye(64, dtype=torch.float64))


def test_low_center_is_low_in_the_middle_and_high_on_the_rim(build: Any) -> None:
    weight, _ = weights_of(build({**WIDE, "kernel_size": 5}, channels=32, init={"scheme": "low_center", "center": 0.2}))
    spread = weight.std(dim=(0, 1), correction=0)
    rim, ring, middle = spread[0].mean(), spread[1, 1:4].mean(), spread[2, 2]
    assert float(middle / rim) == pytest.approx(0.2, rel=0.1)
    assert float(ring / rim) == pytest.approx(0.6, rel=0.1)  # half way between middle and rim
    point, _ = weights_of(build({**WIDE, "kernel_size": 1}, channels=32, init={"scheme": "low_center", "center": 0}))
    assert float(point.std()) == pytest.approx(math.sqrt(2 / 32), rel=0.1)


def test_low_center_follows_a_sparse_pattern(build: Any) -> None:
    layer = {
        "type": "sparse_conv",
        "out_channels": 64,
        "offsets": [[0, 0], [2, 0], [-4, 4]],
        "init": "low_center",
    }
    weight, _ = weights_of(build(layer, channels=64))
    spread = weight.std(dim=(0, 1))
    assert float(spread[0] / spread[2]) == pytest.approx(0.1, rel=0.1)
    assert float(spread[1] / spread[2]) == pytest.approx(0.55, rel=0.1)


def test_the_request_overrides_every_scheme_of_the_spec(build: Any) -> None:
    layers = [{**WIDE, "init": "normal"}, {"type": "conv", "kernel_size": 1}]
    for weight in weights_of(build(*layers, channels=8, weights=Weights.ONES))[::2]:
        assert bool((weight == 1).all())


def test_norms_stay_the_identity_through_draws(build: Any) -> None:
    network = build(WIDE, {"type": "batch_norm"}, {"type": "prelu", "init": 0.5}, channels=8)
    network.redraw(4)
    _, norm, slope = network.run.modules
    assert norm.running_var.unique().tolist() == norm.weight.unique().tolist() == [1.0]
    assert norm.running_mean.unique().tolist() == norm.bias.unique().tolist() == [0.0]
    assert slope.weight.tolist() == [0.5]


def test_taps_are_the_kernel_of_every_pair_of_channels(build: Any) -> None:
    kernel = [0.0, 1, 2, 3, 4, 5]
    layer = {"type": "conv", "kernel_size": [2, 3], "out_channels": 3, "init": {"scheme": "taps", "taps": kernel}}
    weight, bias = weights_of(build(layer, channels=2))
    assert torch.equal(weight, torch.tensor(kernel, dtype=weight.dtype).view(2, 3).expand(3, 2, 2, 3))
    assert not bias.any()
    sparse = {"type": "sparse_conv", "offsets": [[0, 0], [3, -2]], "init": {"scheme": "taps", "taps": [1, 5]}}
    weight, _ = weights_of(build(sparse, channels=2))
    assert torch.equal(weight[0, 0], torch.tensor([1.0, 5.0], dtype=weight.dtype))


@pytest.mark.parametrize("init", ["taps", {"scheme": "taps"}])
def test_the_scheme_taps_needs_a_kernel(build: Any, init: Any) -> None:
    with pytest.raises(ValueError, match="needs the kernel"):
        build(WIDE, init=init)
