"""From trials to a rule: accuracy against the size of a field over the object, and which size predicts it best."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from erfscope_reproduce.finding import Quantity, mean_of
from erfscope_reproduce.objects.trials import Trial

Floats = NDArray[np.float64]
WIDTH = 0.2  # of the smoothing along ln(size / object)
GOOD = 0.95  # share of the best IoU that counts as enough
RISE = np.geomspace(0.3, 2.0, 100)  # sizes over the object at which the smoothed accuracy is looked at
SIZES = ("erf_size", "erf_untrained", "mass_50_side", "r90", "trf")
SMALL = 1e-9


def relative(trials: Sequence[Trial]) -> list[tuple[Trial, float]]:
    """Each trial with its IoU over the best network's for objects of that size and that seed."""

    def key(trial: Trial) -> tuple[int, int]:
        return trial.radius, trial.seed

    pairs = []
    for _, group in groupby(sorted(trials, key=key), key=key):
        rows = list(group)
        best = max(row.iou for row in rows)
        pairs += [(row, row.iou / best if best else 0.0) for row in rows]
    return pairs


def smoothed(at: Floats, x: Floats, y: Floats) -> Floats:
    """The mean of y weighted by a Gaussian of WIDTH in ln x around each point of `at`."""
    distance = (np.log(at)[:, None] - np.log(x)[None]) / WIDTH
    weights = np.exp(-0.5 * distance**2) + SMALL
    return np.asarray((weights * y).sum(1) / weights.sum(1))


def points(pairs: Sequence[tuple[Trial, float]], metric: str) -> tuple[Floats, Floats]:
    """(size over object, relative IoU)."""
    return (
        np.array([trial.over_object(metric) for trial, _ in pairs]),
        np.array([share for _, share in pairs], np.float64),
    )


def needed(trials: Sequence[Trial], metric: str = "erf_size") -> Quantity:
    """The size over the object from which the smoothed accuracy is GOOD times its highest value up to twice the object.

    The error is a jackknife over networks: another choice of networks would give another curve.
    """

    def size(rows: Sequence[Trial]) -> float:
        curve = smoothed(RISE, *points(relative(rows), metric))
        return float(RISE[int(np.argmax(curve >= GOOD * curve.max()))])

    return jackknifed(trials, size)


def misfit(trials: Sequence[Trial], metric: str) -> Quantity:
    """Root mean square by which the smoothed curve of all other networks misses a network's relative IoU."""
    pairs = relative(trials)
    squares = dict[str, float]()
    for name in sorted({trial.network for trial in trials}):
        mine = [pair for pair in pairs if pair[0].network == name]
        others = [pair for pair in pairs if pair[0].network != name]
        if not others:
            return Quantity(math.nan)
        x, y = points(mine, metric)
        squares[name] = float(np.mean((smoothed(x, *points(others, metric)) - y) ** 2))
    mean = mean_of(list(squares.values()))
    root = math.sqrt(mean.value)
    return Quantity(root, None if mean.error is None or not root else mean.error / (2 * root))


def jackknifed(trials: Sequence[Trial], value_of: Callable[[Sequence[Trial]], float]) -> Quantity:
    """A value and its standard error from leaving out each network in turn."""
    names = sorted({trial.network for trial in trials})
    whole = value_of(trials)
    if len(names) < 3:
        return Quantity(whole)
    parts = [value_of([trial for trial in trials if trial.network != name]) for name in names]
    spread = math.fsum((part - math.fsum(parts) / len(parts)) ** 2 for part in parts)
    return Quantity(whole, math.sqrt((len(parts) - 1) / len(parts) * spread))


def share_between(trials: Sequence[Trial], low: float, high: float, *, without: Sequence[str] = ()) -> Quantity | None:
    """The mean relative IoU of trials whose ERF is low … high times the object; None where there are none."""
    pairs = [pair for pair in relative(trials) if pair[0].family not in without]
    shares = [share for trial, share in pairs if low <= trial.over_object("erf_size") < high]
    return mean_of(shares) if shares else None


def difference(trials: Sequence[Trial], first: str, second: str, radii: Sequence[int]) -> Quantity | None:
    """IoU of one network less another's, over the same objects and seeds; None where they share none."""
    by_key = {(one.network, one.radius, one.seed): one for one in trials}
    pairs = [
        (one, by_key[(second, one.radius, one.seed)])
        for one in trials
        if one.network == first and one.radius in radii and (second, one.radius, one.seed) in by_key
    ]
    return mean_of([a.iou - b.iou for a, b in pairs]) if pairs else None
