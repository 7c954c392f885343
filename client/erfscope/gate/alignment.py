"""Two sequences of layers side by side: which layer of one is which of the other, and which one of them lacks. Pure."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
GAP = 2.0  # what a layer costs that the other side lacks
RENAMED = 0.5  # two layers that cost less differ in their names alone
Pair = tuple[T | None, T | None]  # None on the side that lacks it


def aligned(before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float]) -> list[Pair[T]]:
    """The cheapest pairing that keeps both orders; `cost` is 0 for two layers that are the same.

    The ends that are alike are paired first, so that only what lies between two changes is searched.
    """
    start = _alike(before, now, cost, 0.0)
    old, new = before[start:], now[start:]
    end = _alike(old[::-1], new[::-1], cost, RENAMED)
    ends = list(zip(old[len(old) - end :], new[len(new) - end :], strict=True))
    middle = _cheapest(old[: len(old) - end], new[: len(new) - end], cost)
    return [*zip(before[:start], now[:start], strict=True), *middle, *ends]


def _alike(before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float], most: float) -> int:
    """How many pairs from the start cost no more than `most`."""
    pairs = zip(before, now, strict=False)
    return next((n for n, (old, new) in enumerate(pairs) if cost(old, new) > most), min(len(before), len(now)))


def _cheapest(before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float]) -> list[Pair[T]]:
    """By dynamic programming: row n, column m is what the layers from n and from m on cost."""
    rows = [[GAP * m for m in range(len(now), -1, -1)]]
    for old in reversed(before):
        below, row = rows[-1], [rows[-1][-1] + GAP]
        for m in range(len(now) - 1, -1, -1):
            gap = GAP + min(below[m], row[-1])
            row.append(min(cost(old, now[m]) + below[m + 1], gap))
        rows.append(row[::-1])
    rows.reverse()
    return _read_off(before, now, cost, rows)


def _read_off(
    before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float], rows: Sequence[Sequence[float]]
) -> list[Pair[T]]:
    """The steps by which the first cell was reached; a pair before a removed layer, that before an added one."""
    pairs: list[Pair[T]] = []
    n = m = 0
    while n < len(before) or m < len(now):
        rest = rows[n][m]
        if n < len(before) and m < len(now) and cost(before[n], now[m]) + rows[n + 1][m + 1] == rest:
            pairs.append((before[n], now[m]))
            n, m = n + 1, m + 1
        elif n < len(before) and GAP + rows[n + 1][m] == rest:
            pairs.append((before[n], None))
            n += 1
        else:
            pairs.append((None, now[m]))
            m += 1
    return pairs
