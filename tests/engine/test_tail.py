"""What is put on a unit's channels: judged on the last operators alone, as autograd on the whole network would."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure

CHANNELS, SIDE = 6, 12
VANISHING = 1e-5  # the rule as users are told it: of the gradient of random signs


class OverChannels(nn.Module):
    """An operator on the channels of (N, C, H, W) that needs them last."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x.movedim(1, -1))
        return out.movedim(-1, 1)


class Shifted(nn.Module):
    """Views alone: the last operator that computes is far from the end."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(8):
            x = x.transpose(2, 3).flip(2)
        return x


class Times(nn.Module):
    """A factor: 0 saturates nothing, a large one saturates a softmax."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class InFloat32(nn.Module):
    """A cast, as networks in short number types write it around a normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.float32)


ENDS: dict[str, Any] = {
    "relu": nn.ReLU,
    "convolution": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
    "softmax": lambda: nn.Softmax(1),
    "layer norm": lambda: OverChannels(nn.LayerNorm(CHANNELS)),
    "group norm": lambda: nn.GroupNorm(1, CHANNELS),
    "batch norm": lambda: nn.BatchNorm2d(CHANNELS),
    "views": Shifted,
    "saturated": lambda: Times(30.0),
    "cast": InFloat32,
    "dense": lambda: OverChannels(nn.Linear(CHANNELS, CHANNELS)),
}


def network(names: list[str], seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    body = [nn.Conv2d(3, CHANNELS, 3, padding=1), nn.GELU(), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)]
    return nn.Sequential(*body, *(ENDS[name]() for name in names)).eval()


def sums_vanish(net: nn.Module, unit: list[int]) -> bool:
    """By autograd in double: the rms gradient of the channels' sum is nothing beside that of other weights."""
    wide = deepcopy(net).double()
    for module in wide.modules():
        if isinstance(module, InFloat32):
            module.forward = lambda x: x  # type: ignore[method-assign]
    x = torch.randn(4, 3, SIDE, SIDE, dtype=torch.double, requires_grad=True)
    out = wide(x)[:, :, unit[0], unit[1]]
    weights = torch.randn(out.shape, dtype=torch.double)
    plain, other = (torch.autograd.grad((out * w).sum(), x, retain_graph=True)[0] for w in (torch.ones(1), weights))
    return bool(plain.square().mean().sqrt() < VANISHING * other.square().mean().sqrt())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(ENDS)), min_size=1, max_size=4), st.integers(0, 99))
def test_channels_are_chosen_as_autograd_on_the_whole_network_would(names: list[str], seed: int) -> None:
    net = network(names, seed)
    try:
        result = measure(net, (3, SIDE, SIDE), layer=str(len(net) - 1), inputs=4).result
    except ProblemError:
        assume("saturated" not in names)  # until nothing is left in float32
        raise
    assert (result.provenance.channels == "random") == sums_vanish(net, [int(k) for k in result.unit])


@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_a_saturated_softmax_is_judged_in_float64(factor: float) -> None:
    """In float32 both gradients of a saturated softmax are rounding; its sum's is 0 all the same."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), Times(factor), nn.Softmax(1))
    for seed in range(4):
        assert measure(net, (3, 16, 16), layer="3", inputs=4, seed=seed).result.provenance.channels == "random"


def test_an_operator_that_takes_no_doubles_is_judged_in_its_own_type() -> None:
    class Short(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            if x.dtype != torch.float32:
                raise TypeError("float32 only")
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 2

    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Short.apply(x)  # type: ignore[no-any-return]

    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softmax(1), Doubling())
    result = measure(net, (3, 16, 16), layer="2", inputs=4).result
    assert result.provenance.channels == "random"
