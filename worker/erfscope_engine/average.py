"""Averaging: gradients of many samples become one map and the group means that its errors are computed from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.contract.request import Statistic

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reduction:
    """A statistic: what is summed per sample, and what is made of the mean."""

    each: Callable[[Array], Array]
    finish: Callable[[Array], Array]


def _mean(g: Array) -> Array:
    return g


REDUCTIONS: dict[Statistic, Reduction] = {
    Statistic.ABS: Reduction(np.abs, _mean),
    Statistic.RMS: Reduction(np.square, np.sqrt),
    Statistic.RELU: Reduction(lambda g: np.maximum(g, 0), _mean),
    Statistic.SIGNED: Reduction(_mean, np.abs),
}


@dataclass
class Average:
    """Running float64 sums in sample order, kept in groups for the jackknife (at least 2 for errors).

    Sums are kept on `window`, the part of the input (of spatial `shape`, with `channels`) that has a gradient at all.
    """

    shape: tuple[int, ...]
    window: tuple[tuple[int, int], ...]
    channels: int
    statistic: Statistic
    groups: int
    sums: Array = field(init=False)
    counts: NDArray[np.int64] = field(init=False)
    dead: int = 0

    def __post_init__(self) -> None:
        self.sums = np.zeros((self.groups, *(hi - lo for lo, hi in self.window)))
        self.counts = np.zeros(self.groups, np.int64)

    def add(self, g: NDArray[Any], cluster: int, axes: tuple[int, ...]) -> None:
        """Take in one sample's gradient; `axes` are its non-spatial ones, dependent samples share a `cluster`."""
        wide = g.astype(np.float64)
        self.dead += not wide.any()
        group = cluster % self.groups
        self.sums[group] += REDUCTIONS[self.statistic].each(wide).sum(axis=axes) / self.channels
        self.counts[group] += 1

    @property
    def used(self) -> int:
        """Samples taken in so far."""
        return int(self.counts.sum())

    def map(self) -> Array:
        """The ERF map over all samples, unnormalised."""
        return self.finish(self._placed(self.sums.sum(axis=0) / self.used))

    def _placed(self, part: Array) -> Array:
        """A window (or several) in the whole input's shape, zero around it."""
        extra = part.shape[: part.ndim - len(self.shape)]
        whole = np.zeros((*extra, *self.shape))
        place: tuple[Any, ...] = (..., *(slice(lo, hi) for lo, hi in self.window))
        whole[place] = part
        return whole

    def finish(self, mean: Array) -> Array:
        """From a mean of the statistic to a map."""
        return REDUCTIONS[self.statistic].finish(mean)

    def group_means(self) -> tuple[Array, NDArray[np.int64]]:
        """Means of the groups that hold samples, and how many samples each holds."""
        filled = self.counts > 0
        counts = self.counts[filled]
        return self._placed(self.sums[filled] / counts.reshape(-1, *[1] * len(self.shape))), counts
