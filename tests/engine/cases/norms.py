"""Normalisations, weights that are computed, activations of every kind, stopped gradients, custom Functions."""

import warnings
from typing import Any

import torch
from tests.engine.cases.case import Case, Net, around, conv
from tests.engine.steps.step import to_first, to_last
from tests.engine.steps.writes import Scaled, StraightThrough, Swish
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize


class SqueezeNorm(nn.Module):
    """Squeeze and excite behind InstanceNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.gate, self.last = conv(3, 8), nn.InstanceNorm2d(8), nn.Linear(8, 8), conv(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.first(x))
        return self.last(y * torch.sigmoid(self.gate((y * y).mean((2, 3))))[:, :, None, None])


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised on every call (BiT)."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, self.bias, self.stride, self.padding)


class Symmetric(nn.Module):
    """A parametrisation that makes kernels symmetric."""

    def forward(self, w: Tensor) -> Tensor:
        return (w + w.flip(-1)) / 2


class Dynamic(nn.Module):
    """Kernels made from the input, one per sample, by a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.last = nn.Linear(3, 3 * 9), conv(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        kernels = self.kernels(x.mean((2, 3))).view(n * c, 1, 3, 3)
        return self.last(F.conv2d(x.reshape(1, n * c, h, w), kernels, padding=1, groups=n * c).view(n, c, h, w))


class Binarised(torch.autograd.Function):
    """The sign, whose gradient is cut to where the input is small."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g[0] * (x.abs() < 1.5)


def _old_weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what many repositories still have
        return nn.utils.weight_norm(module)


def _no_grad(a: Any, b: Any, c: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        gate = torch.sigmoid(b(x))
    return c(a(x) * gate)


def _targets(a: Any, b: Any, x: Tensor) -> Tensor:
    """A straight-through vector quantiser: the nearest of a few codes forwards, the identity backwards."""
    y = a(x)
    codes = torch.tensor([-1.0, -0.3, 0.3, 1.0], dtype=x.dtype)
    nearest = codes[(y.unsqueeze(-1) - codes).abs().argmin(-1)]
    return b(y + (nearest - y).detach())


def _through(function: Any) -> Any:
    return lambda a, b, x: b(function(a(x)))


def _between(function: Any) -> nn.Module:
    """A function between two convolutions."""
    return Net(_through(function), conv(3, 4), conv(4, 2))


def symmetric() -> nn.Module:
    """Kernels that are their own mirror images."""
    first = conv(3, 4)
    parametrize.register_parametrization(first, "weight", Symmetric())
    return nn.Sequential(first, nn.Tanh(), conv(4, 2))


CASES = {
    "squeeze and excite behind InstanceNorm": Case(SqueezeNorm, (11, 9)),
    "InstanceNorm with affine": Case(lambda: nn.Sequential(conv(3, 4), nn.InstanceNorm2d(4, affine=True), nn.ReLU(),
        conv(4, 2)), (9, 4)),
    "GroupNorm": Case(lambda: nn.Sequential(conv(3, 4), nn.GroupNorm(2, 4), nn.SiLU(), conv(4, 2)), (9, 4)),
    "BatchNorm without running statistics": Case(lambda: nn.Sequential(conv(3, 4),
        nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(), conv(4, 2)), (9, 4), inputs=(1, 2, 8)),
    "LayerNorm of channels": Case(lambda: Net(lambda a, n, b, x: b(to_first(n(to_last(a(x))))), conv(3, 4),
        nn.LayerNorm(4), conv(4, 2)), (9, 4), exact=True, box=around((9, 4), 2)),
    "RMSNorm over a row": Case(lambda: nn.Sequential(conv(3, 4), nn.RMSNorm(20), conv(4, 2)), (9, 4)),
    "RMSNorm of channels": Case(lambda: Net(lambda a, n, x: to_first(n(to_last(a(x)))), conv(3, 4), nn.RMSNorm(4)),
        (9, 4), exact=True, box=around((9, 4), 1)),
    "global response norm": Case(lambda: _between(lambda y: y * F.normalize(y.norm(dim=(2, 3), keepdim=True), dim=1)),
        (9, 4)),
    "old weight_norm": Case(lambda: nn.Sequential(_old_weight_norm(conv(3, 4)), nn.Tanh(),
        _old_weight_norm(conv(4, 2))), (9, 4), exact=True, box=around((9, 4), 2)),
    "weight_norm by parametrisation": Case(lambda: nn.Sequential(parametrizations.weight_norm(conv(3, 4)), nn.Tanh(),
        conv(4, 2)), (9, 4), exact=True, box=around((9, 4), 2)),
    "spectral norm": Case(lambda: nn.Sequential(parametrizations.spectral_norm(conv(3, 4)), nn.Tanh(), conv(4, 2)),
        (9, 4), exact=True),
    "a parametrisation of one's own": Case(symmetric, (9, 4), exact=True, box=around((9, 4), 2)),
    "weights standardised on every call": Case(lambda: nn.Sequential(Standardised(3, 4, 3, padding=1), nn.ReLU(),
        Standardised(4, 2, 3, padding=1)), (9, 4), exact=False, box=around((9, 4), 2)),
    "kernels made from the input": Case(Dynamic, (9, 4), inputs=(1, 2, 8)),
    "PReLU, chunk": Case(lambda: nn.Sequential(conv(3, 4), nn.PReLU(4), Net(lambda x: x.chunk(2, 1)[0])), (9, 4),
        exact=True),
    "one PReLU for all, split": Case(lambda: nn.Sequential(conv(3, 4), nn.PReLU(), Net(lambda x: x.split(2, 1)[1])),
        (9, 4), exact=True),
    "rsub": Case(lambda: _between(lambda y: 1 - y), (9, 4), exact=True, box=around((9, 4), 2)),
    "rsub of tensors": Case(lambda: _between(lambda y: torch.rsub(y, torch.sigmoid(y), alpha=2)), (9, 4), exact=True),
    "maxout": Case(lambda: Net(lambda a, b, x: b(a(x).unflatten(1, (2, 4)).amax(1)), conv(3, 8), conv(4, 2)), (9, 4)),
    "mish by parts": Case(lambda: _between(lambda y: y * torch.tanh(F.softplus(y))), (9, 4), exact=True),
    "softmax over channels": Case(lambda: _between(lambda y: torch.softmax(y, 1)), (9, 4), exact=True),
    "local response norm": Case(lambda: _between(nn.LocalResponseNorm(3)), (9, 4), exact=True),
    "custom Function": Case(lambda: _between(Swish.apply), (9, 4), exact=True, box=around((9, 4), 2)),
    "gradient reversal": Case(lambda: _between(lambda y: Scaled.apply(y, -0.5)), (9, 4), exact=True),
    "straight-through rounding": Case(lambda: _between(StraightThrough.apply), (9, 4), exact=True),
    "binarised activations": Case(lambda: _between(Binarised.apply), (9, 4)),
    "codes, straight through": Case(lambda: Net(_targets, conv(3, 4), conv(4, 2)), (9, 4), exact=True),
    "branch under no_grad": Case(lambda: Net(_no_grad, conv(3, 4), conv(3, 4, 5), conv(4, 2)), (9, 4), exact=True,
        box=around((9, 4), 2)),
    "detached branch": Case(lambda: Net(lambda a, b, x: a(x) * torch.sigmoid(b(x)).detach(), conv(3, 4),
        conv(3, 4, 7)), (9, 4), exact=True, box=around((9, 4), 1)),
    "branch of .data": Case(lambda: Net(lambda a, b, x: a(x) * torch.sigmoid(b(x.data)), conv(3, 4), conv(3, 4, 7)),
        (9, 4), exact=True, box=around((9, 4), 1)),
    "half of the channels stopped": Case(lambda: _between(lambda y: torch.cat([y[:, :2].detach(), y[:, 2:]], 1)),
        (9, 4), exact=True),
}  # fmt: skip
