"""Steps that mix whole axes or windows: attention, Fourier branches, recurrent layers, products along space."""

from random import Random
from typing import Any

import torch
from tests.engine.steps.moves import merged, partitioned
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
    spatial,
    step,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn import functional as F


def _few(at: Place) -> bool:
    """Whether attention over all positions is quick."""
    count = 1
    for n in at.extents:
        count *= n
    return count <= 700


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def _image(tokens: Tensor, like: Tensor) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, like.shape[2:])


def _written_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
    return weights @ v


@TABLE.add("attention")
def attention(random: Random, at: Place) -> Step | None:
    """Two heads over all positions: scaled_dot_product_attention, and written out."""
    if not _few(at):
        return None
    qkv = nn.Linear(at.channels, 3 * CHANNELS)

    def heads(qkv: Any, x: Tensor) -> list[Tensor]:
        return list(qkv(_tokens(x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4))

    fused = lambda m, x: _image(F.scaled_dot_product_attention(*heads(m, x)).transpose(1, 2).flatten(2), x)  # noqa: E731
    by_hand = lambda m, x: _image(_written_attention(*heads(m, x)).transpose(1, 2).flatten(2), x)  # noqa: E731
    return step(Fn(fused, qkv), Fn(by_hand, qkv), GLOBAL)


@TABLE.add("attention")
def multihead(random: Random, at: Place) -> Step | None:
    """nn.MultiheadAttention, with the batch first or second, a residual around."""
    if not _few(at) or at.channels % 2:
        return None
    first = random.random() < 0.5
    module = nn.MultiheadAttention(at.channels, 2, batch_first=first)

    def attended(module: Any, x: Tensor) -> Tensor:
        tokens = _tokens(x) if first else _tokens(x).transpose(0, 1)
        mixed, _ = module(tokens, tokens, tokens, need_weights=not first)
        return x + _image(mixed if first else mixed.transpose(0, 1), x)

    return step(Fn(attended, module), None, GLOBAL)


@TABLE.add("attention")
def encoder_layer(random: Random, at: Place) -> Step | None:
    if not _few(at) or at.channels % 2:
        return None
    layer = nn.TransformerEncoderLayer(at.channels, 2, 8, batch_first=True, norm_first=random.random() < 0.5)
    return step(Fn(lambda layer, x: _image(layer(_tokens(x)), x), layer), None, GLOBAL, NOT_ONNX)


@TABLE.add("attention", (1, 2))
def window_attention(random: Random, at: Place) -> Step | None:
    """Attention inside windows of 4, with a bias by place; shifted windows by roll on request."""
    if any(n % 4 for n in at.extents):
        return None
    qkv, shift = nn.Linear(at.channels, 3 * CHANNELS), random.choice([0, 0, 2])
    axes = tuple(range(2, 2 + at.rank))

    def windowed(attend: Any, qkv: Any, x: Tensor) -> Tensor:
        turned = x.roll([-shift] * at.rank, axes) if shift else x
        windows = partitioned(turned, 4)
        q, k, v = qkv(_tokens(windows)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        y = merged(_image(attend(q, k, v).transpose(1, 2).flatten(2), windows), turned.shape[2:], 4)
        return y.roll([shift] * at.rank, axes) if shift else y

    fused = lambda qkv, x: windowed(F.scaled_dot_product_attention, qkv, x)  # noqa: E731
    by_hand = lambda qkv, x: windowed(_written_attention, qkv, x)  # noqa: E731
    return step(
        Fn(fused, qkv), Fn(by_hand, qkv), LOPSIDED, *([EDGES] if shift else []),
        *([GLOBAL] if 4 in at.extents else []), grain=4,  # a map of one window
    )  # fmt: skip


@TABLE.add("attention")
def class_token(random: Random, at: Place) -> Step | None:
    """A class token in front of the tokens, mixed with them, and left out again."""
    if not _few(at):
        return None
    block = nn.TransformerEncoderLayer(at.channels, 1, 8, batch_first=True, activation="gelu")

    def through(block: Any, x: Tensor) -> Tensor:
        tokens = torch.cat([x.new_ones(len(x), 1, x.shape[1]), _tokens(x)], 1)
        return _image(block(tokens)[:, 1:], x)

    return step(Fn(through, block), None, GLOBAL, NOT_ONNX)


@TABLE.add("along space")
def fourier(random: Random, at: Place) -> Step:
    """A filter of frequencies beside the identity."""
    conv = same_conv(at.rank, 2 * at.channels, 2 * at.channels, 1)
    axes = tuple(range(2, 2 + at.rank)) if random.random() < 0.5 else (at.rank + 1,)

    def filtered(conv: Any, x: Tensor) -> Tensor:
        f = torch.fft.rfftn(x, dim=axes, norm="ortho")
        real, imaginary = torch.relu(conv(torch.cat([f.real, f.imag], 1))).chunk(2, 1)
        back = torch.fft.irfftn(torch.complex(real, imaginary), s=[x.shape[k] for k in axes], dim=axes, norm="ortho")
        return x + back

    return step(Fn(filtered, conv), None, GLOBAL, NOT_ONNX)


@TABLE.add("along space")
def recurrent(random: Random, at: Place) -> Step:
    """GRU, LSTM or RNN along the last axis, other axes as a batch; in one direction or both."""
    kind, both = random.choice([nn.GRU, nn.LSTM, nn.RNN]), random.random() < 0.5
    cell = kind(at.channels, CHANNELS, batch_first=True, bidirectional=both)

    def along_time(cell: Any, x: Tensor) -> Tensor:
        rows = x.movedim(1, -1)
        y = cell(rows.flatten(0, -3))[0]
        return y.view(*rows.shape[:-1], -1).movedim(-1, 1)

    return step(Fn(along_time, cell), None, GLOBAL, LOPSIDED)


@TABLE.add("along space")
def token_mixing(random: Random, at: Place) -> Step:
    """A dense layer along the last axis of space (MLP-Mixer), by Linear and by matmul."""
    n = at.extents[-1]
    dense = nn.Linear(n, n)
    return step(dense, Fn(lambda m, x: torch.matmul(x, m.weight.T) + m.bias, dense), GLOBAL, FIXED)


@TABLE.add("along space")
def statistics(random: Random, at: Place) -> Step:
    """Sums, softmax and running sums along space."""
    return random.choice([
        step(lambda x: x.cumsum(-1) / 4, None, GLOBAL, LOPSIDED),
        step(lambda x: torch.softmax(x, -1) * x, lambda x: x.exp() / x.exp().sum(-1, keepdim=True) * x, GLOBAL),
        step(lambda x: x - x.mean(-1, keepdim=True), lambda x: x - F.adaptive_avg_pool1d(
            x.flatten(0, -3), 1).view(*x.shape[:-1], 1), GLOBAL),
        step(lambda x: x / (1 + x.std(spatial(x), keepdim=True)), None, GLOBAL),
        step(lambda x: torch.cat([x, x.mean(spatial(x), keepdim=True).expand_as(x)], 1), None, GLOBAL),
    ])  # fmt: skip


@TABLE.add("along space", (2,))
def warped(random: Random, at: Place) -> Step:
    """Sampled where the tensor itself says (deformable, spatial transformer)."""
    offsets = same_conv(2, at.channels, 2, 3)

    def sampled(offsets: Any, x: Tensor) -> Tensor:
        return F.grid_sample(x, torch.tanh(offsets(x)).permute(0, 2, 3, 1), align_corners=False)

    return step(Fn(sampled, offsets), None, GLOBAL, HOLES)


@TABLE.add("along space", (2,))
def transposed_attention(random: Random, at: Place) -> Step | None:
    """Attention between channels (Restormer)."""
    if not _few(at):
        return None

    def mixed(x: Tensor) -> Tensor:
        t = F.normalize(x.flatten(2), dim=-1)
        return (torch.softmax(t @ t.transpose(1, 2), -1) @ t).unflatten(2, x.shape[2:])

    return step(mixed, None, GLOBAL)
