"""The ERF before training, by weight scheme and by the statistics of normalisation, and its growth by training."""

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
AS_MADE = "normalisation without data (mean 0, variance 1)"
OF_DATA = "normalisation with the data's statistics"
REMARK = """\
The ERF before training depends on how the weights are drawn, as long as normalisation has no statistics of the data.
With small weights the residual branches are weak compared with their shortcuts, and the ERF is small. From the first
training step on, normalisation uses the statistics of the data, which removes the scale of the weights. """


def rows_of(
    bench: Bench, story: Story, trial: Trial, side: int, published: tuple[float, float] | None = None
) -> list[Row]:
    """For each scheme: the size on noise of side × side pixels with both kinds of statistics, and its growth.

    `published` is the article's size before training, and the largest difference that still counts as equal.
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
