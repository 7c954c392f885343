"""Steps by hand give autograd's gradients, on parts and at borders, whatever adds up on the way (float64)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erfscope_engine import measure

SHAPE = (4, 20, 18)


class Net(nn.Module):
    """A function of an input and a few weights, with a convolution before and behind it, and a shortcut."""

    def __init__(self, body: Callable[[Tensor], Tensor], channels: int = 8) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(4, channels, 3, padding=1), nn.Conv2d(channels, 5, 3, padding=1)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return self.leave(x + self.body(x))


class Excite(nn.Module):
    """Squeeze and excite, of a mean with its axes kept or dropped."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self.keep, self.gate = keep, nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=self.keep).flatten(1)))
        return x * gate[:, :, None, None]


class Folded(nn.Module):
    """A block of ConvNeXt: depthwise convolution, LayerNorm, two Linear, layer scale; channels last in between."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.norm = nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.LayerNorm(8)
        self.up, self.down, self.scale = nn.Linear(8, 16), nn.Linear(16, 8), nn.Parameter(torch.randn(8, 1, 1))
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.deep(x).permute(0, 2, 3, 1))
        return self.scale * self.down(F.gelu(self.up(x))).permute(0, 3, 1, 2)


class Attend(nn.Module):
    """Attention over all places, or over windows of them, by products and a softmax, or by torch's kernel."""

    def __init__(self, kernel: bool, window: int = 0) -> None:
        super().__init__()
        self.kernel, self.window, self.qkv = kernel, window, nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2) if not self.window else self._windows(x)
        q, k, v = self.qkv(tokens).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        if self.kernel:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = torch.softmax(q @ k.transpose(-2, -1) * 0.5, -1) @ v
        out = out.transpose(1, 2).flatten(2)
        if not self.window:
            return out.transpose(1, 2).unflatten(2, (h, w))
        s = self.window
        return out.view(n, h // s, w // s, s, s, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)

    def _windows(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        s = self.window
        return x.view(n, c, h // s, s, w // s, s).permute(0, 2, 4, 3, 5, 1).reshape(-1, s * s, c)


class Strided(nn.Module):
    """1×1 convolutions with a stride, with and without a bias, brought back to size."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 6, 1, stride=2), nn.Conv2d(6, 8, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.b(self.a(x)), scale_factor=2)


class Parts(nn.Module):
    """Channels that go different ways and meet again: their gradients fill what they come from."""

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d = x.chunk(4, 1)
        return torch.cat([a * b, b * 3, c.relu(), d[:, :1], d[:, :1] * c[:, 1:]], 1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu, "gelu": F.gelu, "gelu of tanh": lambda x: F.gelu(x, approximate="tanh"), "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu6": F.relu6,
    "leaky": lambda x: F.leaky_relu(x, 0.1), "relu": F.relu,
}  # fmt: skip
BODIES: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    **{name: (lambda f=f: f) for name, f in ACTIVATIONS.items()},  # type: ignore[misc]
    "a constant factor": lambda: lambda x: 3 * x * torch.arange(1.0, 9).view(8, 1, 1).to(x),
    "a factor along space": lambda: lambda x: x * torch.arange(18.0).to(x),
    "its own square": lambda: lambda x: x * x,
    "two activations": lambda: lambda x: torch.sigmoid(x) * torch.tanh(x),
    "squeeze and excite": lambda: Excite(keep=True),
    "squeeze and excite without axes": lambda: Excite(keep=False),
    "ConvNeXt's block": Folded,
    "strided 1×1": Strided,
    "channels apart": Parts,
    "attention by products": lambda: Attend(kernel=False),
    "attention by torch": lambda: Attend(kernel=True),
    "attention in windows": lambda: Attend(kernel=False, window=2),
    "attention of torch in windows": lambda: Attend(kernel=True, window=2),
}  # fmt: skip


def difference(net: nn.Module, samples: int, shape: tuple[int, ...] = SHAPE) -> float:
    """Relative difference of a sample's gradient from plain autograd's; no operator may run whole by autograd."""
    average = {"inputs": samples}
    result = measure(net, shape, dtype="float64", channels="random", average=average, verify=True).result
    assert not result.provenance.autograd
    assert result.provenance.micro_batch == samples
    assert result.verify is not None
    return result.verify.relative_difference


class Read(nn.Module):
    """A dense layer whose result is read before its factor is applied, or has one factor per place: nothing folds."""

    def __init__(self, per_place: bool) -> None:
        super().__init__()
        self.dense, self.per_place = nn.Linear(8, 8), per_place

    def forward(self, x: Tensor) -> Tensor:
        y = self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.per_place:
            return y * torch.linspace(0.5, 2, 18).to(x)
        return y * torch.linspace(0.5, 2, 8).to(x).view(8, 1, 1) + y


BODIES |= {
    "a dense layer that is read": lambda: Read(per_place=False),
    "a factor per place": lambda: Read(per_place=True),
}


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("name", BODIES)
def test_the_gradient_is_autograds(name: str, samples: int) -> None:
    torch.manual_seed(0)
    net = Net(BODIES[name]()).double().eval().requires_grad_(False)
    assert difference(net, samples) < 1e-12


def test_a_gate_on_a_large_map_is_summed_in_blocks() -> None:
    torch.manual_seed(0)
    net = Net(Excite(keep=True)).double().eval().requires_grad_(False)
    assert difference(net, 2, (4, 170, 180)) < 1e-12
