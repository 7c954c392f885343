"""Steps that only move elements: views, slices, joins, constant indices, rolls, copies."""

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from tests.engine.steps.step import (
    CHANNELS,
    EDGES,
    FIXED,
    HOLES,
    LOPSIDED,
    NOT_ONNX,
    SIZED,
    TABLE,
    Fn,
    Place,
    Step,
    along,
    same_conv,
    step,
)  # fmt: skip
from torch import Tensor, nn


def _cut(rank: int, axis: int, part: slice | int | Tensor) -> tuple[Any, ...]:
    """An index that cuts one axis of space (counted from 0)."""
    return (..., part, *[slice(None)] * (rank - 1 - axis))


@TABLE.add("channels")
def chunk(random: Random, at: Place) -> Step | None:
    """A half of the channels, by chunk, split, narrow and slice."""
    if at.channels < 4:
        return None
    half, last = at.channels // 2, random.random() < 0.5
    forms: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.chunk(2, 1)[last],
        lambda x: x.split([half, x.shape[1] - half], 1)[last],
        lambda x: x.narrow(1, half * last, half),
        lambda x: x[:, half:] if last else x[:, :half],
        lambda x: torch.tensor_split(x, 2, 1)[last],
    ]
    one, other = random.sample(forms, 2) if at.channels % 2 == 0 else (forms[0], None)
    return step(one, other)


@TABLE.add("channels")
def channel_slice(random: Random, at: Place) -> Step | None:
    """Every second channel by a slice with a step, and by constant indices."""
    if at.channels < 4:
        return None
    every = torch.arange(0, at.channels, 2)
    mask = torch.zeros(at.channels, dtype=torch.bool)
    mask[::2] = True
    return step(lambda x: x[:, ::2], random.choice([lambda x: x[:, every], lambda x: x[:, mask]]))


@TABLE.add("channels")
def permuted(random: Random, at: Place) -> Step:
    """A constant permutation of the channels, by index, by index_select, by one slice after another."""
    order = random.sample(range(at.channels), at.channels)
    forms: list[Callable[[Tensor], Tensor]] = [
        lambda x: x[:, torch.tensor(order)],
        lambda x: x[:, order],
        lambda x: x.index_select(1, torch.tensor(order)),
        lambda x: torch.cat([x[:, c : c + 1] for c in order], 1),
        lambda x: torch.stack([x.unbind(1)[c] for c in order], 1),
    ]
    return step(*random.sample(forms, 2))


@TABLE.add("channels")
def shuffled(random: Random, at: Place) -> Step | None:
    """ShuffleNet's channel shuffle, by view and by index."""
    if at.channels % 2:
        return None

    def viewed(x: Tensor) -> Tensor:
        n, c, *space = x.shape
        return x.reshape(n, 2, c // 2, *space).transpose(1, 2).reshape(n, c, *space)

    half = at.channels // 2
    order = [i * half + j for j in range(half) for i in (0, 1)]
    return step(viewed, lambda x: x[:, torch.tensor(order)])


@TABLE.add("channels")
def copied(random: Random, at: Place) -> Step:
    """Channels repeated: by repeat, by cat, by expand, by repeat_interleave and index."""

    def expanded(x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, 2, *[-1] * (x.dim() - 1)).flatten(1, 2)

    forms: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.repeat(1, 2, *[1] * (x.dim() - 2)),
        lambda x: torch.cat([x, x], 1),
        expanded,
        lambda x: x.tile(1, 2, *[1] * (x.dim() - 2)),
    ]
    return step(*random.sample(forms, 2))


@TABLE.add("channels", (1, 2))
def channels_into_rows(random: Random, at: Place) -> Step | None:
    """Channels viewed as further rows, and read back as channels."""
    if at.channels % 2:
        return None

    def there(x: Tensor) -> Tensor:
        n, c, *space = x.shape
        return x.reshape(n, c // 2, 2 * space[0], *space[1:])

    def back(x: Tensor) -> Tensor:
        rows = there(x)
        return rows.tanh().reshape(x.shape)

    return step(back, torch.tanh) if random.random() < 0.6 else step(there, None, HOLES, SIZED)


@TABLE.add("joins")
def halves(random: Random, at: Place) -> Step | None:
    """The halves of an axis, each through the same convolution or its own, joined."""
    axis = random.randrange(at.rank)
    if at.extents[axis] < 6:
        return None
    one = same_conv(at.rank, at.channels, CHANNELS, 3)
    two = one if random.random() < 0.5 else same_conv(at.rank, at.channels, CHANNELS, 3)

    def joined(one: Any, two: Any, x: Tensor) -> Tensor:
        n = x.shape[axis + 2] // 2
        first, second = x.split([n, x.shape[axis + 2] - n], axis + 2)
        return torch.cat([one(first), two(second)], axis + 2)

    return step(Fn(joined, one, two), None, LOPSIDED, grain=2)


@TABLE.add("joins")
def joined_again(random: Random, at: Place) -> Step:
    """Cut in three and joined: nothing happened, by cat, by stack of unbind, by a write into an empty tensor."""
    axis = random.randrange(at.rank)

    def written(x: Tensor) -> Tensor:
        y, n = torch.empty_like(x), x.shape[axis + 2] // 2
        y.narrow(axis + 2, 0, n).copy_(x.narrow(axis + 2, 0, n))
        y.narrow(axis + 2, n, x.shape[axis + 2] - n).copy_(x.narrow(axis + 2, n, x.shape[axis + 2] - n))
        return y

    forms: list[Callable[[Tensor], Tensor]] = [
        lambda x: torch.cat(x.tensor_split(3, axis + 2), axis + 2),
        lambda x: torch.stack(x.unbind(axis + 2), axis + 2),
        written,
        lambda x: x.clone(),
    ]
    return step(*random.sample(forms, 2), NOT_ONNX)


@TABLE.add("joins")
def residual(random: Random, at: Place) -> Step:
    """A block beside the identity: summed, joined along channels, or gating."""
    block = nn.Sequential(same_conv(at.rank, at.channels, at.channels, random.choice([3, 5])), nn.SiLU())
    form = random.choice(["sum", "cat", "product", "max"])
    joins: dict[str, Callable[..., Tensor]] = {
        "sum": lambda block, x: x + block(x),
        "cat": lambda block, x: torch.cat([block(x), x], 1),
        "product": lambda block, x: x * torch.sigmoid(block(x)) + x,
        "max": lambda block, x: torch.maximum(x, block(x)),
    }
    return step(Fn(joins[form], block))


@TABLE.add("joins")
def u_net(random: Random, at: Place) -> Step | None:
    """Down by two, a convolution, up by two, joined with what was there."""
    if any(n % 2 for n in at.extents):
        return None
    deep = same_conv(at.rank, at.channels, at.channels, 3)
    pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[at.rank - 1](2)
    up = nn.Upsample(scale_factor=2)
    out = same_conv(at.rank, 2 * at.channels, CHANNELS, 1)
    through = lambda deep, pool, up, out, x: out(torch.cat([up(deep(pool(x))), x], 1))  # noqa: E731
    return step(Fn(through, deep, pool, up, out), None, LOPSIDED, grain=2)


@TABLE.add("turns")
def roll(random: Random, at: Place) -> Step:
    """A roll, and two slices joined."""
    axis, by = random.randrange(at.rank), random.choice([-2, -1, 1, 2, 3])
    back, front = (_cut(at.rank, axis, part) for part in (slice(-by, None), slice(None, -by)))
    return step(lambda x: x.roll(by, axis + 2), lambda x: torch.cat([x[back], x[front]], axis + 2), EDGES)


@TABLE.add("turns")
def flip(random: Random, at: Place) -> Step:
    """Backwards along an axis, by flip and by constant index."""
    axis = random.randrange(at.rank)

    def by_index(x: Tensor) -> Tensor:
        return x.index_select(axis + 2, torch.arange(x.shape[axis + 2] - 1, -1, -1))

    return step(lambda x: x.flip(axis + 2), by_index, pitch=along(axis, -1, at.rank))


@TABLE.add("turns", (2, 3))
def swapped(random: Random, at: Place) -> Step:
    """The last two axes change places, by transpose, permute and einsum."""
    order = (*range(at.rank), at.rank + 1, at.rank)
    forms: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.transpose(-1, -2),
        lambda x: x.permute(order),
        lambda x: torch.einsum("...hw->...wh", x),
    ]
    one, other = random.sample(forms, 2)
    return step(lambda x: one(x).contiguous(), other, swaps=True)


@TABLE.add("turns", (2, 3))
def quarter_turn(random: Random, at: Place) -> Step:
    """A quarter turn of the last two axes, and a flip and a transpose."""
    way = random.choice([1, -1])
    flipped = at.rank - 1 if way == 1 else at.rank - 2
    return step(
        lambda x: x.rot90(way, (-2, -1)).contiguous(),
        lambda x: x.flip(flipped + 2).transpose(-1, -2),
        NOT_ONNX,
        pitch=along(flipped, -1, at.rank),
        swaps=True,
    )


@TABLE.add("turns")
def scattered(random: Random, at: Place) -> Step:
    """Positions of an axis in a random order, by index_select and by index."""
    axis = random.randrange(at.rank)
    order = torch.tensor(random.sample(range(at.extents[axis]), at.extents[axis]))
    return step(lambda x: x.index_select(axis + 2, order), lambda x: x[_cut(at.rank, axis, order)], HOLES, FIXED)


@TABLE.add("turns")
def masked(random: Random, at: Place) -> Step | None:
    """Every position but the first and third of an axis, by a boolean mask and by constant index."""
    axis = random.randrange(at.rank)
    n = at.extents[axis]
    if n < 6:
        return None
    mask = torch.ones(n, dtype=torch.bool)
    mask[[0, 2]] = False
    return step(
        lambda x: x[_cut(at.rank, axis, mask)], lambda x: x.index_select(axis + 2, mask.nonzero()[:, 0]), HOLES, FIXED
    )


@TABLE.add("turns")
def tiled(random: Random, at: Place) -> Step | None:
    """The image twice along an axis."""
    axis = random.randrange(at.rank)
    if at.extents[axis] > 24:
        return None
    times = [2 if k == axis + 2 else 1 for k in range(at.rank + 2)]
    return step(lambda x: x.repeat(times), lambda x: torch.cat([x, x], axis + 2), HOLES, SIZED, EDGES)


@TABLE.add("turns")
def with_its_mirror(random: Random, at: Place) -> Step:
    """An image plus its mirror image."""
    axis = random.randrange(at.rank)
    return step(lambda x: x + x.flip(axis + 2) / 2, lambda x: x.flip(axis + 2) / 2 + x, HOLES, EDGES, SIZED)


@TABLE.add("windows", (1, 2))
def in_windows(random: Random, at: Place) -> Step | None:
    """A convolution in each window of 4, the windows as a batch: parts of two windows are read as both, whole."""
    if any(n % 4 for n in at.extents):
        return None
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)

    def windowed(conv: Any, x: Tensor) -> Tensor:
        return merged(conv(partitioned(x, 4)), x.shape[2:], 4)

    return step(Fn(windowed, conv), None, HOLES, grain=4)


@TABLE.add("windows", (1, 2))
def a_trous(random: Random, at: Place) -> Step | None:
    """A dilated convolution, and the same on every second position, the phases as a batch."""
    if any(n % 2 for n in at.extents):
        return None
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)
    function = (nn.functional.conv1d, nn.functional.conv2d)[at.rank - 1]

    def phases(conv: Any, x: Tensor) -> Tensor:
        n, c, *space = x.shape
        halves = [side for extent in space for side in (extent // 2, 2)]
        apart, together = ((3, 0, 1, 2), (1, 2, 3, 0)) if len(space) == 1 else ((3, 5, 0, 1, 2, 4), (2, 3, 4, 0, 5, 1))
        y = conv(x.view(n, c, *halves).permute(apart).reshape(-1, c, *halves[::2]))
        return y.unflatten(0, (*halves[1::2], n)).permute(together).reshape(n, -1, *space)

    dilated = lambda conv, x: function(x, conv.weight, conv.bias, padding=2, dilation=2)  # noqa: E731
    return step(Fn(dilated, conv), Fn(phases, conv), HOLES, grain=2)


def partitioned(x: Tensor, side: int) -> Tensor:
    """(batch, channels, *space) → (batch · windows, channels, *window)."""
    if x.dim() == 3:
        n, c, length = x.shape
        return x.view(n, c, length // side, side).permute(0, 2, 1, 3).reshape(-1, c, side)
    n, c, h, w = x.shape
    y = x.view(n, c, h // side, side, w // side, side)
    return y.permute(0, 2, 4, 1, 3, 5).reshape(-1, c, side, side)


def merged(y: Tensor, extents: tuple[int, ...], side: int) -> Tensor:
    """The way back."""
    counts = [n // side for n in extents]
    if len(extents) == 1:
        return y.unflatten(0, (-1, *counts)).permute(0, 2, 1, 3).flatten(2)
    z = y.unflatten(0, (-1, *counts)).permute(0, 3, 1, 4, 2, 5)
    return z.reshape(*z.shape[:2], *extents)
