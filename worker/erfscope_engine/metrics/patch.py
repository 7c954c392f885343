"""A map cut down to its support and scaled: what every metric reads.

Gradients of deep untrained networks span hundreds of decades, and a map of 1024² is mostly zeros, so every
metric works on the bounding box of the non-zero pixels, scaled by a power of two (which rounds nothing) to a
maximum in [0.5, 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from erfscope_contract.problem import ProblemError
from erfscope_engine.metrics.geometry import Geometry

Array = npt.NDArray[np.float64]
Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Patch:
    """The support of a map: scaled `values`, the pixel index of its first element, the unit's geometry."""

    values: Array
    origin: tuple[int, ...]
    geometry: Geometry

    @property
    def empty(self) -> bool:
        """The map is zero everywhere."""
        return self.values.size == 0

    @cached_property
    def mass(self) -> float:
        """Sum of the scaled values."""
        return float(self.values.sum())

    @cached_property
    def descending(self) -> Array:
        """All values, largest first."""
        return np.sort(self.values, axis=None)[::-1]

    @cached_property
    def accumulated(self) -> Array:
        """Sums of the largest values, from one to all of them."""
        return np.cumsum(self.descending)

    def sum_of(self, first: int, last: int) -> float:
        """Sum of the values from rank `first` to before rank `last`, the largest having rank 0.

        By themselves: in a difference of sums from the largest on, small values are lost.
        """
        return float(self.descending[first:last].sum())

    def above(self, level: float, *, strictly: bool = True) -> int:
        """Number of values above a level, or at least as large."""
        ascending = self.descending[::-1]
        return len(ascending) - int(np.searchsorted(ascending, level, side="right" if strictly else "left"))

    @cached_property
    def coordinates(self) -> tuple[Array, ...]:
        """Pixel centres along each axis, in the input's coordinates."""
        return tuple(
            np.arange(start, start + n, dtype=np.float64)
            for start, n in zip(self.origin, self.values.shape, strict=True)
        )

    @cached_property
    def marginals(self) -> tuple[Array, ...]:
        """Mass per pixel of each axis, summed over the other axes."""
        axes = range(self.values.ndim)
        return tuple(self.values.sum(axis=tuple(a for a in axes if a != axis)) for axis in axes)


def cut(values: npt.ArrayLike, geometry: Geometry) -> Patch:
    """Cut a non-negative map of the input's spatial shape down to its support.

    Raises ProblemError `non-finite-output` for NaN or infinity, ValueError for a wrong shape or a negative
    value.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != geometry.shape:
        raise ValueError(f"the map has shape {array.shape}, its geometry {geometry.shape}")
    top, bottom = float(array.max(initial=0.0)), float(array.min(initial=0.0))
    if not (np.isfinite(top) and np.isfinite(bottom)):
        raise ProblemError("non-finite-output", "The map holds NaN or infinity; look at the model's weights.")
    if bottom < 0:
        raise ValueError("a map is non-negative; take the absolute value of a signed one first")
    if top == 0:
        return Patch(np.zeros((0,) * array.ndim), (0,) * array.ndim, geometry)
    box = bounding_box([array != 0])
    return Patch(np.ldexp(array[box], -int(np.frexp(top)[1])), tuple(s.start for s in box), geometry)


def bounding_box(masks: Sequence[npt.NDArray[np.bool_]]) -> Slices:
    """Smallest box of pixels that holds every True of the masks, which are not all False."""
    rank = masks[0].ndim
    box = []
    for axis in range(rank):
        others = tuple(a for a in range(rank) if a != axis)
        hit = np.logical_or.reduce([mask.any(axis=others) for mask in masks])
        first, last = np.flatnonzero(hit)[[0, -1]]
        box.append(slice(int(first), int(last) + 1))
    return tuple(box)
