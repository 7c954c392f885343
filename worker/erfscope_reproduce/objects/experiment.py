"""S20b: how much of an object the ERF should hold, by training networks on scenes whose objects have one size."""

from collections.abc import Sequence

import numpy as np

from erfscope_reproduce.bench import Bench
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import above, below
from erfscope_reproduce.objects import rule
from erfscope_reproduce.objects.networks import CONTENDERS
from erfscope_reproduce.objects.trials import Effort, Trial, trial

ID = "S20b"
RADII, SEEDS = (4, 8, 12, 16), 2
QUICK, FULL = Effort(4, 2, 4, 2), Effort(200, 8, 64, 4)
WORDS = {
    "erf_size": "the ERF (trained)",
    "erf_untrained": "the ERF (before training)",
    "mass_50_side": "mass_50",
    "r90": "r90",
    "trf": "the TRF",
}
PAIRS = {
    "depthwise-11": "depthwise kernels (ERF 43 px, not 60)",
    "skip-31": "skips (ERF 30 px)",
    "one-far-31": "one dilation of 26 (ERF 30 px, with holes)",
}
BANDS = ((0.0, 0.75), (0.75, 1.25), (1.25, 2.0), (2.0, 4.0), (4.0, 9.0))
HOW = "14 networks of six layers, 12 to 13 thousand weights, 200 steps of 8 scenes of 64×64"
REMARK = """\
The scenes: outlined discs of one radius among open arcs of the same radius; each pixel is inside of a closed outline
or not, so a unit must see the whole outline. IoU is that of the insides on scenes that were not trained on; it is given
over the best network's for that size of object and seed. Networks have nearly equal weights (11,890 to 13,394) and
arithmetic (the two with a stride less); only their field differs. **What to take away: {sentence}**

Beside it: Loos, Pardasani and Awasthi (J. Med. Imaging 11(5), 2024) find a best TRF for each segmentation task, larger
where context is needed. Here too there is a best size for each object, but it is the ERF that tells it, and a field
whose taps leave holes does not count. Scenes of one kind, short trainings: a start for a design, not a law."""


def objects(bench: Bench) -> Finding:
    """S20b: the rule, which size predicts accuracy, the same TRF with other ERFs, and fields that are too large."""
    trials = _trials(bench)
    dense = [one for one in trials if one.network != "one-far-31"]  # its map is three blobs with holes between
    need = rule.needed(dense)
    rows = [_need_row(need), *_band_rows(dense), *_metric_rows(trials), *_pair_rows(trials)]
    return Finding(rows, [_picture(trials, dense)], REMARK.format(sentence=_sentence(dense, need)))


def _trials(bench: Bench) -> list[Trial]:
    contenders = bench.choose([CONTENDERS[0], CONTENDERS[4], CONTENDERS[8]], list(CONTENDERS))
    radii, seeds = bench.choose((4,), RADII), bench.choose(1, SEEDS)
    effort = bench.choose(QUICK, FULL)
    plan = [(seed, radius, one) for seed in range(seeds) for radius in radii for one in contenders]
    trials = []
    for number, (seed, radius, contender) in enumerate(plan):
        bench.progress(f"{contender.name}, radius {radius}, seed {seed}", number / len(plan))
        trials.append(trial(bench, contender, radius, seed, effort))
    return trials


def _sentence(trials: Sequence[Trial], need: Quantity) -> str:
    small, large = rule.share_between(trials, 0.0, 0.75), rule.share_between(trials, 4.0, 9.0)
    told = f"give the level that decides about an object an ERF of {need.value:.1f} to 2 times the object's size."
    if small is not None:
        told += f" With less than three quarters of the object, networks reach {small.value:.0%} of the best IoU;"
    if large is not None:
        told += f" with more than four times the object, {large.value:.0%}: too large costs little."
    return told


def _need_row(need: Quantity) -> Row:
    return Row(
        id=ID,
        claim=f"ERF over object from which the IoU is {rule.GOOD:.0%} of its highest",
        published="not treated",
        ours=need,
        unit="times",
        verdict=Verdict.MEASURED,
        how=HOW,
        note="the network with holes left out; the error is over the choice of networks",
    )


def _band_rows(trials: Sequence[Trial]) -> list[Row]:
    rows = []
    for low, high in BANDS:
        share = rule.share_between(trials, low, high)
        if share is not None:
            rows.append(
                _row(f"IoU over the best, ERF {low:g} to {high:g} times the object", share, "", "Loos 2024: a best TRF")
            )
    return rows


def _metric_rows(trials: Sequence[Trial]) -> list[Row]:
    """How far off a curve of each size is for a network that it was not drawn from."""
    errors = {metric: rule.misfit(trials, metric) for metric in rule.SIZES}
    best = min(errors.values(), key=lambda one: one.value)
    return [
        _row(
            f"predicted from {WORDS[metric]}: relative IoU is missed by",
            error,
            "best" if error is best else "",
            "not treated",
        )
        for metric, error in errors.items()
    ]


def _pair_rows(trials: Sequence[Trial]) -> list[Row]:
    """Pairs of one TRF (61 or 63 px) whose ERFs differ; what they differ by where both suffice is taken off."""
    rows = []
    for second, words in PAIRS.items():
        large = rule.difference(trials, "dilation-31", second, (12, 16))
        small = rule.difference(trials, "dilation-31", second, (4,))
        if large is not None and small is not None:
            claim = f"one TRF: IoU of growing dilations less that of {words}, at 24 and 32 px"
            more = large - small
            note = f"{large.value:.3f} there, less {small.value:.3f} at 8 px, where both fields suffice"
            rows.append(_row(claim, more, note, "not treated", above(more, 0.0)))
    less = rule.difference(trials, "dilation-47", "dilation-10", (4,))
    if less is not None:
        claim = "objects of 8 px: IoU with an ERF of 64 px less that with one of 20 px"
        rows.append(_row(claim, less, "a field that is far too large costs", "not treated", below(less, 0.0)))
    return rows


def _row(claim: str, ours: Quantity, note: str, published: str, verdict: Verdict = Verdict.MEASURED) -> Row:
    return Row(id=ID, claim=claim, published=published, ours=ours, verdict=verdict, how=HOW, note=note)


def _picture(trials: Sequence[Trial], dense: Sequence[Trial]) -> Picture:
    pairs = rule.relative(trials)
    series = []
    for family in dict.fromkeys(one.family for one in trials):
        mine = [pair for pair in pairs if pair[0].family == family]
        x, y = rule.points(mine, "erf_size")
        series.append(Series(family, x.tolist(), y.tolist(), line=False))
    x, y = rule.points(rule.relative(dense), "erf_size")
    at = np.geomspace(x.min(), x.max(), 60)
    series.append(Series("smoothed, without holes", at.tolist(), rule.smoothed(at, x, y).tolist(), marks=False))
    png = chart("Accuracy against ERF over object", Axis("ERF / object size", log=True), Axis("IoU / best IoU"), series)
    return Picture("s20b-objects", png, "Each mark is a training; objects of 8, 16, 24 and 32 px.")
