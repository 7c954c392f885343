"""Lines around the smallest areas that hold 50, 90 and 99 % of a map's mass (marching squares)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from erfscope_picture.smoothing import block_mean, smoothed

Array = NDArray[np.float64]
SHARES = (0.50, 0.90, 0.99)

# All lines together longer than this many times the outlines of the boxes around the largest few show noise,
# not shape: a circle has 0.79 of its box's outline, any convex shape at most 1; a ring is two lines.
_RAGGED = 1.15
_FEW = 4
_SCATTERED = 8  # ragged lines of one share beyond which they surround the single pixels of a map with gaps
_SIGMAS = (0, 1, 2, 3, 5, 8, 12, 18)
_BUDGET = 300_000  # elements; larger maps are traced on block means, which is finer than a picture's pixels

# Cell corners are a b / d c, bit values 8 4 / 1 2; edges: 0 top, 1 right, 2 bottom, 3 left.
_CASES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((3, 2),),
    2: ((2, 1),),
    3: ((3, 1),),
    4: ((0, 1),),
    5: ((3, 0), (2, 1)),
    6: ((0, 2),),
    7: ((3, 0),),
    8: ((3, 0),),
    9: ((0, 2),),
    10: ((0, 1), (3, 2)),
    11: ((0, 1),),
    12: ((3, 1),),
    13: ((2, 1),),
    14: ((3, 2),),
}


def mass_level(values: NDArray[np.floating], share: float) -> float:
    """The level whose superlevel set `values > level` is the smallest that holds `share` of the mass.

    Equal values cannot be told apart: the set holds all or none of them. 0 where there is no mass.
    """
    return mass_levels(values, (share,))[share]


def mass_levels(
    values: NDArray[np.floating], shares: Iterable[float], mass: NDArray[np.floating] | None = None
) -> dict[float, float]:
    """The levels of several shares, from one sorting of the values.

    `mass` is what the sets hold, where that is not the values themselves: they may be those of a smoothed map.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    order = np.argsort(flat)
    order = order[np.searchsorted(flat[order], 0.0, side="right") :]
    rising = flat[order]
    if not rising.size:
        return dict.fromkeys(shares, 0.0)
    held = np.cumsum((flat if mass is None else np.asarray(mass, dtype=np.float64).ravel())[order[::-1]])
    levels = {}
    for share in shares:
        last = rising[-1 - min(int(np.searchsorted(held, share * held[-1])), rising.size - 1)]
        below = int(np.searchsorted(rising, last))  # how many are smaller
        levels[share] = float((last + (rising[below - 1] if below else 0.0)) / 2)
    return levels


def segments(plane: Array, level: float) -> tuple[Array, NDArray[np.int64]]:
    """Line pieces between the pixels above and not above a level.

    Returns points [n, 2, 2] as (y, x) in pixel-centre coordinates and the id of the grid edge each end
    lies on [n, 2]. Everything outside the plane counts as 0, so that every line closes.
    """
    field = np.pad(plane, 1) - level
    above = field > 0
    corners = (above[:-1, :-1], above[:-1, 1:], above[1:, 1:], above[1:, :-1])
    code = np.packbits(np.stack(corners), axis=0)[0] >> 4  # the first corner is the highest of four bits
    crossed = np.flatnonzero((code > 0) & (code < 15))  # few of all cells: cases are told apart among them alone
    case_of = code.ravel()[crossed]
    rows, columns, pairs = [], [], []
    for case, lines in _CASES.items():
        at_row, at_column = np.divmod(crossed[case_of == case], code.shape[1])
        for line in lines:
            rows.append(at_row)
            columns.append(at_column)
            pairs.append(np.broadcast_to(np.array(line), (len(at_row), 2)))
    row, column, pair = np.concatenate(rows), np.concatenate(columns), np.concatenate(pairs)
    ends = [_crossing(field, row, column, pair[:, end]) for end in (0, 1)]
    return np.stack([point for point, _ in ends], axis=1) - 1, np.stack([key for _, key in ends], axis=1)


def _crossing(
    field: Array, row: NDArray[np.int64], column: NDArray[np.int64], edge: NDArray[np.int64]
) -> tuple[Array, NDArray[np.int64]]:
    """Where the level crosses each cell's given edge, and the edge's id."""
    y, x = row + (edge == 2), column + (edge == 1)  # the edge's first corner
    upright = (edge == 1) | (edge == 3)
    first, second = field[y, x], field[y + upright, x + ~upright]
    part = first / (first - second)
    points = np.stack([y + part * upright, x + part * ~upright], axis=1)
    return points, 2 * (y * field.shape[1] + x) + upright


def chained(points: Array, keys: NDArray[np.int64]) -> list[Array]:
    """Segments joined end to end to closed lines, each [k, 2] with the first point repeated at the end."""
    at: dict[int, list[int]] = {}
    flat = keys.ravel().tolist()
    for end, key in enumerate(flat):
        at.setdefault(key, []).append(end)
    flat_points = points.reshape(-1, 2)
    seen = np.zeros(len(keys), dtype=bool)
    lines = []
    for start in range(len(keys)):
        end, line = 2 * start, []
        while not seen[end // 2]:
            seen[end // 2] = True
            line.append(end)
            far = end ^ 1
            one, other = at[flat[far]]
            end = other if one == far else one
        if line:
            lines.append(flat_points[[*line, line[0]]])
    return lines


@dataclass(frozen=True)
class Tracing:
    """Levels of a (perhaps smoothed) map; `plane` cuts are taken from `values`."""

    values: Array
    levels: dict[float, float]
    sigma: float  # of the smoothing, pixels of the input; 0 = none
    block: int  # side of the blocks averaged before, pixels
    is_scattered: bool = False  # no smoothing of this size closes the map's gaps: there are no lines to draw

    def lines(self, share: float, cut: tuple[int | slice, ...]) -> list[Array]:
        """Closed lines around a share of the mass in a plane of the map, as (y, x) in the input's pixels.

        None where they are scattered: a line around each pixel would bury the map.
        """
        if self.is_scattered:
            return []
        where = tuple(i // self.block if isinstance(i, int) else i for i in cut)
        points, keys = segments(self.values[where], self.levels[share])
        return [line * self.block + (self.block - 1) / 2 for line in chained(points, keys)]


def _ragged(plane: Array, level: float, most: int = 0) -> bool:
    """Whether the lines show noise instead of shape, and are more than `most`."""
    points, keys = segments(plane, level)
    if not len(points):
        return False
    length = np.hypot(*(points[:, 0] - points[:, 1]).T).sum()
    if length > _RAGGED * _FEW * _outline(points.reshape(-1, 2)):
        return True  # whatever the lines are; chaining thousands of islets would take seconds
    outlines = sorted(map(_outline, chained(points, keys)))
    return bool(length > _RAGGED * sum(outlines[-_FEW:])) and len(outlines) > most


def _outline(points: Array) -> float:
    return float(2 * np.ptp(points, axis=0).sum())


def traced(values: Array, cuts: list[tuple[int | slice, ...]], extent: float) -> Tracing | None:
    """Mass levels of a map, smoothed as little as makes their lines readable in the given planes.

    Averages of a few random networks are speckled, dilated ones are lattices: the exact level set of either
    is thousands of islets. Smoothing stays below a sixteenth of `extent`, the side that holds the mass. The lines
    are those of the smoothed map that hold the shares of the map itself; a small lattice keeps its gaps, and has none.
    None where the map is zero.
    """
    if not values.any():
        return None
    block = 1
    while values.size / block**values.ndim > _BUDGET:
        block += 1
    base = block_mean(values, block)
    planes = [tuple(i // block if isinstance(i, int) else i for i in cut) for cut in cuts]
    for sigma in _SIGMAS:
        if sigma and sigma * block > extent / 16:
            break
        field = smoothed(base, sigma)
        levels = mass_levels(field, SHARES, base)
        answer = Tracing(field, levels, float(sigma * block), block)
        if not any(_ragged(field[plane], level) for plane in planes for level in levels.values()):
            return answer
    lines = [(answer.values[plane], level) for plane in planes for level in answer.levels.values()]
    return replace(answer, is_scattered=any(_ragged(plane, level, _SCATTERED) for plane, level in lines))
