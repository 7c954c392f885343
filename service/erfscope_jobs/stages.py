"""Seconds by stage of all jobs that succeeded, as histograms in the ledger's tally."""

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = ("load", "trace", "layers", "measure", "render", "profile", "search", "verify", "shards")
"""Stages that are counted. Their names come out of children that ran a stranger's model: others would fill Redis."""

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
"""Upper ends of the buckets in seconds; finish.lua gets them with each call."""

_PREFIX, _REST = "stage:", "inf"


@dataclass(frozen=True)
class Histogram:
    """How long one stage took: jobs per bucket (those below its bound included, the last has none), seconds in all."""

    stage: str
    buckets: tuple[tuple[str, int], ...]
    seconds: float


def known(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of those stages that are counted."""
    return {stage: seconds[stage] for stage in NAMES if stage in seconds}


def split(tally: Mapping[str, int]) -> tuple[list[Histogram], dict[str, int]]:
    """The histograms in a tally, by stage, and the counters that are none."""
    stages = sorted({name.split(":")[1] for name in tally if name.startswith(_PREFIX)})
    others = {name: count for name, count in tally.items() if not name.startswith(_PREFIX)}
    return [_histogram(stage, tally) for stage in stages], others


def _histogram(stage: str, tally: Mapping[str, int]) -> Histogram:
    total, buckets = 0, []
    for bound in (*(f"{bound:g}" for bound in BOUNDS), _REST):
        total += tally.get(f"{_PREFIX}{stage}:{bound}", 0)
        buckets.append(("+Inf" if bound == _REST else bound, total))
    return Histogram(stage, tuple(buckets), tally.get(f"{_PREFIX}{stage}:milliseconds", 0) / 1000)
