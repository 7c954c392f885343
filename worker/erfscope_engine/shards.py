"""Shards: a measurement's samples taken in parts, by several processes, and put together to the bytes of the whole.

A part is sampled with `Part`, the parts are put together with `Merge`; both are samplers of `measure`. What the first
samples decide (channels `auto`, the gradient's scale) every part decides again, from the same samples.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.parts import SHARD
from erfscope_contract.request import ErfRequest
from erfscope_engine.average import FEWEST_GROUPS
from erfscope_engine.sampling import Done, Sampled, sample, sample_part

LARGEST = 1 << 26  # float64 numbers that a part may consist of: 512 MiB
LOOK_SECONDS = 2.0  # of sampling, before it is judged how long the rest will take

Range = tuple[int, int]  # samples first … stop − 1
Arrays = Mapping[str, NDArray[Any]]  # `sums`, `counts` and `plan`, each flat: team after team, unit after unit
Progress = Callable[[str, float], None]


class Split(Exception):  # noqa: N818  no error: the answer is to come from several processes
    """The samples would take long, and can be taken in these parts."""

    def __init__(self, parts: Sequence[Range]) -> None:
        super().__init__(f"{len(parts)} parts")
        self.parts = tuple(parts)


class Unlike(Exception):  # noqa: N818  no error: the measurement must be made in one piece
    """The parts cannot be put together exactly: they ran under different plans, or are too large."""


def cuts(request: ErfRequest, batch: int, most: int) -> list[Range]:
    """All samples of `request` in at most `most` parts of about one size; a single one where it cannot be split.

    Cut where a micro-batch and a group of every average end: no average has fewer than FEWEST_GROUPS, and all spans
    are powers of two.
    """
    average = request.average
    total = average.weights * average.inputs
    if average.until is not None or request.method != "gradient":
        return [(0, total)]
    grain = _widest_span(average.weights) * average.inputs if average.weights > 1 else _grain(average.inputs, batch)
    grains = -(-total // grain)
    count = max(min(most, grains), 1)
    edges = [min(total, grain * (n * grains // count)) for n in range(count + 1)]
    return list(pairwise(edges))


def _grain(samples: int, batch: int) -> int:
    return math.lcm(_widest_span(samples), batch)


def _widest_span(clusters: int) -> int:
    span = 1
    while span * FEWEST_GROUPS < clusters:
        span *= 2
    return span


class Watch:
    """Samples as ever, but raises Split as soon as it is plain that the rest would take longer than `seconds`."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._parts: list[Range] = []
        self._began: tuple[float, float] | None = None  # when, and how much was done then

    def sampler(self, units: Sequence[Sampled], request: ErfRequest, done: Done) -> None:
        """Take all samples, and learn on the way where they could be cut."""
        small = sum(unit.average.sums.size for unit in units) <= LARGEST
        self._parts = cuts(request, units[0].start.probe.batch, self._most) if small else []
        sample(units, request, done)

    def progress(self, hear: Progress) -> Progress:
        """`hear`, and a look at the clock."""

        def report(stage: str, share: float) -> None:
            hear(stage, share)
            if stage == "measure" and len(self._parts) > 1:
                self._look(share)

        return report

    def _look(self, share: float) -> None:
        now = self._clock()
        if self._began is None or share < self._began[1]:  # the first report, or the first of the layers' profile
            self._began = (now, share)
        elapsed, won = now - self._began[0], share - self._began[1]
        patient = elapsed < min(LOOK_SECONDS, self._seconds)
        if won > 0 and not patient and (1 - share) * elapsed / won > self._seconds:
            raise Split(self._parts)


class Part:
    """A sampler that takes samples part[0] … part[1] − 1 only, and keeps what it found in `arrays`."""

    def __init__(self, part: Range) -> None:
        self._part = part
        self._found: dict[str, list[NDArray[Any]]] = {name: [] for name in SHARD}
        self._size = 0

    def sampler(self, units: Sequence[Sampled], request: ErfRequest, done: Done) -> None:
        """Take this part's samples; raises Unlike where the sums would be too large to hand on."""
        self._size += sum(unit.average.sums.size for unit in units)
        if self._size > LARGEST:
            raise Unlike("the sums are too large to hand on")
        first, stop = self._part
        sample_part(units, request, self._part, lambda used: done(min(used / (stop - first), 1.0)))
        for unit in units:
            average = unit.average
            self._found["sums"].append(average.sums.ravel())
            self._found["counts"].append(np.array([average.dead, *average.counts], np.int64))
            self._found["plan"].append(_plan(unit))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `Merge` takes."""
        return {name: np.concatenate(found) for name, found in self._found.items()}


def _plan(unit: Sampled) -> NDArray[np.int64]:
    """What must be the same in all parts: micro-batch, decisions of the first samples, and the average's layout."""
    probe, average = unit.start.probe, unit.average
    window = [edge for pair in average.window for edge in pair]
    random = int(probe.channels == "random")
    return np.array([probe.batch, probe.scale, random, average.groups, average.span, *window], np.int64)


class Merge:
    """A sampler that takes no samples: it puts together what parts have found."""

    def __init__(self, parts: Sequence[Arrays]) -> None:
        self._parts = [{name: _flat(part, name) for name in SHARD} for part in parts]
        self._at = dict.fromkeys(SHARD, 0)

    def sampler(self, units: Sequence[Sampled], request: ErfRequest, done: Done) -> None:
        """Fill the averages; raises Unlike where a part is not of this plan."""
        for unit in units:
            average, plan = unit.average, _plan(unit)
            if any(not np.array_equal(found, plan) for found in self._next("plan", plan.size)):
                raise Unlike("a part ran under another plan")
            for sums in self._next("sums", average.sums.size):
                average.sums += sums.reshape(average.sums.shape)
            for dead, *counts in self._next("counts", average.groups + 1):
                average.dead += int(dead)
                average.counts += np.array(counts, np.int64)
            if average.used != request.average.weights * request.average.inputs:
                raise Unlike("parts are missing")
        done(1.0)

    def _next(self, name: str, size: int) -> list[NDArray[Any]]:
        """Every part's next `size` numbers."""
        at = self._at[name]
        self._at[name] = at + size
        found = [part[name][at : at + size] for part in self._parts]
        if any(len(numbers) != size for numbers in found):
            raise Unlike("a part is too short")
        return found


def _flat(part: Arrays, name: str) -> NDArray[Any]:
    found = part.get(name)
    if found is None or found.ndim != 1 or found.dtype != SHARD[name]:
        raise Unlike(f"a part has no {name}")
    return found
