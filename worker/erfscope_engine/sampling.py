"""The sampling loop: how many samples, over how many weights, until when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest, Statistic, Until
from erfscope_engine.average import Average
from erfscope_engine.cone.unit import cone_of
from erfscope_engine.gradient import Forward, Probe, Started, sample_gradients
from erfscope_engine.metrics import Geometry, flat_scalars, standard_errors
from erfscope_engine.plan import trace_network

Done = Callable[[float], None]
Errors = dict[str, float | None]
Gradients = NDArray[np.float64]
WATCHED = ("erf_size", "mass_50_side")  # what `until` makes precise


@dataclass(frozen=True)
class Sampled:
    """A unit on its way: how it is excited, where it sits, and the average so far."""

    start: Started
    geometry: Geometry
    average: Average


def sample(units: Sequence[Sampled], request: ErfRequest, done: Done) -> None:
    """Take the samples that `request.average` asks for into every unit's average; the units share one cone."""
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
    """Take samples part[0] … part[1] − 1; draw w of the weights holds samples w·inputs and on."""
    inputs, draws = request.average.inputs, request.average.weights
    for weight in range(draws):
        first, stop = (max(part[0], weight * inputs), min(part[1], (weight + 1) * inputs)) if draws > 1 else part
        if first >= stop:
            continue
        probes = [unit.start.probe for unit in units]
        probes = _redrawn(probes, weight) if weight else probes
        for k in range(first, stop, probes[0].batch):
            for unit, probe in zip(units, probes, strict=True):
                g = unit.start.first if k == 0 else sample_gradients(probe, k)
                _take(unit.average, probe, g, k, stop, weight if draws > 1 else None)
            done(units[0].average.used)


def _take(average: Average, probe: Probe, g: Gradients, first: int, stop: int, cluster: int | None) -> None:
    """One micro-batch of gradients; samples from `stop` on ride along uncounted: every batch has one shape."""
    space = tuple(k - 1 for k in probe.traced.space)
    if not np.isfinite(g).all():
        raise ProblemError(
            "non-finite-output",
            f"The gradient of layer {probe.layer.name!r} is infinite or NaN from sample {first} on; look at the weights"
            ", and try dtype float32 or float64 if it is a shorter one.",
            layer=probe.layer.name,
        )
    channels = tuple(k for k in range(g.ndim - 1) if k not in space)
    for n in range(min(len(g), stop - first)):
        average.add(g[n], first + n if cluster is None else cluster, channels)


def _redrawn(probes: Sequence[Probe], weight: int) -> list[Probe]:
    """New weights, and a new tape: constants that come from weights were folded into the old one."""
    old = probes[0].forward
    network = old.traced.network
    if network.redraw is None:
        raise ProblemError(
            "unsupported-feature", "average.weights > 1 needs weights that can be re-drawn; set `weights`."
        )
    network.redraw(weight)
    batch, name = old.traced.tape.batch, probes[-1].layer.name
    traced, _ = trace_network(network, name, samples=batch, at_most=batch)
    layers = [traced.layer(probe.layer.name) for probe in probes]
    cone = cone_of(traced, [(layer, probe.unit) for layer, probe in zip(layers, probes, strict=True)])
    forward = Forward(traced, cone, old.seed, old.source, old.images)
    return [
        replace(probe, forward=forward, target=n, layer=layer)
        for n, (probe, layer) in enumerate(zip(probes, layers, strict=True))
    ]


def errors_of(average: Average, geometry: Geometry) -> Errors:
    """Jackknife standard errors of every scalar; none from a single group."""
    means, counts = average.group_means()
    if len(counts) < 2:
        return {}
    return standard_errors(means, counts.astype(float), geometry, finish=average.finish)


def _precise(unit: Sampled, until: Until) -> bool:
    if unit.average.dead == unit.average.used:
        return False
    errors = errors_of(unit.average, unit.geometry)
    now = flat_scalars(unit.average.map(), unit.geometry)
    return all(_within(errors.get(name), now.get(name), until.relative_error) for name in WATCHED)


def _within(error: float | None, value: float | None, relative: float) -> bool:
    return error is not None and bool(value) and error <= relative * (value or 0)
