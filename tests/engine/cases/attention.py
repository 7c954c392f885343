"""Token networks: ViT, Swin and Twins-like, mixers, encoder layers, attention between channels."""

from typing import Any

import torch
import torchvision.models as zoo
from tests.engine.cases.case import Case, Net, conv
from tests.engine.steps.moves import merged, partitioned
from tests.engine.steps.step import to_first, to_last
from torch import Tensor, nn
from torch.nn import functional as F


class ViT(nn.Module):
    """Patches, a class token, two encoder blocks with LayerNorm first; the tokens are the output."""

    def __init__(self, tokens_first: int = 1) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.extra, self.place = nn.Parameter(torch.zeros(1, tokens_first, 8)), nn.Parameter(torch.zeros(1, 40, 8))
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"a": nn.LayerNorm(8), "qkv": nn.Linear(8, 24), "b": nn.LayerNorm(8),
                           "mlp": nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))}) for _ in range(2)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.extra.expand(len(x), -1, -1), tokens], 1)
        tokens = tokens + self.place[:, : tokens.shape[1]]
        for block in self.blocks:
            q, k, v = block["qkv"](block["a"](tokens)).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            mixed = torch.softmax(q @ k.transpose(-2, -1) / 2, -1) @ v
            tokens = tokens + mixed.transpose(1, 2).flatten(2)
            tokens = tokens + block["mlp"](block["b"](tokens))
        return tokens


class SwinBlock(nn.Module):
    """Window attention with the channels last, windows of 4 shifted by 2 on request, padded to whole windows."""

    def __init__(self, c: int, shift: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.out, self.shift = nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c), shift
        self.bias = nn.Parameter(torch.zeros(2, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[1:3]
        y = F.pad(self.norm(x), (0, 0, 0, -w % 4, 0, -h % 4))
        y = to_first(y.roll((-self.shift, -self.shift), (1, 2)))
        windows = partitioned(y, 4).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(windows).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mixed = torch.softmax(q @ k.transpose(-2, -1) + self.bias, -1) @ v
        tokens = self.out(mixed.transpose(1, 2).flatten(2))
        back = merged(tokens.transpose(1, 2).unflatten(2, (4, 4)), tuple(y.shape[2:]), 4)
        return x + to_last(back).roll((self.shift, self.shift), (1, 2))[:, :h, :w]


class Swin(nn.Module):
    """Patches of 2, a plain and a shifted block, patch merging, one more block; channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 2, 2)
        self.one, self.two, self.three = SwinBlock(4, 0), SwinBlock(4, 2), SwinBlock(8, 0)
        self.merge = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        y = self.two(self.one(to_last(self.patch(x))))
        y = torch.cat([y[:, 0::2, 0::2], y[:, 1::2, 0::2], y[:, 0::2, 1::2], y[:, 1::2, 1::2]], -1)
        return self.three(self.merge(y))


class Twins(nn.Module):
    """Attention in windows, then of every position to keys of a subsampled map."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.window = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 24)
        self.query, self.reduce, self.pair = nn.Linear(8, 8), nn.Conv2d(8, 8, 4, 4), nn.Linear(8, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        windows = partitioned(x, 4)
        q, k, v = self.window(windows.flatten(2).transpose(1, 2)).chunk(3, 2)
        local = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).unflatten(2, (4, 4))
        x = x + merged(local, tuple(x.shape[2:]), 4)
        keys, values = self.pair(self.reduce(x).flatten(2).transpose(1, 2)).chunk(2, 2)
        q = self.query(x.flatten(2).transpose(1, 2))
        return x + F.scaled_dot_product_attention(q, keys, values).transpose(1, 2).unflatten(2, x.shape[2:])


class Mixer(nn.Module):
    """An MLP over tokens, and one over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.norm, self.tokens, self.channels = (
            nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), nn.Linear(30, 30), nn.Linear(8, 8)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        t = self.patch(x).flatten(2).transpose(1, 2)
        t = t + self.tokens(self.norm(t).transpose(1, 2)).transpose(1, 2)
        return t + F.gelu(self.channels(t))


def _four_heads(first: Any, last: Any, x: Tensor) -> Tensor:
    y = first(x)
    t = y.flatten(2).unflatten(1, (4, 2)).transpose(2, 3)
    return last(F.scaled_dot_product_attention(t, t, t).transpose(2, 3).flatten(1, 2).unflatten(2, y.shape[2:]))


def _masked(first: Any, places: Any, x: Tensor) -> Tensor:
    """Positions that the queries weigh, as those of segmentation networks: the mask has a gradient."""
    q, k, v = first(x).flatten(2).transpose(1, 2)[:, None].chunk(3, -1)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=places(q))
    return y[:, 0].transpose(1, 2).unflatten(2, x.shape[2:])


def _on_other_strides(first: Any, last: Any, x: Tensor) -> Tensor:
    """Queries, keys and values as views of one tensor, and a result that is written into a transposed one."""
    y = first(x)
    q, k, v = y.flatten(2).transpose(1, 2).chunk(3, 2)
    mixed = torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)), -1), v)
    image = torch.empty(len(x), y.shape[2], y.shape[3], 4, dtype=x.dtype).permute(0, 3, 1, 2)
    image.copy_(mixed.transpose(1, 2).unflatten(2, y.shape[2:]))
    return last(image)


def _multihead(patch: Any, attention: Any, x: Tensor) -> Tensor:
    tokens = patch(x).flatten(2).permute(2, 0, 1)
    mixed, _ = attention(tokens, tokens, tokens)
    return (tokens + mixed).permute(1, 0, 2)


def _neighbourhood(one: Any, x: Tensor) -> Tensor:
    """Attention of each position to its 3×3 neighbours (NAT), by unfold."""
    q, k, v = one(x).chunk(3, 1)
    n, c, h, w = q.shape
    near = lambda t: F.unfold(t, 3, padding=1).view(n, c, 9, h, w)  # noqa: E731
    weights = torch.softmax((q.unsqueeze(2) * near(k)).sum(1, keepdim=True), 2)
    return (weights * near(v)).sum(2)


CASES = {
    "scaled_dot_product_attention over tokens": Case(lambda: Net(_four_heads, conv(3, 8), conv(8, 2)), (9, 4)),
    "attention masked by its queries": Case(lambda: Net(_masked, conv(3, 12), nn.Linear(4, 48)), (3, 2), (3, 8, 6)),
    "attention on other strides": Case(lambda: Net(_on_other_strides, conv(3, 12), conv(4, 2)), (9, 4)),
    "MultiheadAttention, batch second": Case(lambda: Net(_multihead, nn.Conv2d(3, 8, 4, 4),
        nn.MultiheadAttention(8, 2)), (2, 3), axes=(0, 1), channels=(3,), tensor=lambda net, x: _grid(net(x), 0)),
    "ViT tokens behind a class token": Case(ViT, (2, 3), axes=(0, 1), channels=(5,),
        tensor=lambda net, x: _grid(net(x), 1), center=(9.5, 13.5)),
    "tokens behind registers": Case(lambda: ViT(4), (3, 1), axes=(0, 1), channels=(2,),
        tensor=lambda net, x: _grid(net(x), 4), center=(13.5, 5.5)),
    "Swin, shifted windows": Case(Swin, (2, 1), (3, 32, 32), axes=(0, 1), channels=(7,), center=(9.5, 5.5)),
    "Swin, padded to whole windows": Case(Swin, (1, 2), (3, 28, 20), axes=(0, 1), channels=(1,)),
    "Swin block without shift": Case(lambda: Net(lambda p, b, x: b(to_last(p(x))), nn.Conv2d(3, 4, 2, 2),
        SwinBlock(4, 0)), (5, 2), (3, 24, 32), axes=(0, 1), channels=(2,), box=[(8, 16), (0, 8)], exact=True,
        center=(10.5, 4.5)),
    "swin_t as it is": Case(zoo.swin_t, (1, 1), (3, 64, 64), layer="features", axes=(0, 1), channels=(7,),
        inputs=(1, 2), tensor=lambda net, x: net.features(x)),
    "Twins, subsampled keys": Case(Twins, (5, 6), (3, 16, 24), center=(10.5, 12.5)),
    "mixer": Case(Mixer, (4, 1), axes=(0, 1), channels=(3,), tensor=lambda net, x: _grid(net(x), 0)),
    "neighbourhood attention": Case(lambda: Net(_neighbourhood, conv(3, 12)), (9, 4), exact=True,
        box=[(7, 12), (2, 7)]),
    "encoder layers": Case(lambda: Net(lambda p, e, x: e(p(x).flatten(2).transpose(1, 2)), nn.Conv2d(3, 8, 4, 4),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)), (4, 3), axes=(0, 1),
        channels=(0,), tensor=lambda net, x: _grid(net(x), 0)),
}  # fmt: skip


def _grid(tokens: Tensor, lead: int) -> Tensor:
    """Tokens behind the leading ones, (batch, rows, columns, channels), for patches of 4 on the common shape."""
    return tokens[:, lead:].unflatten(1, (6, 5))
