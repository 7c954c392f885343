"""One operator at a time: expected squares against the operator's own Jacobian, gains against numerical integrals."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn
from torch.nn import functional as F

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure

FIELDS: dict[str, Any] = {"method": "analytic", "dtype": "float64", "average": {"statistic": "rms"}}


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _squares(module: nn.Module, shape: tuple[int, ...], **fields: Any) -> tuple[Any, Any]:
    found = measure(module, shape, **{**FIELDS, **fields})
    return (found.map * 2.0**found.result.scale_log2) ** 2, found.result


LINEAR: dict[str, nn.Module] = {
    "convolution": nn.Conv2d(4, 6, (3, 5), stride=2, padding=(1, 3), dilation=(2, 1), groups=2),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    "average": nn.AvgPool2d(3, 2, 1),
    "average inside": nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True),
    "average by divisor": nn.AvgPool2d((2, 3), divisor_override=5),
    "adaptive average": nn.AdaptiveAvgPool2d((5, 4)),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "bilinear, corners": nn.Upsample(size=(31, 29), mode="bilinear", align_corners=True),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "nearest": nn.Upsample(scale_factor=3),
    "reflected": nn.ReflectionPad2d(2),
    "replicated": nn.ReplicationPad2d(2),
    "circular": nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular"),
    "shuffled": nn.PixelShuffle(2),
    "normalised": nn.BatchNorm2d(4),
    "joined": Function(lambda x: torch.cat([x[:, :1] * 3, x[:, 1:].flip(-1), torch.ones_like(x)], 1)),
    "turned": Function(lambda x: x.permute(0, 2, 3, 1).reshape(1, -1, 4).mul(2).transpose(1, 2).reshape(x.shape)),
    "moved": Function(lambda x: (5 - x).roll(2, -1) / torch.tensor(4.0, dtype=x.dtype)),
    "padded": Function(lambda x: F.pad(x, (1, -1, 1, 0), value=3.0) * torch.arange(1.0, 5).view(4, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("place", ["center", "corner"])
def test_linear_operators(name: str, place: str) -> None:
    """E of the squared gradient of random signs on the channels: the Jacobian's squares, summed over channels."""
    torch.manual_seed(0)
    module = LINEAR[name].double().eval()
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_var is not None
        module.running_var.copy_(torch.tensor([0.5, 1, 2, 4]))
    x = torch.randn(1, 4, 15, 13, dtype=torch.float64, requires_grad=True)
    y = module(x)
    unit = [n // 2 for n in y.shape[2:]] if place == "center" else [1, y.shape[3] - 1]
    rows = [torch.autograd.grad(y[0, c, unit[0], unit[1]], x, retain_graph=True)[0][0] for c in range(y.shape[1])]
    expected = torch.stack(rows).square().sum(0).mean(0).numpy()
    m, _ = _squares(module, (4, 15, 13), target={"unit": unit})
    np.testing.assert_allclose(m, expected, rtol=1e-12, atol=1e-15)


def _gaussian(function: Callable[[float], float], mean: float, deviation: float) -> float:
    points = [mean] + [b for b in (-3.0, 0.0, 3.0, 6.0) if abs(b - mean) < 8 * deviation]
    found, _ = quad(
        lambda x: function(x) * math.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi)),
        mean - 8 * deviation,
        mean + 8 * deviation,
        points=points,
        limit=200,
    )
    return float(found)


def _slope(module: Callable[[Tensor], Tensor]) -> Callable[[float], float]:
    def slope(x: float) -> float:
        leaf = torch.tensor([[[x]]], dtype=torch.float64, requires_grad=True)
        (g,) = torch.autograd.grad(module(leaf).sum(), leaf)
        return float(g)

    return slope


SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "gelu in parts": lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "silu": F.silu,
    "silu in parts": lambda x: x * torch.sigmoid(x),
    "mish": F.mish,
    "mish in parts": lambda x: x * torch.tanh(F.softplus(x)),
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "square of itself": lambda x: x * x + x,
    "fast tanh": lambda x: torch.tanh(6 * x),
}
PIECEWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 2),
    "hardsigmoid": F.hardsigmoid,
    "clipped": lambda x: x.clamp(min=0.25),
    "abs": torch.abs,
    "threshold": lambda x: F.threshold(x, 0.3, 0.0),
}
KINKED: dict[str, Callable[[Tensor], Tensor]] = {
    "selu": F.selu,
    "elu": F.elu,
    "hardswish": F.hardswish,
    "hardswish in parts": lambda x: x * F.relu6(x + 3) / 6,
    "chosen": lambda x: torch.where(x > 0, x, 0.2 * x),
}
TOLERANCES = [(SMOOTH, 1e-9), (PIECEWISE, 1e-7), (KINKED, 6e-3)]


@pytest.mark.parametrize(("mean", "deviation", "source"), [(0.0, 1.0, "normal"), (0.5, 12**-0.5, "uniform")])
@pytest.mark.parametrize(
    ("name", "function", "tolerance"), [(n, f, t) for group, t in TOLERANCES for n, f in group.items()]
)
def test_nonlinearities(
    name: str, function: Callable[[Tensor], Tensor], tolerance: float, mean: float, deviation: float, source: str
) -> None:
    """The gain is E f'(x)² of a Gaussian x with the source's mean and variance."""
    m, _ = _squares(
        nn.Sequential(nn.AvgPool1d(1), Function(function)), (1, 9), input={"source": source}, target={"layer": "1"}
    )
    slope = _slope(function)
    assert m.max() == pytest.approx(_gaussian(lambda x: slope(x) ** 2, mean, deviation), rel=tolerance), name
    assert (m > 0).sum() == 1


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "softmax": (lambda x: torch.softmax(x, 1), "_softmax"),
    "gating": (lambda x: x * x.mean((2, 3), keepdim=True), "mul"),
    "attention": (lambda x: (x.flatten(2) @ x.flatten(2).transpose(1, 2) @ x.flatten(2)).view(x.shape), "bmm"),
    "quotient": (lambda x: x / (1 + x.square().mean(1, keepdim=True)), "div"),
    "largest of two": (lambda x: torch.maximum(x, x.roll(1, -1)), "maximum"),
    "sorted": (lambda x: x.sort(-1).values, "sort"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_expectation_here_is_refused_by_name(name: str) -> None:
    function, operator = REFUSED[name]
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), Function(function))
    with pytest.raises(ProblemError, match=operator) as error:
        measure(net, (4, 9, 9), method="analytic", target={"layer": "1"})
    assert error.value.kind == "unsupported-feature"
    assert error.value.problem.context["operator"] == operator
    assert error.value.problem.context["layer"].startswith("1 ")


def test_max_pooling_shares_alike() -> None:
    """Every one of k positions is the largest with probability 1/k; the border's are fewer."""
    m, result = _squares(nn.MaxPool2d(3, 2, 1), (2, 9, 9), target={"unit": [0, 2]})
    expected = np.zeros((9, 9))
    expected[0:2, 3:6] = 1 / 6 * 2 / 2
    np.testing.assert_allclose(m, expected, rtol=1e-12)
    assert any("max pooling" in note for note in result.provenance.notes)


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4), nn.LayerNorm([4, 9, 9])])
def test_normalisations_agree_with_sampled_gradients(norm: nn.Module) -> None:
    """(1 − 2/N)² at the place and 2/N² everywhere, over σ²: against 512 sampled gradients."""
    net = nn.Sequential(nn.AvgPool2d(1), norm)
    asked: dict[str, Any] = {"target": {"layer": "1", "channels": "random"}}
    m, _ = _squares(net, (4, 9, 9), **asked)
    sampled = measure(net, (4, 9, 9), dtype="float64", average={"statistic": "rms", "inputs": 512}, **asked)
    s = (sampled.map * 2.0**sampled.result.scale_log2) ** 2
    assert m.max() == pytest.approx(s.max(), rel=0.03)
    assert m.sum() - m.max() == pytest.approx(s.sum() - s.max(), rel=0.1)
