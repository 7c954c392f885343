"""S2: with random weights the variance of the gradient obeys a convolution with kernels of ones (section 2.3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.power_law import PowerFit, fit_power
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.exact import BOUND, extended_binomial, relative_error
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.judge import exact, within

LINEAR, RELU = "preset:plain-10-linear", "preset:plain-10-relu"
TOLERANCE = 0.1  # of the slope −0.5
REPEATS = 6
FAR = 100_000  # seeds of different repeats must not overlap

REMARK = """\
The expected squared gradient of a net with random weights follows the same recursion as the map of kernels of ones; the
method `analytic` computes it in one pass. For linear nets it is exact; for ReLU nets it rests on the article's own
assumption that a unit is active half of the time, whatever the weights."""


def variance_recursion(bench: Bench) -> Finding:
    """S2: analytic map against the closed form, and against random draws of the weights."""
    amounts = bench.choose((8, 32, 128), (8, 32, 128, 512))
    distances = {net: _distances(bench, net, amounts) for net in (LINEAR, RELU)}
    rows = [_closed_form_row(bench), *(_slope_row(net, amounts, found) for net, found in distances.items())]
    rows.append(_remaining_row(bench, amounts[-1]))
    picture = Picture(
        "s2-convergence", _chart(amounts, distances), "Dashed: fitted power laws; bars are standard errors."
    )
    return Finding(rows, [picture], REMARK)


def _closed_form_row(bench: Bench) -> Row:
    depths, worst = (5, 10, 20, 40), 0.0
    for depth in depths:
        shot = bench.measure(f"preset:plain-{depth}-linear", method="analytic", statistic="rms", dtype="float64")
        line = extended_binomial(3, depth)
        margin = (shot.map.shape[0] - len(line)) // 2
        truth = np.pad(np.outer(line, line), margin)
        worst = max(worst, relative_error(np.asarray(shot.map, np.float64) ** 2, truth))
    return Row(
        id="S2",
        claim="random linear nets: E g² is a constant times the map of kernels of ones",
        published="equal",
        ours=Quantity(worst, 0.0),
        unit="largest relative error",
        verdict=exact(worst, BOUND),
        how=f"plain-5 … plain-{depths[-1]}-linear, method=analytic, statistic=rms, dtype=float64",
    )


def _unit(shot: Shot) -> NDArray[np.float64]:
    """The map with norm 1: its overall scale is heavy-tailed over draws of a ReLU net, its shape is not."""
    map = np.asarray(shot.map, dtype=np.float64)
    scaled: NDArray[np.float64] = map / np.linalg.norm(map)
    return scaled


def _distances(bench: Bench, net: str, amounts: Sequence[int]) -> list[Quantity]:
    """‖rms of N draws − analytic‖ of maps with norm 1, the mean over repeats, per N."""
    repeats = bench.choose(REPEATS, 2 * REPEATS)
    truth = _unit(bench.measure(net, method="analytic", statistic="rms"))
    found = []
    for amount in amounts:
        maps = [_unit(_drawn(bench, net, amount, repeat)) for repeat in range(repeats)]
        found.append(mean_of([float(np.linalg.norm(map - truth)) for map in maps]))
    return found


def _drawn(bench: Bench, net: str, amount: int, repeat: int) -> Shot:
    return bench.measure(net, statistic="rms", inputs=1, draws=amount, seed=FAR * (repeat + 1) + amount)


def _fit(amounts: Sequence[int], found: Sequence[Quantity]) -> PowerFit:
    return fit_power(amounts, [one.value for one in found], [one.error or 0.0 for one in found])


def _slope_row(net: str, amounts: Sequence[int], found: Sequence[Quantity]) -> Row:
    fit = _fit(amounts, found)
    return Row(
        id="S2",
        claim=f"{net.removeprefix('preset:')}: the rms map of N draws converges to the analytic one like 1/√N",
        published="−0.5 (theory)",
        ours=Quantity(fit.slope, fit.slope_error),
        unit="log-log slope",
        verdict=within(Quantity(fit.slope, fit.slope_error), -0.5, TOLERANCE),
        how=f"{net}, statistic=rms, inputs=1, draws={', '.join(map(str, amounts))} against method=analytic",
        note=f"distance {found[0].value:.3f} at N = {amounts[0]}, {found[-1].value:.3f} at N = {amounts[-1]}",
    )


def _remaining_row(bench: Bench, amount: int) -> Row:
    """What is left between the analytic map of a ReLU net and the mean of all drawn ones."""
    truth = _unit(bench.measure(RELU, method="analytic", statistic="rms"))
    maps = np.stack(
        [_unit(_drawn(bench, RELU, amount, repeat)) for repeat in range(bench.choose(REPEATS, 2 * REPEATS))]
    )
    noise = float(np.linalg.norm(maps.std(axis=0, ddof=1))) / len(maps) ** 0.5
    rest = float(np.linalg.norm(maps.mean(axis=0) - truth))
    return Row(
        id="S2",
        claim="ReLU net: relative distance of the analytic map from the mean of all drawn ones",
        published="not given",
        ours=Quantity(rest, noise),
        verdict=Verdict.MEASURED,
        how=f"{RELU}, {len(maps)} × {amount} draws",
        note="the error is what the drawing's own noise leaves",
    )


def _chart(amounts: Sequence[int], distances: dict[str, list[Quantity]]) -> bytes:
    series: list[Series] = []
    for color, (net, found) in enumerate(distances.items()):
        fit = _fit(amounts, found)
        words = f"{net.removeprefix('preset:')}: N^{fit.slope:.2f}"
        values, errors = [one.value for one in found], [one.error or 0.0 for one in found]
        series.append(Series(words, amounts, values, errors, line=False, color=color))
        series.append(Series("", amounts, fit.at(amounts).tolist(), marks=False, dashed=True, color=color))
    axes = Axis("draws of the weights N", log=True), Axis("relative distance from the analytic map", log=True)
    return chart("Random weights against the analytic method", *axes, series)
