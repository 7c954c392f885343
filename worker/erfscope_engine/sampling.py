"""The sampling loop: how many samples, over how many weights, until when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.problem import ProblemError
from erfscope_contract.replknet import ratio_name
from erfscope_contract.request import ErfRequest, Statistic, Until
from erfscope_engine.average import Average
from erfscope_engine.ensemble import Ensemble
from erfscope_engine.gradient import Forward, Probe, Started, executor_for, sample_gradients
from erfscope_engine.layers import Place, Traced
from erfscope_engine.metrics import Geometry, errors_by, flat_scalars, smooth_ratio, standard_errors
from erfscope_engine.receptive import ReceptiveField

Done = Callable[[float], None]
Errors = dict[str, float | None]
Gradients = NDArray[Any]
WATCHED = ("erf_size", "mass_50_side")  # what `until` makes precise


@dataclass(frozen=True)
class Sampled:
    """A unit on its way: how it is excited, where it sits, the average so far, and over which draws of the weights."""

    start: Started
    field: ReceptiveField
    geometry: Geometry
    average: Average
    ensemble: Ensemble | None = None


Sampler = Callable[[Sequence[Sampled], ErfRequest, Done], None]  # takes a request's samples into averages


def sample(units: Sequence[Sampled], request: ErfRequest, done: Done) -> None:
    """Take the samples that `request.average` asks for into every unit's average; the units share one program."""
    until, total = request.average.until, request.average.weights * request.average.inputs
    total = min(total, until.at_most) if until else total
    sample_part(units, request, (0, total), partial(_report, done, total))
    if until is None:
        return
    for unit in units:
        average = unit.average
        while average.used < until.at_most and not _precise(unit, until):
            part = (average.used, min(2 * average.used, until.at_most))
            sample_part([unit], request, part, partial(_report, done, until.at_most))


def _report(done: Done, most: int, used: int) -> None:
    done(used / most)


def new_average(probe: Probe, request: ErfRequest, geometry: Geometry, units: int = 1) -> Average:
    """An empty average for the samples that `request` asks for, one of `units`; parts of a request start from such."""
    window = tuple(probe.box[k] for k in probe.traced.space)
    channels = int(np.prod(probe.traced.network.input_shape)) // int(np.prod(geometry.shape))
    statistic = Statistic.RELU if request.protocol == "replknet" else request.average.statistic
    clusters = request.average.weights if request.average.weights > 1 else request.average.inputs
    return Average.planned(geometry.shape, window, channels, statistic, clusters, units)


def sample_part(
    units: Sequence[Sampled], request: ErfRequest, part: tuple[int, int], done: Callable[[int], None]
) -> None:
    """Take samples part[0] … part[1] − 1; draw w of the weights holds samples w·inputs and on.

    Samples beyond the part may ride along uncounted: every batch has one shape.
    """
    if units[0].ensemble is not None:
        _sample_draws(units, units[0].ensemble, request.average.inputs, part, done)
        return
    probes = [unit.start.probe for unit in units]
    for first in range(*part, probes[0].batch):
        numbers = range(first, first + probes[0].batch)
        for unit, probe in zip(units, probes, strict=True):
            g = unit.start.first if first == 0 else sample_gradients(probe, numbers)
            _take(unit.average, probe, g, [(n, k) for n, k in enumerate(numbers) if k < part[1]])
        done(units[0].average.used)


def _sample_draws(
    units: Sequence[Sampled], ensemble: Ensemble, inputs: int, part: tuple[int, int], done: Callable[[int], None]
) -> None:
    """Draws run together in groups that start at their multiples, so that a part has the bytes of the whole."""
    draws = ensemble.draws
    begin = part[0] // (inputs * draws) * draws
    for group in range(begin, -(-part[1] // inputs), draws):
        probes = _bound([unit.start.probe for unit in units], ensemble.at(group))
        for first in range(0, inputs, ensemble.rows):
            rows = [(group + n % draws, first + n // draws) for n in range(draws * ensemble.rows)]
            numbers = [draw * inputs + k for draw, k in rows]
            wanted = [k < inputs and part[0] <= number < part[1] for (_, k), number in zip(rows, numbers, strict=True)]
            counted = [(n, draw) for n, (draw, _) in enumerate(rows) if wanted[n]]
            for unit, probe in zip(units, probes, strict=True):
                _take(unit.average, probe, sample_gradients(probe, numbers), counted)
            done(units[0].average.used)
    assert ensemble.traced.network.redraw is not None
    ensemble.traced.network.redraw(0)  # whoever starts next, starts from the first draw


def _take(average: Average, probe: Probe, g: Gradients, counted: Sequence[tuple[int, int]]) -> None:
    """Of one micro-batch of gradients, the counted rows, each with the cluster it belongs to."""
    space = tuple(k - 1 for k in probe.traced.space)
    channels = tuple(k for k in range(g.ndim - 1) if k not in space)
    for row, cluster in counted:
        try:
            average.add(g[row], cluster, channels)
        except FloatingPointError:
            raise ProblemError(
                "non-finite-output",
                f"The gradient of layer {probe.layer.name!r} is infinite or NaN; look at the weights, and try dtype "
                "float32 or float64 if it is a shorter one.",
                layer=probe.layer.name,
            ) from None


def _bound(probes: Sequence[Probe], traced: Traced) -> list[Probe]:
    """The same units of the network with other weights."""
    old = probes[0].forward
    places = [Place(traced.layer(p.layer.name), p.unit, p.place.by_index) for p in probes]
    forward = Forward(traced, executor_for(traced, places), old.seed, old.source, old.images)
    return [replace(p, forward=forward, target=n, place=places[n]) for n, p in enumerate(probes)]


def errors_of(average: Average, geometry: Geometry, *, briefly: bool = False) -> Errors:
    """Jackknife standard errors of every scalar (of sizes, mass areas and sigmas alone); none from a single group."""
    means, counts = average.group_means()
    if len(counts) < 2:
        return {}
    return standard_errors(means, counts.astype(float), geometry, average.finish, briefly=briefly)


def errors_of_ratios(average: Average, scale: int) -> Errors:
    """Standard errors of RepLKNet's r, at the gradients' own scale; none where the input has not two axes."""
    if len(average.shape) != 2:
        return {}

    def ratios(mean: NDArray[np.float64]) -> Errors:
        raw = average.finish(mean) * 2.0**-scale * average.channels  # the script sums over colours
        return {ratio_name(share): r for share, r in smooth_ratio(raw).items()}

    return errors_by(ratios, *average.group_means())


def _precise(unit: Sampled, until: Until) -> bool:
    if unit.average.dead == unit.average.used:
        return False
    errors = errors_of(unit.average, unit.geometry)
    now = flat_scalars(unit.average.map(), unit.geometry)
    return all(_within(errors.get(name), now.get(name), until.relative_error) for name in WATCHED)


def _within(error: float | None, value: float | None, relative: float) -> bool:
    return error is not None and bool(value) and error <= relative * (value or 0)
