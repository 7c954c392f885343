"""Boxes: the part of a tensor that is computed, one [lo, hi) per axis."""

from collections.abc import Sequence

import torch
from torch import Tensor

Box = tuple[tuple[int, int], ...]


def full(shape: Sequence[int]) -> Box:
    """The whole tensor."""
    return tuple((0, n) for n in shape)


def clipped(box: Box, shape: Sequence[int]) -> Box:
    """The part of a box that lies inside a tensor; an interval beside it keeps the nearest position."""
    inside = []
    for (lo, hi), n in zip(box, shape, strict=True):
        first = min(max(lo, 0), n - 1)
        inside.append((first, max(min(hi, n), first + 1)))
    return tuple(inside)


def is_beside(box: Box, shape: Sequence[int]) -> bool:
    """Whether a box misses the tensor."""
    return any(hi <= 0 or lo >= n for (lo, hi), n in zip(box, shape, strict=True))


def beyond(box: Box, shape: Sequence[int]) -> list[tuple[int, int]]:
    """By how much a box sticks out of a tensor, before and behind, per axis."""
    return [(max(-lo, 0), max(hi - n, 0)) for (lo, hi), n in zip(box, shape, strict=True)]


def as_padding(edges: Sequence[tuple[int, int]]) -> list[int]:
    """Edges per axis, last axis first, as F.pad takes them."""
    return [p for pair in reversed(edges) for p in pair]


def hull(a: Box | None, b: Box) -> Box:
    """The smallest box that holds both."""
    if a is None:
        return b
    return tuple((min(x[0], y[0]), max(x[1], y[1])) for x, y in zip(a, b, strict=True))


def lengths(box: Box) -> tuple[int, ...]:
    """Positions per axis."""
    return tuple(hi - lo for lo, hi in box)


def cut(tensor: Tensor, own: Box, wanted: Box) -> Tensor:
    """The part `wanted` of a tensor that holds `own` (a view)."""
    for axis, ((lo, hi), (first, last)) in enumerate(zip(own, wanted, strict=True)):
        if (lo, hi) != (first, last):
            tensor = tensor.narrow(axis, first - lo, last - first)
    return tensor


def cropped_axes(box: Box, shape: Sequence[int]) -> set[int]:
    """The axes of which a box does not hold everything."""
    return {axis for axis, ((lo, hi), n) in enumerate(zip(box, shape, strict=True)) if (lo, hi) != (0, n)}


def layout_of(x: Tensor) -> torch.memory_format:
    """Convolutions of many channels run fastest with the channels last."""
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim(), torch.contiguous_format)
