"""Steps that slide windows: convolutions, pools, resizing, paddings."""

from fractions import Fraction
from math import prod
from random import Random
from typing import Any

import torch
from tests.engine.steps.step import (
    CHANNELS,
    EDGES,
    HOLES,
    LOPSIDED,
    SIZED,
    TABLE,
    Fn,
    Place,
    Step,
    alike,
    along,
    conv_of,
    same_conv,
    spatial,
    step,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = {
    "max": (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    "avg": (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
}
LINEAR = ("linear", "bilinear", "trilinear")


@TABLE.add("convolution")
def convolution(random: Random, at: Place) -> Step:
    k, s, d = random.randint(1, 4), random.randint(1, 2), random.choice([1, 1, 2])
    p = random.randint(0, min(2, d * (k - 1)))
    groups = random.choice([1, 2]) if at.channels % 2 == 0 else 1
    conv = conv_of(at.rank)(at.channels, CHANNELS, k, stride=s, dilation=d, padding=p, groups=groups)

    def padded(conv: Any, x: Tensor) -> Tensor:
        function = (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3]
        return function(F.pad(x, (p, p) * (x.dim() - 2)), conv.weight, conv.bias, s, 0, d, groups)

    gaps = [HOLES] if (d > 1 and k > 1) or s > k else []
    return step(conv, Fn(padded, conv), *gaps, pitch=alike(s, at.rank), grain=s)


@TABLE.add("convolution")
def depthwise(random: Random, at: Place) -> Step:
    k = random.choice([3, 5])
    conv = same_conv(at.rank, at.channels, at.channels, k, groups=at.channels)

    def shifted(conv: Any, x: Tensor) -> Tensor:
        """The sum of shifted copies, a weight for each."""
        padded, rank = F.pad(x, (k // 2,) * (2 * (x.dim() - 2))), x.dim() - 2
        total = conv.bias.view(-1, *[1] * rank) + torch.zeros_like(x)
        for tap in torch.cartesian_prod(*[torch.arange(k)] * rank).view(-1, rank).tolist():
            part = padded[(..., *(slice(t, t + n) for t, n in zip(tap, x.shape[2:], strict=True)))]
            total = total + conv.weight[(slice(None), 0, *tap)].view(-1, *[1] * rank) * part
        return total

    return step(conv, Fn(shifted, conv))


@TABLE.add("convolution")
def one_by_one(random: Random, at: Place) -> Step:
    """A 1×1 convolution, and a Linear with the channels last."""
    conv = conv_of(at.rank)(at.channels, CHANNELS, 1)
    last = lambda conv, x: F.linear(x.movedim(1, -1), conv.weight.flatten(1), conv.bias).movedim(-1, 1)  # noqa: E731
    return step(conv, Fn(last, conv))


@TABLE.add("convolution", (2,))
def as_columns(random: Random, at: Place) -> Step:
    """A convolution written as unfold and a product, and plain."""
    conv = conv_of(2)(at.channels, CHANNELS, 3, padding=1, stride=random.choice([1, 2]))

    def columns(conv: Any, x: Tensor) -> Tensor:
        h, w = ((n - 1) // conv.stride[0] + 1 for n in x.shape[2:])
        windows = F.unfold(x, 3, padding=1, stride=conv.stride)
        return (conv.weight.flatten(1) @ windows + conv.bias[:, None]).view(len(x), -1, h, w)

    return step(Fn(columns, conv), conv, pitch=alike(conv.stride[0], 2), grain=conv.stride[0])


@TABLE.add("convolution")
def transposed(random: Random, at: Place) -> Step:
    k, s = random.randint(2, 4), random.randint(1, 3)
    p, more = random.randint(0, min(k - 1, 1)), random.randint(0, s - 1)
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[at.rank - 1]
    return step(
        kind(at.channels, CHANNELS, k, s, p, more), None, *([HOLES] if k < s or more > p else []), LOPSIDED,
        pitch=alike(Fraction(1, s), at.rank),
    )  # fmt: skip


@TABLE.add("convolution", (2,))
def transposed_as_shuffle(random: Random, at: Place) -> Step:
    """A 2×2 transposed convolution of stride 2, and a 1×1 convolution with a pixel shuffle."""
    conv = nn.ConvTranspose2d(at.channels, CHANNELS, 2, 2)

    def shuffled(conv: Any, x: Tensor) -> Tensor:
        weight = conv.weight.permute(1, 2, 3, 0).reshape(4 * CHANNELS, -1, 1, 1)
        return F.pixel_shuffle(F.conv2d(x, weight, conv.bias.repeat_interleave(4)), 2)

    return step(conv, Fn(shuffled, conv), LOPSIDED, pitch=alike(Fraction(1, 2), 2))


@TABLE.add("pooling")
def pooling(random: Random, at: Place) -> Step:
    kind, k, s = random.choice(["max", "avg"]), random.randint(1, 3), random.randint(1, 3)
    ceil, p = random.random() < 0.5, random.randint(0, k // 2)
    options = {"count_include_pad": random.random() < 0.5} if kind == "avg" else {}
    pool = POOLS[kind][at.rank - 1](k, s, p, ceil_mode=ceil, **options)
    return step(pool, None, *([HOLES] if s > k else []), pitch=alike(s, at.rank), grain=s)


@TABLE.add("pooling", (1, 2))
def pooling_of_windows(random: Random, at: Place) -> Step:
    """Pooling, and the windows cut out by Tensor.unfold."""
    kind, k, s = random.choice(["max", "avg"]), random.randint(2, 3), random.randint(1, 2)

    def windows(x: Tensor) -> Tensor:
        for axis in spatial(x):
            x = x.unfold(axis, k, s)
        inner = tuple(range(-(x.dim() - 2) // 2, 0))
        return x.amax(inner) if kind == "max" else x.mean(inner)

    return step(POOLS[kind][at.rank - 1](k, s), windows, pitch=alike(s, at.rank), grain=s)


@TABLE.add("pooling")
def adaptive(random: Random, at: Place) -> Step:
    kinds = {
        "avg": (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
        "max": (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    }
    extents = tuple(random.randint(min(3, n), n) for n in at.extents)
    return step(random.choice(sorted(kinds.items()))[1][at.rank - 1](extents), None, SIZED)


@TABLE.add("pooling", (2,))
def blur(random: Random, at: Place) -> Step:
    """Anti-aliased subsampling: a fixed binomial filter of stride 2 behind a mirrored padding."""
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = nn.Buffer(torch.outer(row, row).repeat(at.channels, 1, 1, 1))

    class Blur(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = kernel

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.kernel, stride=2, groups=at.channels)

    return step(Blur(), None, EDGES, pitch=alike(2, 2), grain=2)


@TABLE.add("resizing")
def nearest(random: Random, at: Place) -> Step:
    """Nearest upsampling, and repeated elements."""
    f = random.choice([2, 3])

    def repeated(x: Tensor) -> Tensor:
        for axis in spatial(x):
            x = x.repeat_interleave(f, axis)
        return x

    def by_index(x: Tensor) -> Tensor:
        for axis in spatial(x):
            x = x.index_select(axis, torch.arange(f * x.shape[axis]) // f)
        return x

    def by_copies(x: Tensor) -> Tensor:
        """Old exporters' way: elements joined with themselves, then rows, then planes."""
        inner = 1
        for axis in reversed(spatial(x)):
            extents = [n * f if k == axis else n for k, n in enumerate(x.shape)]
            x = torch.cat([x.reshape(-1, inner)] * f, 1).reshape(extents)
            inner *= extents[axis]
        return x

    def by_views(x: Tensor) -> Tensor:
        for axis in spatial(x):
            x = torch.stack([x] * f, axis + 1).flatten(axis, axis + 1)
        return x

    forms = random.sample([repeated, by_index, by_copies, by_views], 2)
    plain = nn.Upsample(scale_factor=f)
    pair = random.choice([(plain, forms[0]), (forms[0], forms[1]), (forms[0], plain)])
    return step(*pair, LOPSIDED, pitch=alike(Fraction(1, f), at.rank))


@TABLE.add("resizing")
def linear(random: Random, at: Place) -> Step:
    f = random.choice([2, 4])
    up = nn.Upsample(scale_factor=f, mode=LINEAR[at.rank - 1])
    return step(up, None, LOPSIDED, pitch=alike(Fraction(1, f), at.rank))


@TABLE.add("resizing", (2,))
def bicubic(random: Random, at: Place) -> Step:
    return step(nn.Upsample(scale_factor=2, mode="bicubic"), None, LOPSIDED, pitch=alike(Fraction(1, 2), 2))


@TABLE.add("resizing")
def to_a_size(random: Random, at: Place) -> Step:
    """Interpolation to any size, with and without aligned corners."""
    mode = random.choice(["nearest", "nearest-exact", LINEAR[at.rank - 1], "area", *["bicubic"] * (at.rank == 2)])
    extents = tuple(random.randint(max(2, n // 2), 2 * n) for n in at.extents)
    corners = random.random() < 0.5 if mode in (*LINEAR, "bicubic") else None
    smooth = mode in ("bilinear", "bicubic") and random.random() < 0.5

    def resized(x: Tensor) -> Tensor:
        return F.interpolate(x, extents, mode=mode, align_corners=corners, antialias=smooth)

    return step(resized, None, SIZED, LOPSIDED)


@TABLE.add("padding")
def zeros(random: Random, at: Place) -> Step:
    """Zeros around, or a border cut off; as a pad and as a write into zeros."""
    sides = [random.randint(0, 2) for _ in range(2 * at.rank)]
    befores = sides[0::2][::-1]

    def written(x: Tensor) -> Tensor:
        extents = [n + sum(sides[2 * k : 2 * k + 2]) for k, n in enumerate(reversed(x.shape[2:]))]
        y = x.new_zeros(*x.shape[:2], *reversed(extents))
        y[(..., *(slice(b, b + n) for b, n in zip(befores, x.shape[2:], strict=True)))] = x
        return y

    return step(lambda x: F.pad(x, sides), written)


@TABLE.add("padding")
def cropped(random: Random, at: Place) -> Step | None:
    """Negative padding, and a slice: the field ends where real pixels are cut off, on a larger canvas later."""
    if min(at.extents) < 6:
        return None
    a, b = random.randint(0, 2), random.randint(1, 2)
    cut = (..., *[slice(a, -b)] * at.rank)
    return step(lambda x: F.pad(x, (-a, -b) * at.rank), lambda x: x[cut], EDGES)


@TABLE.add("padding")
def replicated(random: Random, at: Place) -> Step:
    p = random.randint(1, 2)

    def by_index(x: Tensor) -> Tensor:
        for axis in spatial(x):
            n = x.shape[axis]
            x = x.index_select(axis, torch.arange(-p, n + p).clamp(0, n - 1))
        return x

    return step(lambda x: F.pad(x, (p,) * (2 * at.rank), mode="replicate"), by_index, EDGES)


@TABLE.add("padding")
def mirrored(random: Random, at: Place) -> Step:
    p = random.randint(1, 2)

    def by_slices(x: Tensor) -> Tensor:
        for axis in spatial(x):
            n = x.shape[axis]
            front, back = x.narrow(axis, 1, p).flip(axis), x.narrow(axis, n - 1 - p, p).flip(axis)
            x = torch.cat([front, x, back], axis)
        return x

    return step(lambda x: F.pad(x, (p,) * (2 * at.rank), mode="reflect"), by_slices, EDGES)


@TABLE.add("padding")
def circular(random: Random, at: Place) -> Step:
    """Circular padding by pad, and by copies into an empty tensor."""
    p = random.randint(1, 2)

    def copied(x: Tensor) -> Tensor:
        y = x.new_empty(*x.shape[:2], *(n + 2 * p for n in x.shape[2:]))
        y[(..., *[slice(p, -p)] * (x.dim() - 2))] = x
        for axis in spatial(x):
            n = y.shape[axis]
            y.narrow(axis, 0, p).copy_(y.narrow(axis, n - 2 * p, p))
            y.narrow(axis, n - p, p).copy_(y.narrow(axis, p, p))
        return y

    return step(lambda x: F.pad(x, (p,) * (2 * at.rank), mode="circular"), copied, EDGES)


@TABLE.add("padding")
def padding_mode(random: Random, at: Place) -> Step:
    """A convolution with a padding of its own kind, and a pad before a convolution."""
    mode = random.choice(["reflect", "replicate", "circular"])
    conv = same_conv(at.rank, at.channels, CHANNELS, 3, padding_mode=mode)

    def apart(conv: Any, x: Tensor) -> Tensor:
        function = (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3]
        return function(F.pad(x, (1, 1) * (x.dim() - 2), mode=mode), conv.weight, conv.bias)

    return step(conv, Fn(apart, conv), EDGES)


@TABLE.add("resizing", (2,))
def pixel_shuffle(random: Random, at: Place) -> Step | None:
    """Channels into space, and the same by view and permute."""
    if at.channels % 4:
        return None

    def moved(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)

    return step(nn.PixelShuffle(2), moved, LOPSIDED, pitch=alike(Fraction(1, 2), 2))


@TABLE.add("resizing", (2,))
def pixel_unshuffle(random: Random, at: Place) -> Step | None:
    """Space into channels (a patch merging, a wavelet), and the same by strided slices."""
    if any(n % 2 for n in at.extents):
        return None

    def sliced(x: Tensor) -> Tensor:
        parts = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return torch.stack(parts, 2).flatten(1, 2)

    return step(nn.PixelUnshuffle(2), sliced, pitch=alike(2, 2), grain=2)


@TABLE.add("resizing")
def strided(random: Random, at: Place) -> Step:
    """Every second position along one axis, by slice and by constant index."""
    axis, start = random.randrange(at.rank), random.randint(0, 1)

    def by_index(x: Tensor) -> Tensor:
        return x.index_select(axis + 2, torch.arange(start, x.shape[axis + 2], 2))

    cut = (..., slice(start, None, 2), *[slice(None)] * (at.rank - 1 - axis))
    return step(lambda x: x[cut], by_index, pitch=along(axis, 2, at.rank), grain=2)


@TABLE.add("convolution", (1, 2))
def whole_kernel(random: Random, at: Place) -> Step | None:
    """A kernel about as large as the image."""
    if prod(at.extents) > 900:
        return None
    k = max(at.extents) // 2 * 2 + 1
    return step(same_conv(at.rank, at.channels, at.channels, k, groups=at.channels))
