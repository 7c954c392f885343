"""S10 and S15: how the ERF grows with depth (figure 3), and what the choice of one or two sigma changes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.architecture import Init, InitOptions
from erfscope_contract.power_law import PowerFit, fit_power
from erfscope_contract.presets.plain import Variant, stack
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.exact import extended_binomial
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import agrees, within

PUBLISHED = {"erf_size": 0.56, "erf_ratio": -0.43}
CLAIM = {"erf_size": "the ERF grows like √n", "erf_ratio": "ERF/TRF shrinks like 1/√n"}
ROUNDING = 0.005  # half a digit of the published slopes
ONE_SIGMA, TWO_SIGMA = 1 - 0.6827, 1 - 0.9545  # shares of the centre's value that bound the ERF

REMARK = """\
The article gives one pair of slopes without errors. It leaves open the channels, the statistic that turns gradients of
both signs into a map (ours: the mean of absolute values), the depths that were fitted, the input's size and the padding
(ours: the whole TRF fits, with a margin). Each of them moves the slopes, as the set-ups show. The slopes are above ±0.5
because few layers are no limit: the closed form of many channels has no noise and is above it as well. The two slopes
are one measurement: they differ by the TRF's own slope, 0.961 for n = 5 to 40, because a TRF is 2n + 1 and not 2n."""


@dataclass(frozen=True)
class SetUp:
    """A family of nets over depth; what the article leaves open is fixed here."""

    name: str
    variant: Variant
    depths: tuple[int, ...]


def _set_up(name: str, channels: int, depths: tuple[int, ...], *, relu: bool = False) -> SetUp:
    init = InitOptions(scheme=Init.KAIMING_NORMAL)
    return SetUp(name, Variant("relu" if relu else None, init, channels), depths)


def set_ups(bench: Bench) -> list[SetUp]:
    """Eight channels and one channel without nonlinearity, and sixteen with ReLU."""
    deep = bench.choose((5, 10, 20, 40), (5, 7, 10, 14, 20, 28, 40))
    return [
        _set_up("8 channels, linear", 8, deep),
        _set_up("1 channel, linear", 1, bench.choose((10, 20, 40, 80), (10, 14, 20, 28, 40, 56, 80))),
        _set_up("16 channels, ReLU", 16, deep, relu=True),
    ]


def _shots(bench: Bench, set_up: SetUp) -> list[Shot]:
    runs, shown = bench.choose(20, 100), set_up.variant
    channels = 1 if shown.channels == 1 else 3
    nets = [stack(f"plain-{n}, {set_up.name}", n, shown, channels) for n in set_up.depths]
    return [bench.measure(net, inputs=1, draws=runs) for net in nets]


def _fit(set_up: SetUp, shots: Sequence[Shot], metric: str) -> PowerFit:
    sizes = [shot.quantity(metric) for shot in shots]
    return fit_power(set_up.depths, [size.value for size in sizes], [size.error or 0.0 for size in sizes])


def growth_and_shrinkage(bench: Bench) -> Finding:
    """S10: slopes of ERF size and of ERF/TRF against depth on double logarithmic axes."""
    families = [(set_up, _shots(bench, set_up)) for set_up in set_ups(bench)]
    rows = [_slope_row(*family, metric) for family in families for metric in PUBLISHED]
    rows += _limit_rows(families[0][0].depths)
    pictures = [
        Picture(
            "s10-growth", _chart(families, "erf_size", "ERF size (px)"), "Absolute growth; dashed: fitted power laws."
        ),
        Picture(
            "s10-shrinkage",
            _chart(families, "erf_ratio", "ERF / TRF"),
            "Relative shrinkage; dashed: fitted power laws.",
        ),
    ]
    return Finding(
        rows,
        pictures,
        REMARK,
    )


def _slope_row(set_up: SetUp, shots: Sequence[Shot], metric: str) -> Row:
    fit = _fit(set_up, shots, metric)
    slope = Quantity(fit.slope, fit.slope_error)
    return Row(
        id="S10",
        claim=f"{CLAIM[metric]} ({set_up.name}, n = {set_up.depths[0]} to {set_up.depths[-1]})",
        published=f"{PUBLISHED[metric]:.2f}",
        ours=slope,
        unit="log-log slope",
        verdict=agrees(slope, PUBLISHED[metric], ROUNDING),
        how=f"{len(set_up.depths)} depths, inputs={shots[0].how.partition('inputs=')[2]}, {metric}",
        note=f"from the law's own ±0.5 by {abs(abs(fit.slope) - 0.5):.3f}",
    )


def limit_map(depth: int) -> NDArray[np.float64]:
    """E|g| of a linear net of many channels: g is normal, its variance the (extended) binomial, so E|g| is its root."""
    line = np.sqrt(extended_binomial(3, depth))
    return np.outer(line, line)


def _limit_rows(depths: Sequence[int]) -> list[Row]:
    sizes = [float(np.sqrt(np.count_nonzero(limit_map(n) > TWO_SIGMA))) for n in depths]
    measured = {"erf_size": sizes, "erf_ratio": [size / (2 * n + 1) for size, n in zip(sizes, depths, strict=True)]}
    return [_limit_row(depths, metric, values) for metric, values in measured.items()]


def _limit_row(depths: Sequence[int], metric: str, values: Sequence[float]) -> Row:
    fit = fit_power(depths, values)
    slope = Quantity(fit.slope, fit.slope_error)
    return Row(
        id="S10",
        claim=f"{CLAIM[metric]} (many channels, linear, n = {depths[0]} to {depths[-1]}: closed form)",
        published=f"{PUBLISHED[metric]:.2f}",
        ours=slope,
        unit="log-log slope",
        verdict=agrees(slope, PUBLISHED[metric], ROUNDING),
        how=f"roots of the extended binomial coefficients, {len(depths)} depths, {metric}; nothing is drawn",
        note="the error is the points' scatter around a straight line",
    )


def _chart(families: Sequence[tuple[SetUp, Sequence[Shot]]], metric: str, label: str) -> bytes:
    series: list[Series] = []
    for color, (set_up, shots) in enumerate(families):
        sizes, fit = [shot.quantity(metric) for shot in shots], _fit(set_up, shots, metric)
        values, errors = [size.value for size in sizes], [size.error or 0.0 for size in sizes]
        words = f"{set_up.name}: n^{fit.slope:.2f}"
        series.append(Series(words, set_up.depths, values, errors, line=False, color=color))
        fitted = fit.at(set_up.depths).tolist()
        series.append(Series("", set_up.depths, fitted, marks=False, dashed=True, color=color))
    return chart(f"Figure 3: {label} against depth", Axis("layers n", log=True), Axis(label, log=True), series)


def thresholds(bench: Bench) -> Finding:
    """S15: theory speaks of one sigma, the experiments cut at two; both for the same nets."""
    set_up = set_ups(bench)[0]
    shots = _shots(bench, set_up)
    rows = [_threshold_row(set_up, shots, metric, words) for metric, words in THRESHOLDS.items()]
    return Finding(
        [*rows, _ratio_row(set_up, shots)], remark="Every result carries both sizes: erf_size and erf_size_1sigma."
    )


THRESHOLDS = {"erf_size": "two sigma (4.55 % of the centre)", "erf_size_1sigma": "one sigma (31.7 % of the centre)"}


def _threshold_row(set_up: SetUp, shots: Sequence[Shot], metric: str, words: str) -> Row:
    fit = _fit(set_up, shots, metric)
    return Row(
        id="S15",
        claim=f"growth of the ERF cut at {words} ({set_up.name})",
        published="0.56, at two sigma" if metric == "erf_size" else "not given",
        ours=Quantity(fit.slope, fit.slope_error),
        unit="log-log slope",
        verdict=Verdict.MEASURED,
        how=f"{len(set_up.depths)} depths, {metric}",
    )


def _ratio_row(set_up: SetUp, shots: Sequence[Shot]) -> Row:
    gaussian = math.sqrt(math.log(TWO_SIGMA) / math.log(ONE_SIGMA))
    shot = shots[set_up.depths.index(20)]
    ratio = shot.quantity("erf_size") / shot.quantity("erf_size_1sigma")
    return Row(
        id="S15",
        claim=f"the cut at two sigma gives a larger ERF by a constant factor (20 layers; a Gaussian: {gaussian:.3f})",
        published="not given",
        ours=ratio,
        unit="size at two / at one sigma",
        verdict=within(ratio, gaussian, 0.1),
        how=f"{shot.how}, erf_size / erf_size_1sigma",
    )
