"""Averaging: gradients of many samples become one map and the group means that its errors are computed from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.request import Statistic

Array = NDArray[np.float64]
MOST_GROUPS, FEWEST_GROUPS = 16, 8  # of the jackknife, which measures a map for each
FEW_CHANNELS = 16  # that are summed one after the other
LARGEST_STORE = 1 << 24  # numbers kept for the groups
LARGEST_TEAM = 1 << 27  # numbers kept for the groups of all units that run together


def most_units(shape: tuple[int, ...]) -> int:
    """How many units of an input of spatial `shape` may run together, so that there is room for their sums."""
    return max(LARGEST_TEAM // (FEWEST_GROUPS * prod(shape)), 1)


@dataclass(frozen=True)
class Reduction:
    """A statistic: what is taken of each number of a gradient, summed in double, and what is made of the mean."""

    each: Callable[[NDArray[Any]], NDArray[Any]]
    finish: Callable[[Array], Array]

    def summed(self, g: NDArray[Any], axes: tuple[int, ...]) -> Array:
        """The sum over `axes` of a gradient: one channel after the other, where they are few.

        With the channels last in memory numpy took 5.3 ms for 3 × 512 × 512 numbers, 1.0 so (1 thread).
        """
        channels = prod(g.shape[k] for k in axes)
        if not 0 < channels <= FEW_CHANNELS:
            return np.asarray(self.each(g).sum(axis=axes, dtype=np.float64))
        front = np.moveaxis(g, axes, range(len(axes)))
        first, *others = (front[at] for at in np.ndindex(front.shape[: len(axes)]))
        total: Array = self.each(first).astype(np.float64)
        for channel in others:
            total += self.each(channel)
        return total


def _same(g: NDArray[Any]) -> NDArray[Any]:
    return g


REDUCTIONS: dict[Statistic, Reduction] = {
    Statistic.ABS: Reduction(np.abs, _same),
    Statistic.RMS: Reduction(lambda g: np.square(g, dtype=np.float64), np.sqrt),
    Statistic.RELU: Reduction(lambda g: np.maximum(g, 0), _same),
    Statistic.SIGNED: Reduction(_same, np.abs),
}


@dataclass
class Average:
    """Running float64 sums of consecutive clusters of samples, in groups that the jackknife leaves out one by one.

    A cluster is a sample, or all samples of one draw of the weights. Group g holds clusters g·span … (g + 1)·span − 1,
    and `span` is a power of two, so that sums of a part of the samples, cut where a group ends, are the very sums of
    the whole. Sums are kept on `window`, the part of the input (of spatial `shape`, with `channels`) that has a
    gradient at all.
    """

    shape: tuple[int, ...]
    window: tuple[tuple[int, int], ...]
    channels: int
    statistic: Statistic
    groups: int
    span: int
    sums: Array = field(init=False)
    counts: NDArray[np.int64] = field(init=False)
    dead: int = 0

    def __post_init__(self) -> None:
        self.sums = np.zeros((self.groups, *(hi - lo for lo, hi in self.window)))
        self.counts = np.zeros(self.groups, np.int64)

    @classmethod
    def planned(
        cls,
        shape: tuple[int, ...],
        window: tuple[tuple[int, int], ...],
        channels: int,
        statistic: Statistic,
        clusters: int,
        units: int = 1,
    ) -> Self:
        """For `clusters` clusters at first, in as many groups as memory allows beside `units` − 1 averages like it.

        It may grow: groups then join.
        """
        size = int(np.prod([hi - lo for lo, hi in window]))
        most = FEWEST_GROUPS
        while most < MOST_GROUPS and 2 * most * size * units <= LARGEST_STORE:
            most *= 2
        span = 1
        while span * most < clusters:
            span *= 2
        return cls(shape, window, channels, statistic, most, span)

    def add(self, g: NDArray[Any], cluster: int, axes: tuple[int, ...]) -> None:
        """Take in one sample's gradient; `axes` are its non-spatial ones. FloatingPointError where it is not finite."""
        part = REDUCTIONS[self.statistic].summed(g, axes)
        if not np.isfinite(part).all():
            raise FloatingPointError("a gradient is infinite or NaN")
        self.dead += not (part.any() or g.any())  # signed channels may cancel
        part /= self.channels
        while cluster // self.span >= self.groups:
            self._join_groups()
        group = cluster // self.span
        self.sums[group] += part
        self.counts[group] += 1

    def _join_groups(self) -> None:
        """Neighbours become one: half as many groups, twice the span."""
        half = self.groups // 2
        for kept in (self.sums, self.counts):
            kept[:half] = kept[0 : 2 * half : 2] + kept[1 : 2 * half : 2]
            kept[half:] = 0
        self.span *= 2

    def take(self, other: "Average") -> None:
        """Take in the sums of another part of the samples; no group may hold samples of both."""
        if (other.span, other.window) != (self.span, self.window) or (self.counts * other.counts).any():
            raise ValueError("parts of an average must be cut where a group ends")
        self.sums += other.sums
        self.counts += other.counts
        self.dead += other.dead

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
