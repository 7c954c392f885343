"""The expert's way gives the script's gradients; the limit counts arithmetic by kind."""

from collections import Counter

import pytest
import torch
from benchmarks import limit as limits
from benchmarks import ways
from benchmarks.bodies import ROWS, UNet, plain
from benchmarks.limit import DENSE, DEPTHWISE, PRODUCT, arithmetic_of, limit, peaks
from benchmarks.modern import Pyramid, Residual, VolumeUNet, temporal
from benchmarks.ways import Expert, center_gradient
from torch import nn


def residual() -> nn.Module:
    def block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())

    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), Residual(block()), nn.MaxPool2d(2), block())


def squeeze() -> nn.Module:
    """Global: the expert has nothing to crop."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), Scaled())


class Scaled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


BODIES = {
    "residual": (residual, (3, 96, 80), 4),
    "plain": (lambda: plain(4, 4), (3, 40, 40), 1),
    "U-Net": (lambda: UNet(width=6, depth=3), (3, 128, 128), 4),
    "U-Net at the border": (lambda: UNet(width=6, depth=3), (3, 32, 32), 4),
    "pyramid": (lambda: Pyramid(4), (3, 64, 64), 32),
    "squeeze": (squeeze, (3, 32, 32), 2),
    "temporal": (lambda: temporal(4, 3), (1, 200), 1),
    "volume": (lambda: VolumeUNet(2), (1, 24, 24, 24), 4),
}


def settled(body: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics and scales that a wrong folding would show."""
    for module in body.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
        elif getattr(module, "bias", None) is not None:
            nn.init.uniform_(module.bias, 0.0, 0.3)  # type: ignore[arg-type]  # so that no ReLU is dead
    return body.eval().requires_grad_(False)


@pytest.mark.parametrize("name", BODIES)
def test_the_expert_has_the_gradient_of_the_whole_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "LEAST_SECONDS", 0.0)  # nothing is timed here
    monkeypatch.setattr(ways, "BATCHES", (2,))
    torch.manual_seed(1)
    build, shape, multiple = BODIES[name]
    body = settled(build()).double()
    expert = Expert(body, shape, "cpu", multiple)
    if name in ("residual", "plain", "U-Net", "temporal"):
        assert torch.Size(expert.shape).numel() < torch.Size(shape).numel()
    images = torch.randn(2, *shape, dtype=torch.float64)
    inside = (slice(None), slice(None), *(slice(lo, hi) for lo, hi in expert.crop))
    truth = center_gradient(body, images)
    cropped = torch.zeros_like(truth)
    cropped[inside] = expert(images[inside])
    assert truth.abs().max() > 0
    torch.testing.assert_close(cropped, truth, rtol=1e-9, atol=1e-9 * float(truth.abs().max()))


def test_normalisations_are_folded() -> None:
    body = settled(residual())
    left = [m for m in ways.folded(body).modules() if isinstance(m, nn.BatchNorm2d)]
    assert left == []
    assert any(isinstance(m, nn.BatchNorm2d) for m in body.modules())  # the body itself is as it was


ARITHMETIC = {  # (in, out, kernel, groups) → kind
    (8, 16, 3, 1): DENSE,
    (8, 16, 1, 1): PRODUCT,
    (8, 8, 7, 8): DEPTHWISE[7],
    (8, 8, 5, 8): DEPTHWISE[5],
    (8, 8, 3, 8): DEPTHWISE[3],
    (8, 8, 3, 2): DENSE,
}


@pytest.mark.parametrize("case", ARITHMETIC)
def test_arithmetic_is_counted_by_kind_forward_and_back(case: tuple[int, int, int, int]) -> None:
    into, out, kernel, groups = case
    conv = nn.Conv2d(into, out, kernel, padding=kernel // 2, groups=groups).requires_grad_(False)
    x = torch.randn(2, into, 10, 12, requires_grad=True)
    once = 2 * 2 * out * 10 * 12 * into // groups * kernel**2  # two operations per multiply-add, two samples
    assert arithmetic_of(lambda: conv(x)) == Counter({ARITHMETIC[case]: once})
    assert arithmetic_of(lambda: torch.autograd.grad(conv(x).sum(), x)) == Counter({ARITHMETIC[case]: 2 * once})


def test_products_are_counted() -> None:
    a, b = torch.randn(5, 7), torch.randn(7, 11)
    assert arithmetic_of(lambda: a @ b) == Counter({PRODUCT: 2 * 5 * 7 * 11})


def test_the_limit_is_the_sum_over_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in (("CHANNELS", 8), ("EXTENT", 8), ("TRIES", 1)):
        monkeypatch.setattr(limits, name, small)
    assert limit(Counter({DENSE: 600, PRODUCT: 100}), {DENSE: 300.0, PRODUCT: 50.0}) == 4.0
    assert set(peaks("cpu")) == {DENSE, PRODUCT, *DEPTHWISE.values()}


def test_names_of_rows_differ() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
