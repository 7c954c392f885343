"""Steps that write in place, stop gradients, have gradients of their own, or remember something."""

import warnings
from random import Random
from typing import Any

import torch
from tests.engine.steps.step import (
    CHANNELS,
    EDGES,
    FIXED,
    GLOBAL,
    HOLES,
    LOPSIDED,
    NOT_ONNX,
    TABLE,
    Fn,
    Place,
    Step,
    same_conv,
    step,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


@TABLE.add("writes")
def added_to_a_slice(random: Random, at: Place) -> Step:
    """y[1:] += 2·y[:-1] along an axis, and a sum with a padded slice."""
    axis = random.randrange(at.rank) + 2

    def written(x: Tensor) -> Tensor:
        y, n = x.clone(), x.shape[axis]
        y.narrow(axis, 1, n - 1).add_(y.narrow(axis, 0, n - 1) * 2)
        return y

    def joined(x: Tensor) -> Tensor:
        before = x.narrow(axis, 0, x.shape[axis] - 1)
        return x + 2 * torch.cat([torch.zeros_like(x.narrow(axis, 0, 1)), before], axis)

    return step(written, joined, LOPSIDED, EDGES, NOT_ONNX)


@TABLE.add("writes")
def activated_in_place(random: Random, at: Place) -> Step:
    """An activation in place, of all channels or of the first two through a view."""
    if random.random() < 0.5:
        return step(lambda x: (x * 1.5).relu_(), lambda x: torch.relu(x * 1.5), NOT_ONNX)

    def viewed(x: Tensor) -> Tensor:
        y = x * 1.5
        y[:, :2].relu_()
        return y

    return step(viewed, lambda x: torch.cat([torch.relu(x[:, :2] * 1.5), x[:, 2:] * 1.5], 1), NOT_ONNX)


@TABLE.add("writes")
def inplace_modules(random: Random, at: Place) -> Step:
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)
    return step(nn.Sequential(conv, nn.ReLU(inplace=True)), nn.Sequential(conv, nn.ReLU()))


@TABLE.add("writes")
def interleaved(random: Random, at: Place) -> Step | None:
    """Even positions doubled, odd ones not, by writes with a step, and by a constant factor."""
    axis = random.randrange(at.rank)
    n = at.extents[axis]
    factor = torch.ones(n).view(-1, *[1] * (at.rank - 1 - axis))
    factor[::2] = 2
    every = (..., slice(None, None, 2), *[slice(None)] * (at.rank - 1 - axis))

    def written(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y += x
        y[every] *= 2
        return y

    return step(written, lambda x: x * factor.to(x), FIXED, NOT_ONNX)


@TABLE.add("writes")
def erased(random: Random, at: Place) -> Step:
    """One channel and one position set to 0, by writes, masked_fill and a mask."""
    axis = random.randrange(at.rank)
    n = at.extents[axis]
    where = random.randrange(n)
    mask = torch.zeros(n, dtype=torch.bool).view(-1, *[1] * (at.rank - 1 - axis))
    mask[where] = True

    def written(x: Tensor) -> Tensor:
        y = x.clone()
        y.select(axis + 2, where).zero_()
        y[:, 0] = 0.5
        return y

    def filled(x: Tensor) -> Tensor:
        y = x.masked_fill(mask, 0)
        return torch.cat([torch.full_like(y[:, :1], 0.5), y[:, 1:]], 1)

    return step(written, filled, HOLES, FIXED, NOT_ONNX)


@TABLE.add("writes")
def collected(random: Random, at: Place) -> Step:
    """Results put into a buffer one by one, and stacked."""
    conv = same_conv(at.rank, at.channels, 2, 3)

    def buffered(conv: Any, x: Tensor) -> Tensor:
        y = x.new_zeros(len(x), 4, *x.shape[2:])
        for k in range(2):
            y[:, 2 * k : 2 * k + 2] = conv(x) * (k + 1)
        return y

    return step(Fn(buffered, conv), Fn(lambda conv, x: torch.cat([conv(x), conv(x) * 2], 1), conv), NOT_ONNX)


@TABLE.add("stops")
def stopped(random: Random, at: Place) -> Step:
    """A gate without gradient: no_grad, detach, .data; each with another as its twin."""
    conv = same_conv(at.rank, at.channels, at.channels, 5)

    def without(conv: Any, x: Tensor) -> Tensor:
        with torch.no_grad():
            gate = torch.sigmoid(conv(x))
        return x * gate

    forms = [
        Fn(without, conv),
        Fn(lambda conv, x: x * torch.sigmoid(conv(x)).detach(), conv),
        Fn(lambda conv, x: x * torch.sigmoid(conv(x.data)), conv),
        Fn(lambda conv, x: x * torch.sigmoid(conv(x.detach())).data, conv),
    ]
    return step(*random.sample(forms, 2), NOT_ONNX)


@TABLE.add("writes")
def every_other(random: Random, at: Place) -> Step:
    """Every other position along an axis changed in place: no position moves."""
    axis, first = random.randrange(at.rank) + 2, random.choice([0, 1])

    def written(x: Tensor) -> Tensor:
        y = x.clone()
        y[(slice(None),) * axis + (slice(first, None, 2),)] *= 3
        return y

    def scaled(x: Tensor) -> Tensor:
        factor = torch.ones(x.shape[axis], dtype=x.dtype)
        factor[first::2] = 3
        return x * factor.view(-1, *[1] * (x.dim() - axis - 1))

    return step(written, scaled, NOT_ONNX)


@TABLE.add("stops")
def written_unseen(random: Random, at: Place) -> Step:
    """Numbers changed under no_grad, or through detach: autograd goes on as if they had not been."""
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)

    def all_at_once(conv: Any, x: Tensor) -> Tensor:
        y = conv(x)
        with torch.no_grad():
            y.mul_(0.7).add_(0.1)
        return y**2

    def a_part(conv: Any, x: Tensor) -> Tensor:
        y = conv(x)
        with torch.no_grad():
            y[:, :2] = y[:, :2] * 0.7 + 0.1
            y[:, 2:].mul_(0.7).add_(0.1)
        return y**2

    def detached(conv: Any, x: Tensor) -> Tensor:
        y = conv(x)
        y.detach().mul_(0.7).add_(0.1)
        return y**2

    def by_hand(conv: Any, x: Tensor) -> Tensor:
        y = conv(x)
        return (y + (y * 0.7 + 0.1 - y).detach()) ** 2

    return step(Fn(random.choice([all_at_once, a_part, detached]), conv), Fn(by_hand, conv), NOT_ONNX)


@TABLE.add("stops")
def half_stopped(random: Random, at: Place) -> Step | None:
    """Half of the channels without gradient."""
    if at.channels < 4:
        return None
    half = at.channels // 2
    return step(lambda x: torch.cat([x[:, :half].detach(), x[:, half:]], 1), None, NOT_ONNX)


class Swish(torch.autograd.Function):
    """x · sigmoid(x), keeping x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return g[0] * (s * (1 + x * (1 - s)))


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied (gradient reversal, gradient scaling)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: float) -> Tensor:
        ctx.by = by
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor, None]:
        return g[0] * ctx.by, None


class StraightThrough(torch.autograd.Function):
    """Rounded forwards, the identity backwards (quantisation-aware training)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x * 4) / 4

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        return g[0]


class Blurred(torch.autograd.Function):
    """A sum of neighbours with a backward of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.pad(x, (1, 0))[..., :-1] + x

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        return F.pad(g[0], (0, 1))[..., 1:] + g[0]


@TABLE.add("functions")
def custom_function(random: Random, at: Place) -> Step:
    """Gradients of one's own, and the formula where there is one."""
    by = random.choice([-1.0, 0.5])
    return random.choice([
        step(Swish.apply, nn.SiLU(), NOT_ONNX),
        step(lambda x: Scaled.apply(x, by), lambda x: by * x + ((1 - by) * x).detach(), NOT_ONNX),
        step(StraightThrough.apply, lambda x: x + (torch.round(x * 4) / 4 - x).detach(), NOT_ONNX),
        step(Blurred.apply, None, GLOBAL, LOPSIDED, NOT_ONNX),
    ])  # fmt: skip


@TABLE.add("functions")
def checkpointed(random: Random, at: Place) -> Step:
    """A block whose forward runs again on the way back, and the block."""
    block = nn.Sequential(same_conv(at.rank, at.channels, CHANNELS, 3), nn.SiLU())
    return step(Fn(lambda b, x: checkpoint(b, x, use_reentrant=False), block), block, NOT_ONNX)


class Scripted(nn.Module):
    """A smooth activation, as TorchScript sees it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.7 * x)


class Cached(nn.Module):
    """Keeps a table by size from the first call on, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[tuple[Any, ...], Tensor] = {}
        self.last: Tensor | None = None
        self.calls = 0
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        key = (*x.shape[2:], x.dtype)
        if key not in self.tables:
            ramps = [torch.linspace(0, 1, n, dtype=x.dtype, device=x.device) for n in x.shape[2:]]
            self.tables[key] = torch.stack(torch.meshgrid(*ramps, indexing="ij")).sum(0)
        self.calls += 1
        self.steps += 1
        self.last = x
        return x * (1 + self.tables[key])


class Watched(nn.Module):
    """A convolution with a hook that gathers what it gave."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv, self.gathered = conv, list[Tensor]()
        conv.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, args: Any, out: Tensor) -> None:
        self.gathered.append(out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y + self.gathered[-1] / 2


@TABLE.add("memory")
def cache(random: Random, at: Place) -> Step:
    def fresh(x: Tensor) -> Tensor:
        ramps = [torch.linspace(0, 1, n, dtype=x.dtype) for n in x.shape[2:]]
        return x * (1 + torch.stack(torch.meshgrid(*ramps, indexing="ij")).sum(0))

    return step(Cached(), fresh, NOT_ONNX)


@TABLE.add("memory")
def hook(random: Random, at: Place) -> Step:
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)
    return step(Watched(conv), None, NOT_ONNX)


@TABLE.add("memory")
def scripted(random: Random, at: Place) -> Step:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript modules are what many people still have
        return step(torch.jit.script(Scripted()), Scripted(), NOT_ONNX)


@TABLE.add("memory")
def dropped(random: Random, at: Place) -> Step:
    """Dropout in evaluation: nothing."""
    conv = same_conv(at.rank, at.channels, CHANNELS, 1)
    return step(nn.Sequential(conv, random.choice([nn.Dropout, nn.AlphaDropout])()), conv)
