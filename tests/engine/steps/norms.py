"""Steps that normalise, and steps that work on each position alone."""

import warnings
from random import Random
from typing import Any

import torch
from tests.engine.steps.step import (
    CHANNELS,
    COUPLES,
    FIXED,
    GLOBAL,
    NOT_ONNX,
    TABLE,
    Fn,
    Place,
    Step,
    Weights,
    conv_of,
    same_conv,
    spatial,
    step,
    to_first,
    to_last,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def _column(values: Tensor, rank: int) -> Tensor:
    """A value per channel, for tensors with `rank` axes of space."""
    return values.view(-1, *[1] * rank)


def _standardised(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """Mean 0 and variance 1 over axes."""
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(axes, keepdim=True) + eps)


@TABLE.add("normalisation")
def batch_norm(random: Random, at: Place) -> Step:
    norm = BATCH_NORMS[at.rank - 1](at.channels)

    def affine(norm: Any, x: Tensor) -> Tensor:
        rank = x.dim() - 2
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return x * _column(scale, rank) + _column(norm.bias - norm.running_mean * scale, rank)

    return step(norm, Fn(affine, norm))


@TABLE.add("normalisation")
def batch_norm_of_the_batch(random: Random, at: Place) -> Step:
    """Without running statistics: those of the batch, also in evaluation."""
    norm = BATCH_NORMS[at.rank - 1](at.channels, track_running_stats=False)

    def written(norm: Any, x: Tensor) -> Tensor:
        y = _standardised(x, (0, *spatial(x)), norm.eps)
        return y * _column(norm.weight, x.dim() - 2) + _column(norm.bias, x.dim() - 2)

    return step(norm, Fn(written, norm), GLOBAL, COUPLES)


@TABLE.add("normalisation")
def instance_norm(random: Random, at: Place) -> Step:
    norm = INSTANCE_NORMS[at.rank - 1](at.channels, affine=random.random() < 0.5)

    def written(norm: Any, x: Tensor) -> Tensor:
        y, rank = _standardised(x, spatial(x), norm.eps), x.dim() - 2
        return y if norm.weight is None else y * _column(norm.weight, rank) + _column(norm.bias, rank)

    return step(norm, Fn(written, norm), GLOBAL)


@TABLE.add("normalisation")
def group_norm(random: Random, at: Place) -> Step:
    norm = nn.GroupNorm(random.choice([g for g in (1, 2, 4) if at.channels % g == 0]), at.channels)

    def written(norm: Any, x: Tensor) -> Tensor:
        groups = x.unflatten(1, (norm.num_groups, -1))
        y = _standardised(groups, tuple(range(2, groups.dim())), norm.eps).flatten(1, 2)
        return y * _column(norm.weight, x.dim() - 2) + _column(norm.bias, x.dim() - 2)

    return step(norm, Fn(written, norm), GLOBAL)


@TABLE.add("normalisation")
def layer_norm_of_channels(random: Random, at: Place) -> Step | None:
    """LayerNorm with the channels last, and by hand with the channels first."""
    if at.channels == 1:
        return None  # it is constant
    norm = nn.LayerNorm(at.channels)

    def by_hand(norm: Any, x: Tensor) -> Tensor:
        y = _standardised(x, (1,), norm.eps)
        return y * _column(norm.weight, x.dim() - 2) + _column(norm.bias, x.dim() - 2)

    return step(Fn(lambda norm, x: to_first(norm(to_last(x))), norm), Fn(by_hand, norm))


@TABLE.add("normalisation")
def layer_norm_of_space(random: Random, at: Place) -> Step:
    """Over all of space, or the last axis alone."""
    extents = at.extents if random.random() < 0.5 else at.extents[-1:]
    norm = nn.LayerNorm(extents)
    axes = tuple(range(-len(extents), 0))
    by_hand = lambda norm, x: _standardised(x, axes, norm.eps) * norm.weight + norm.bias  # noqa: E731
    return step(norm, Fn(by_hand, norm), GLOBAL, FIXED)


@TABLE.add("normalisation")
def rms_norm(random: Random, at: Place) -> Step | None:
    """Of the channels, or of the last axis of space."""
    if random.random() < 0.5:
        if at.channels == 1:
            return None  # the sign: its gradient is rounding
        norm = nn.RMSNorm(at.channels)
        return step(Fn(lambda norm, x: to_first(norm(to_last(x))), norm), None, NOT_ONNX)
    norm = nn.RMSNorm(at.extents[-1], eps=1e-5)
    by_hand = lambda norm, x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * norm.weight  # noqa: E731
    return step(norm, Fn(by_hand, norm), GLOBAL, FIXED, NOT_ONNX)


@TABLE.add("normalisation")
def other_norms(random: Random, at: Place) -> Step | None:
    """Local response normalisation, unit vectors, global response normalisation (ConvNeXt V2)."""
    if at.channels == 1:
        return None  # some are constant

    def response(x: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=spatial(x), keepdim=True)
        return x * size / (size.mean(1, keepdim=True) + 1e-6) + x

    return random.choice([
        step(nn.LocalResponseNorm(3)),
        step(lambda x: F.normalize(x, dim=1)),
        step(response, None, GLOBAL),
        step(lambda x: torch.softmax(x, 1)),
    ])  # fmt: skip


@TABLE.add("normalisation")
def squeeze_and_excite(random: Random, at: Place) -> Step:
    conv = conv_of(at.rank)(at.channels, at.channels, 1)
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[at.rank - 1](1)

    def dense(conv: Any, x: Tensor) -> Tensor:
        gate = torch.sigmoid(F.linear(x.mean(spatial(x)), conv.weight.flatten(1), conv.bias))
        return x * gate.view(*gate.shape, *[1] * (x.dim() - 2))

    gated = lambda conv, pool, x: x * torch.sigmoid(conv(pool(x)))  # noqa: E731
    return step(Fn(gated, conv, pool), Fn(dense, conv), GLOBAL)


@TABLE.add("normalisation", (1, 2))
def normed_weights(random: Random, at: Place) -> Step:
    """Weights from other weights: old weight_norm by a hook, and the new parametrisation or spectral norm."""
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)
    if random.random() < 0.5:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the old way is what many repositories still have
            return step(nn.utils.weight_norm(conv), None, NOT_ONNX)
    kind = random.choice([nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
    return step(kind(conv), None, NOT_ONNX)


@TABLE.add("activation")
def activation(random: Random, at: Place) -> Step:
    kinds = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Hardswish, nn.Softplus, nn.Mish, nn.Sigmoid)
    return step(random.choice(kinds)())


@TABLE.add("activation")
def prelu(random: Random, at: Place) -> Step:
    """A slope per channel, and the same by where."""
    module = nn.PReLU(at.channels)
    by_where = lambda m, x: torch.where(x > 0, x, x * _column(m.weight, x.dim() - 2))  # noqa: E731
    return step(module, Fn(by_where, module))


@TABLE.add("activation")
def gated(random: Random, at: Place) -> Step | None:
    """Half of the channels gates the other: GLU by name, and by chunk."""
    if at.channels % 2:
        return None

    def chunked(x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return a * torch.sigmoid(b)

    return step(nn.GLU(1), chunked)


@TABLE.add("activation")
def doubled(random: Random, at: Place) -> Step | None:
    """CReLU, or the larger of two halves."""
    if at.channels % 2:
        return None
    if random.random() < 0.5:
        return step(lambda x: torch.cat([torch.relu(x), torch.relu(-x)], 1))
    return step(lambda x: x.unflatten(1, (2, -1)).amax(1), lambda x: torch.maximum(*x.chunk(2, 1)))


@TABLE.add("activation")
def arithmetic(random: Random, at: Place) -> Step:
    """Arithmetic with constants, also with the tensor on the right."""
    scale = Weights(at.channels)
    return random.choice([
        step(lambda x: 2 - x, lambda x: -(x - 2)),
        step(lambda x: 1 / (2 + x * x), lambda x: (2 + x * x).reciprocal()),
        step(lambda x: torch.rsub(x, 1.5, alpha=2), lambda x: 1.5 - 2 * x),
        step(lambda x: torch.where(x > 0, x, 0.2 * x), nn.LeakyReLU(0.2)),
        step(lambda x: x.clamp(-1.5, 2) + x / 7),
        step(Fn(lambda s, x: x * _column(s.weight, x.dim() - 2), scale),
             Fn(lambda s, x: torch.einsum("nc...,c->nc...", x, s.weight), scale)),
        step(lambda x: torch.addcmul(x, x, x.tanh(), value=0.5), lambda x: x + 0.5 * x * x.tanh()),
        step(lambda x: torch.lerp(x, x.sigmoid(), 0.3), lambda x: 0.7 * x + 0.3 * x.sigmoid()),
    ])  # fmt: skip


@TABLE.add("activation")
def mixed_channels(random: Random, at: Place) -> Step:
    """A product with the channels last: Linear, matmul from the left, einsum, an MLP of channels."""
    linear = nn.Linear(at.channels, CHANNELS)
    forms: list[Any] = [
        Fn(lambda m, x: to_first(m(to_last(x))), linear),
        Fn(lambda m, x: (m.weight @ x.flatten(2) + m.bias[:, None]).unflatten(2, x.shape[2:]), linear),
        Fn(lambda m, x: torch.einsum("nc...,oc->no...", x, m.weight) + _column(m.bias, x.dim() - 2), linear),
        Fn(lambda m, x: torch.tensordot(m.weight, x, ([1], [1])).movedim(0, 1)
           + _column(m.bias, x.dim() - 2), linear),
    ]  # fmt: skip
    one, other = random.sample(forms, 2)
    return step(one, other)
