"""The part of a map that shapes are fitted to, averaged over blocks so that a fit stays cheap."""

import math
from dataclasses import dataclass

import numpy as np

from erfscope_engine.metrics.moments import Moments
from erfscope_engine.metrics.patch import Array, Patch

MOST_BLOCKS = {1: 1024, 2: 64, 3: 16}  # per axis, by rank: about 10^3 to 10^4 points
REACH = 5.0  # standard deviations around the mean


@dataclass(frozen=True)
class Blocks:
    """Block means of a window of the map, on the axes along which it extends.

    `axes` are these input axes (an axis with one pixel of support has no width to fit), `points` (rank, n)
    the blocks' centres in input pixels, `grid` the means with their spatial shape (scaled to a maximum of 1,
    so that no criterion depends on units), `width` the blocks' nominal sides.
    """

    axes: tuple[int, ...]
    points: Array
    grid: Array
    width: Array

    @property
    def values(self) -> Array:
        """The n block means."""
        return self.grid.ravel()


def blocks(patch: Patch, measured: Moments) -> Blocks:
    """Cut mean ± 5 sigma out of the input and average it over blocks.

    The zeros around the support belong to the data: without them a box would look like a constant.
    """
    rank = patch.geometry.rank
    windows = [_window(patch, measured, axis) for axis in range(rank)]
    grid, centers, widths = _windowed(patch, windows), [], []
    for axis, (start, stop) in enumerate(windows):
        width = math.ceil((stop - start) / MOST_BLOCKS[rank])
        edges = np.arange(0, stop - start, width)
        sizes = np.diff(edges, append=stop - start)
        if width > 1:
            means = np.add.reduceat(grid, edges, axis=axis)
            grid = means / sizes.reshape(-1, *[1] * (rank - 1 - axis))
        centers.append(start + edges + (sizes - 1) / 2)
        widths.append(float(width))
    axes = tuple(axis for axis, c in enumerate(centers) if len(c) > 1)
    mesh = np.meshgrid(*[centers[a] for a in axes], indexing="ij") if axes else []
    return Blocks(
        axes=axes,
        points=np.array([m.ravel() for m in mesh]),
        grid=grid.reshape([len(centers[a]) for a in axes]) / grid.max(),
        width=np.array([widths[a] for a in axes]),
    )


def _window(patch: Patch, measured: Moments, axis: int) -> tuple[int, int]:
    """First and last + 1 input pixel of the window on one axis."""
    middle, reach = float(measured.mean[axis]), REACH * measured.sigma_axis[axis]
    start, stop = math.floor(middle - reach), math.ceil(middle + reach) + 1
    if reach == 0:  # rounding of the mean must not widen a single row
        start = round(middle)
        stop = start + 1
    return max(0, start), min(patch.geometry.shape[axis], stop)


def _windowed(patch: Patch, windows: list[tuple[int, int]]) -> Array:
    """The map on the windows, zeros beyond its support included."""
    grid = np.zeros([stop - start for start, stop in windows])
    source, target = [], []
    for (start, stop), first, n in zip(windows, patch.origin, patch.values.shape, strict=True):
        low, high = max(start, first), min(stop, first + n)
        source.append(slice(low - first, high - first))
        target.append(slice(low - start, high - start))
    grid[tuple(target)] = patch.values[tuple(source)]
    return grid
