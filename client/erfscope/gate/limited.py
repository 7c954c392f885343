"""Models whose effective field cannot grow, or is too uncertain: `erfscope init` does not watch its size."""

from collections.abc import Mapping

from erfscope.gate.findings import Report
from erfscope.gate.judge import FULL, tells_of_filling
from erfscope.gate.sampling import TOO_MANY, noises_of
from erfscope.gate.starter import Limit

WATCHED, LIMITING = "erf_size", "trf_size"


def by_chance(report: Report, samples: Mapping[str, int]) -> dict[str, Limit]:
    """The models of a run whose size takes too many samples, beyond those (`samples`) of this run."""
    return {
        model: Limit.CHANCE
        for model, noise in noises_of(report, WATCHED).items()
        if noise.needed(samples[model]) > TOO_MANY
    }


def limits(report: Report) -> dict[str, Limit]:
    """What limits the ERF of each model of a run whose size is limited."""
    trf = {one.model: one.found for one in report.findings if one.metric == LIMITING}
    limited: dict[str, Limit] = {}
    for one in report.findings:
        if one.metric != WATCHED or one.found is None:
            continue
        if tells_of_filling(one):
            limited[one.model] = Limit.INPUT
        elif one.found >= FULL * (trf.get(one.model) or float("inf")):
            limited[one.model] = Limit.TRF
    return limited
