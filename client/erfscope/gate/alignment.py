"""Two sequences of layers side by side: which layer of one is which of the other, and which one of them lacks. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
GAP = 2.0  # what a layer costs that the other side lacks
RENAMED = 0.5  # two layers that cost less differ in their names alone
CELLS = 30_000  # pairs of layers that are compared, about: two networks of 170 layers are searched as a whole
_FAR = float("inf")  # the cost of a pair that is not searched
Pair = tuple[T | None, T | None]  # None on the side that lacks it


def aligned(before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float]) -> list[Pair[T]]:
    """The cheapest pairing that keeps both orders; `cost` is 0 for two layers that are the same.

    The ends that are alike are paired first, so that only what lies between two changes is searched. Of long networks
    only pairs near the diagonal are searched (see `CELLS`), and a cheaper pairing farther away is not seen.
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


@dataclass(frozen=True)
class _Band:
    """Which columns of each row are searched: those near the diagonal of rows × columns; all of a small table."""

    rows: int
    columns: int

    def span(self, row: int) -> range:
        """The columns of a row, which always touch those of the next one."""
        if self.rows * self.columns <= CELLS:
            return range(self.columns + 1)
        half = max(CELLS // (2 * self.rows), self.columns // self.rows + 8)
        middle = row * self.columns // self.rows
        return range(max(middle - half, 0), min(middle + half, self.columns) + 1)


def _cheapest(before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float]) -> list[Pair[T]]:
    """By dynamic programming: row n, column m is what the layers from n and from m on cost."""
    band = _Band(len(before), len(now))
    rows = [{m: GAP * (len(now) - m) for m in band.span(len(before))}]
    for n in range(len(before) - 1, -1, -1):
        below, row = rows[-1], dict[int, float]()
        for m in reversed(band.span(n)):
            pair = cost(before[n], now[m]) + below[m + 1] if m + 1 in below else _FAR
            row[m] = min(pair, GAP + min(below.get(m, _FAR), row.get(m + 1, _FAR)))
        rows.append(row)
    rows.reverse()
    return _read_off(before, now, cost, rows)


def _read_off(
    before: Sequence[T], now: Sequence[T], cost: Callable[[T, T], float], rows: Sequence[dict[int, float]]
) -> list[Pair[T]]:
    """The steps by which the first cell was reached; a pair before a removed layer, that before an added one."""
    pairs: list[Pair[T]] = []
    n = m = 0
    while n < len(before) or m < len(now):
        rest = rows[n][m]
        below = rows[n + 1] if n < len(before) else {}
        if m + 1 in below and cost(before[n], now[m]) + below[m + 1] == rest:
            pairs.append((before[n], now[m]))
            n, m = n + 1, m + 1
        elif m in below and GAP + below[m] == rest:
            pairs.append((before[n], None))
            n += 1
        else:
            pairs.append((None, now[m]))
            m += 1
    return pairs
