"""Which part of a map is worth a closer look: the box that holds its mass."""

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
_WORTH = 0.3  # a box of less than this share of the map is shown larger


def mass_spans(values: NDArray[np.float64], share: float = 0.99) -> list[Span]:
    """Per axis the half-open span that leaves (1 - share) / 2 of the mass on either side."""
    spans = []
    for axis in range(values.ndim):
        held = np.cumsum(values.sum(axis=tuple(a for a in range(values.ndim) if a != axis)))
        tail = (1 - share) / 2 * held[-1]
        start = int(np.searchsorted(held, tail, side="right"))
        stop = int(np.searchsorted(held, held[-1] - tail)) + 1
        spans.append((min(start, len(held) - 1), min(stop, len(held))))
    return spans


def widened(span: Span, size: int, limit: int) -> Span:
    """A span of a given size around the same middle, moved to lie within [0, limit)."""
    size = min(size, limit)
    start = min(max((span[0] + span[1] - size) // 2, 0), limit - size)
    return start, start + size


def zoomed(values: NDArray[np.float64], panel: tuple[int, ...]) -> list[Span] | None:
    """Spans of a closer look with half as much again around the mass, or None where the map is filled well.

    The closer look has the proportions of `panel`, its size in page pixels, as far as the map allows, and
    fills it when enlarged by an integer.
    """
    if not values.any():
        return None
    tight = mass_spans(values)
    size = max(16, *(round((stop - start) * 1.5) for start, stop in tight))
    if np.prod([min(size, n) / n for n in values.shape]) >= _WORTH:
        return None
    size = panel[0] // (panel[0] // size) if size <= panel[0] else size
    sizes = [size * side // panel[0] if size <= values.shape[0] else size for side in panel]
    return [widened(*item) for item in zip(tight, sizes, values.shape, strict=True)]
