"""Layers that torch.nn does not have in the form the spec language needs."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pad(nn.Module):
    """torch.nn.functional.pad; `pads` holds (before, after) per axis, first axis first."""

    def __init__(self, pads: Sequence[tuple[int, int]], mode: str, value: float = 0.0) -> None:
        super().__init__()
        self.flat = [side for pair in reversed(pads) for side in pair]
        self.mode = mode
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → (B, C, *(S + pads))."""
        if self.mode == "constant":
            return F.pad(x, self.flat, value=self.value)
        if self.mode == "circular":
            return self._wrapped(x)
        return F.pad(x, self.flat, mode=self.mode)

    def _wrapped(self, x: Tensor) -> Tensor:
        """Circular padding by joining slices; torch copies into an empty tensor, which hides positions."""
        for axis, (after, before) in enumerate(zip(self.flat[1::2], self.flat[::2], strict=True)):
            dim = x.dim() - 1 - axis
            parts = [x.narrow(dim, x.shape[dim] - before, before), x, x.narrow(dim, 0, after)]
            x = torch.cat([part for part in parts if part.shape[dim] > 0], dim)
        return x


class Crop(nn.Module):
    """Keeps [start, stop) of every spatial axis."""

    def __init__(self, bounds: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.bounds = tuple(bounds)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → (B, C, *(stop − start))."""
        for axis, (start, stop) in enumerate(self.bounds, start=2):
            x = x.narrow(axis, start, stop - start)
        return x


class SparseConv(nn.Module):
    """out[p] = Σ_t W_t · x[p · stride + offset_t] + b, zeros outside: one 1×1 convolution per tap, summed.

    A dense kernel with zeros between the taps would cost the whole box that the taps span.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        offsets: Sequence[Sequence[int]],
        stride: Sequence[int],
        groups: int,
        bias: bool,
    ) -> None:
        super().__init__()
        self.offsets = tuple(tuple(tap) for tap in offsets)
        self.stride = tuple(stride)
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(out, channels // groups, len(self.offsets)))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None
        columns = list(zip(*self.offsets, strict=True))
        self.before = tuple(max(0, -min(column)) for column in columns)
        self.pad = Pad(
            [(before, max(0, *column)) for before, column in zip(self.before, columns, strict=True)],
            "constant",
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → (B, out, *⌈S / stride⌉)."""
        padded = self.pad(x)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.stride) - 1]
        total: Tensor | None = None
        for index, tap in enumerate(self.offsets):
            view = padded
            for axis, (offset, before, step) in enumerate(zip(tap, self.before, self.stride, strict=True)):
                start = before + offset
                last = start + (x.shape[axis + 2] - 1) // step * step
                view = view[(slice(None),) * (axis + 2) + (slice(start, last + 1, step),)]
            weight = self.weight[..., index].reshape(*self.weight.shape[:2], *(1,) * len(self.stride))
            term = convolve(view, weight, self.bias if index == 0 else None, groups=self.groups)
            total = term if total is None else total + term
        assert total is not None  # the contract asks for one tap at least
        return total


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position (ConvNeXt, transformers)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class LocalResponseNorm(nn.Module):
    """torch.nn.LocalResponseNorm as a sum over shifted channels, which keeps the spatial axes where they are.

    torch moves the channels into a spatial axis of an average pooling; the numbers agree to rounding.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → the same shape."""
        channels = x.shape[1]
        pads = [0, 0] * (x.dim() - 2) + [self.size // 2, (self.size - 1) // 2]
        squares = F.pad(x * x, pads)
        total = squares.narrow(1, 0, channels)
        for shift in range(1, self.size):
            total = total + squares.narrow(1, shift, channels)
        return x / (total * (self.alpha / self.size) + self.k) ** self.beta


class SelfAttention(nn.Module):
    """Multi-head self-attention over all positions (Vaswani et al. 2017), in plain products."""

    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=bias)
        self.out = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → the same shape."""
        batch, channels = x.shape[:2]
        width = channels // self.heads
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).reshape(batch, -1, 3, self.heads, width).permute(2, 0, 3, 1, 4).unbind(0)
        share = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(width), dim=-1)
        mixed = (share @ v).transpose(1, 2).reshape(batch, -1, channels)
        projected: Tensor = self.out(mixed)
        return projected.transpose(1, 2).reshape(x.shape)


class PositionEmbedding(nn.Module):
    """Adds one value per channel and position, drawn from N(0, std²)."""

    def __init__(self, shape: Sequence[int], std: float) -> None:
        super().__init__()
        self.std = std
        self.weight = nn.Parameter(torch.empty(1, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → the same shape."""
        return x + self.weight


class DropMask(nn.Module):
    """Active dropout as a factor per element that is fixed until the next draw of the weights.

    A mask per call would make the network depend on hidden state; one per draw gives the same ensemble when
    weights are re-drawn, and the same bytes whatever the batch.
    """

    mask: Tensor

    def __init__(self, shape: Sequence[int], p: float) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("mask", torch.empty(1, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) → the same shape."""
        return x * self.mask


class Concat(nn.Module):
    """Channels of several tensors, one after another."""

    def forward(self, *tensors: Tensor) -> Tensor:
        """(B, Cᵢ, *S) … → (B, ΣCᵢ, *S)."""
        return torch.cat(tensors, dim=1)


class Add(nn.Module):
    """Sum of several tensors."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Shapes that broadcast → their common shape."""
        for other in others:
            first = first + other
        return first


class Multiply(nn.Module):
    """Product of several tensors."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Shapes that broadcast → their common shape."""
        for other in others:
            first = first * other
        return first
