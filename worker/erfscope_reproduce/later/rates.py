"""S23: the share of a TRF that contributes, and the best TRF for objects of one size (Loos et al. 2024)."""

from collections.abc import Sequence
from itertools import pairwise

from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.objects.experiment import FULL, RADII, SEEDS
from erfscope_reproduce.objects.networks import CONTENDERS, Contender
from erfscope_reproduce.objects.trials import Trial, finished

ID = "S23"
SHOWN = ("dilation-6", "dilation-15", "dilation-31", "skip-31", "depthwise-11", "one-far-31")  # a TRF within 64 px
FAMILY = "dilation"  # networks that differ in their TRF alone
PUBLISHED = "a rate for each network; theirs are other networks"
REMARK = """\
Loos, Pardasani and Awasthi (J. Med. Imaging 11(5) 054004, 2024, arXiv 2406.16701) define an ERF rate, the share of the
TRF's pixels that contribute, and an object rate, the object's size over the TRF. Our threshold: a pixel contributes
where the map is above 4.55 % of its centre (2 sigma), so the rate is (ERF size / TRF)². Random weights, noise; the
networks are S20b's. Their scores are not comparable, because they are trained on medical images; {told}"""
WITH = "the best TRF is read from the trainings of S20b on made scenes."
WITHOUT = """\
for the best TRF of an object see S20b, or give the folder of its finished trainings as --resume, which was not done."""


def rates(bench: Bench) -> Finding:
    """S23: ERF rates, and where S20b's trainings are at hand the best TRF for each size of object."""
    shown = [one for one in CONTENDERS if one.name in SHOWN]
    rows = [_rate_row(bench, one) for one in shown]
    trials = _finished(bench)
    if trials:
        rows += best_rows(trials)
    return Finding(rows, remark=REMARK.format(told=WITH if trials else WITHOUT))


def _rate_row(bench: Bench, contender: Contender) -> Row:
    shot = bench.measure(contender.architecture(), inputs=4, draws=bench.choose(2, 8))
    ratio, trf = shot.quantity("erf_ratio"), shot.result.trf.size[0]
    error = None if ratio.error is None else 2 * ratio.value * ratio.error
    return Row(
        id=ID,
        claim=f"{contender.name} ({contender.family}, TRF {trf} px): ERF rate",
        published=PUBLISHED,
        ours=Quantity(ratio.value**2, error),
        verdict=Verdict.MEASURED,
        how=shot.how,
        note=f"object rate of 8 px: {8 / trf:.2f}, of 32 px: {32 / trf:.2f}",
    )


def _finished(bench: Bench) -> list[Trial]:
    """S20b's trials of the family, where all of them are at hand."""
    family = [one for one in CONTENDERS if one.family == FAMILY]
    wanted = [(one, radius, seed) for one in family for radius in RADII for seed in range(SEEDS)]
    trials = [finished(bench, *which, FULL) for which in wanted]
    there = [one for one in trials if one is not None]
    return there if len(there) == len(wanted) else []


def best_rows(trials: Sequence[Trial]) -> list[Row]:
    """For each size of object the TRF of the network with the highest mean IoU, and whether it grows."""
    how = f"{len(trials)} trainings of S20b, networks that differ in their dilations alone"
    best = {radius: _best(trials, radius) for radius in sorted({one.radius for one in trials})}
    rows = [
        Row(
            id=ID,
            claim=f"objects of {2 * radius} px: TRF of the network with the highest IoU",
            published="each task has a best TRF",
            ours=Quantity(trf, None),
            unit="px",
            verdict=Verdict.MEASURED,
            how=how,
            note=f"object rate {2 * radius / trf:.2f}",
        )
        for radius, trf in best.items()
    ]
    falls = sum(after < before for before, after in pairwise(best.values()))
    grows = falls == 0 and list(best.values())[-1] > next(iter(best.values()))
    claim = "the best TRF is larger for larger objects: steps in which it falls"
    verdict = Verdict.CONFIRMED if grows else Verdict.REFUTED
    return [*rows, Row(ID, claim, "larger where context is needed", Quantity(falls, 0.0), verdict, how,
                       f"of {len(best) - 1}")]  # fmt: skip


def _best(trials: Sequence[Trial], radius: int) -> float:
    by_trf: dict[float, list[float]] = {}
    for one in trials:
        if one.radius == radius:
            by_trf.setdefault(one.trf, []).append(one.iou)
    return max(by_trf, key=lambda trf: mean_of(by_trf[trf]).value)
