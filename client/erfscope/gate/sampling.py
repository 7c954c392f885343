"""How many inputs a check needs so that chance does not hide a change of its drift limit: for `erfscope init`. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from erfscope.gate.findings import Finding, Report, Rule
from erfscope_contract.significance import reach

LIMIT = 0.05  # the drift that a new check allows, as a share
# Chance may take this share of the limit: with another seed an unchanged model is beyond it in 1 of 1,000 cases.
ROOM = 0.6
SLACK = 0.7  # of the limit, from which it takes more inputs: of 16 inputs a standard error is itself 20 % off
MOST = 512  # inputs; beyond them the limit is widened instead
STEP = 16
TOO_MANY = 256  # samples; a metric that is watched by habit, not by need, is left out where it alone needs more


def enough(samples: int, noise: float, limit: float) -> int:
    """How many samples bring the noise of this many down to ROOM of a limit."""
    return max(STEP * ceil(samples * (noise / (ROOM * limit)) ** 2 / STEP), samples)


def wider(noise: float) -> float:
    """The limit, as a share in whole per cent, of which this noise takes ROOM."""
    return ceil(100 * noise / ROOM) / 100


@dataclass(frozen=True)
class Noise:
    """The metric of a model that chance moves most: two standard errors of a difference, as a share of its value."""

    metric: str
    share: float

    def enough(self, samples: int) -> int:
        """How many samples bring it down to ROOM of the limit, from what it is with `samples`; at most MOST."""
        return min(self.needed(samples), max(MOST, samples))

    def needed(self, samples: int) -> int:
        """`enough`, however many that are."""
        return samples if self.share <= SLACK * LIMIT else enough(samples, self.share, LIMIT)

    @property
    def limit(self) -> float:
        """The drift that a check can see with these inputs, as a share: LIMIT, or more in whole per cent."""
        return LIMIT if self.share <= SLACK * LIMIT else wider(self.share)


def noises(report: Report) -> Mapping[str, Noise]:
    """The largest noise of each model, of the metrics that a run watches for drift."""
    largest: dict[str, Noise] = {}
    for model, noise in _each(report):
        if model not in largest or noise.share > largest[model].share:
            largest[model] = noise
    return largest


def noises_of(report: Report, metric: str) -> Mapping[str, Noise]:
    """The noise of one metric of each model."""
    return {model: noise for model, noise in _each(report) if noise.metric == metric}


def _each(report: Report) -> Iterator[tuple[str, Noise]]:
    yield from ((one.model, Noise(one.metric, share)) for one in report.findings if (share := _share(one)))


def _share(finding: Finding) -> float:
    """0 for what has no standard error."""
    if finding.rule is not Rule.DRIFT or not finding.found or not finding.stderr:
        return 0.0
    return reach(finding.stderr, finding.stderr) / abs(finding.found)
