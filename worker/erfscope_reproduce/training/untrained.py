"""How large the ERF is before training: by the scheme of the weights, and by the statistics of the normalisation."""

from dataclasses import replace

import numpy as np

from erfscope_contract.architecture.base import Init
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Row, Verdict
from erfscope_reproduce.training import fit
from erfscope_reproduce.training.runs import Trial

SCHEMES = (Init.KAIMING_NORMAL, Init.XAVIER_NORMAL, Init.DEFAULT)
AS_MADE = "normalisation as it is made (mean 0, variance 1)"
OF_DATA = "normalisation with the data's statistics"
REMARK = """\
How large the ERF is before training hangs on the scheme of the weights while normalisation has no statistics of the
data yet: small weights then make the residual branches faint beside their shortcuts, and the ERF small. The first
training step ends that, for normalisation takes the scale of the weights out. """


def rows_of(bench: Bench, claim: str, trial: Trial, side: int) -> list[Row]:
    """For each scheme the size on noise of side × side pixels, with both kinds of statistics."""
    rows, draws, inputs = [], bench.choose(4, 16), bench.choose(4, 16)
    channels = trial.architecture.input.channels
    for scheme in SCHEMES:
        spec = trial.architecture.model_copy(update={"init": scheme, "name": f"{trial.architecture.name} ({scheme})"})
        made = bench.measure(spec, inputs=1, draws=draws, input_shape=[channels, side, side])
        network = fit.drawn(spec, 0)
        fit.settle(network, trial.course.batches(np.random.default_rng(0)))
        wide = replace(network, input_shape=(channels, side, side))
        settled = bench.measure_network(wide, f"{spec.name}, seed 0", inputs=inputs)
        for words, shot in ((AS_MADE, made), (OF_DATA, settled)):
            what = f"ERF before training, weights by {scheme}, {words}"
            rows.append(Row(claim, what, "–", shot.quantity("erf_size"), Verdict.MEASURED, shot.how, "px"))
    return rows
