"""The ERF before training, by the scheme of the weights and the statistics of the normalisation, and growth from it."""

from dataclasses import replace

import numpy as np

from erfscope_contract.architecture import Architecture
from erfscope_contract.architecture.base import Init
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.finding import Row, Verdict
from erfscope_reproduce.judge import above, within
from erfscope_reproduce.training import fit
from erfscope_reproduce.training.along import Story, over_runs
from erfscope_reproduce.training.runs import Trial

SCHEMES = (Init.KAIMING_NORMAL, Init.XAVIER_NORMAL, Init.DEFAULT)
AS_MADE = "normalisation as it is made (mean 0, variance 1)"
OF_DATA = "normalisation with the data's statistics"
REMARK = """\
How large the ERF is before training hangs on the scheme of the weights while normalisation has no statistics of the
data yet: small weights then make the residual branches faint beside their shortcuts, and the ERF small. The first
training step ends that, for normalisation takes the scale of the weights out. """


def rows_of(
    bench: Bench, story: Story, trial: Trial, side: int, published: tuple[float, float] | None = None
) -> list[Row]:
    """For each scheme the size on noise of side × side pixels with both kinds of statistics, and the growth from it.

    `published` is what the article gives of the size before training, and how far from it is near.
    """
    rows = list[Row]()
    for scheme in SCHEMES:
        spec = trial.architecture.model_copy(update={"init": scheme, "name": f"{trial.architecture.name} ({scheme})"})
        made, settled = _made(bench, spec, side), _settled(bench, spec, trial, side)
        rows.append(_size_row(story, f"{scheme}, {AS_MADE}", made, published))
        rows.append(_size_row(story, f"{scheme}, {OF_DATA}", settled, None))
        ratio = over_runs(
            [run[-1].shots["noise"].quantity("erf_size") / made.quantity("erf_size") for run in story.runs]
        )
        claim = f"training on {story.data} enlarges the ERF size (on noise), from weights by {scheme}, {AS_MADE}"
        rows.append(Row(story.id, claim, story.growth, ratio, above(ratio, 1), made.how, "times"))
    return rows


def _made(bench: Bench, spec: Architecture, side: int) -> Shot:
    shape = [spec.input.channels, side, side]
    return bench.measure(spec, inputs=1, draws=bench.choose(4, 16), input_shape=shape)


def _settled(bench: Bench, spec: Architecture, trial: Trial, side: int) -> Shot:
    network = fit.drawn(spec, 0)
    fit.settle(network, trial.course.batches(np.random.default_rng(0)))
    wide = replace(network, input_shape=(spec.input.channels, side, side))
    return bench.measure_network(wide, f"{spec.name}, seed 0", inputs=bench.choose(4, 16))


def _size_row(story: Story, words: str, shot: Shot, published: tuple[float, float] | None) -> Row:
    size = shot.quantity("erf_size")
    told, verdict = "–", Verdict.MEASURED
    if published is not None:
        told, verdict = f"about {published[0]:.0f}", within(size, *published)
    return Row(story.id, f"ERF before training (on noise), weights by {words}", told, size, verdict, shot.how, "px")
