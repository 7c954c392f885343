"""The sampling loop: how many samples, over how many weights, until when."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest, Statistic, Until
from erfscope_engine.average import Average
from erfscope_engine.cone.unit import cone_of
from erfscope_engine.gradient import Probe, Started, sample_gradients
from erfscope_engine.metrics import Geometry, flat_scalars, standard_errors
from erfscope_engine.plan import trace_network

Done = Callable[[float], None]
Errors = dict[str, float | None]
Gradients = NDArray[np.float64]
WATCHED = ("erf_size", "mass_50_side")  # what `until` makes precise


def sample(start: Started, request: ErfRequest, geometry: Geometry, done: Done) -> tuple[Average, Errors]:
    """Average the gradients of a probe as `request.average` says; returns the average and standard errors."""
    average, total = new_average(start.probe, request, geometry), request.average.weights * request.average.inputs
    sample_part(start, request, average, (0, total), partial(_report, done, total))
    errors, until = errors_of(average, geometry), request.average.until
    grows = until is not None and request.average.weights == 1
    while grows and until and average.used < until.at_most and not _precise(average, errors, geometry, until):
        part = (average.used, min(2 * average.used, until.at_most))
        sample_part(start, request, average, part, partial(_report, done, until.at_most))
        errors = errors_of(average, geometry)
    return average, errors


def _report(done: Done, most: int, used: int) -> None:
    done(used / most)


def new_average(probe: Probe, request: ErfRequest, geometry: Geometry) -> Average:
    """An empty average for the samples that `request` asks for; parts of one request all start from such a one."""
    window = tuple(probe.box[k] for k in probe.traced.space)
    channels = int(np.prod(probe.traced.network.input_shape)) // int(np.prod(geometry.shape))
    statistic = Statistic.RELU if request.protocol == "replknet" else request.average.statistic
    clusters = request.average.weights if request.average.weights > 1 else request.average.inputs
    return Average.planned(geometry.shape, window, channels, statistic, clusters)


def sample_part(
    start: Started, request: ErfRequest, average: Average, part: tuple[int, int], done: Callable[[int], None]
) -> None:
    """Take samples part[0] … part[1] − 1 into `average`; draw w of the weights holds samples w·inputs and on."""
    inputs, draws = request.average.inputs, request.average.weights
    for weight in range(draws):
        first, stop = (max(part[0], weight * inputs), min(part[1], (weight + 1) * inputs)) if draws > 1 else part
        if first >= stop:
            continue
        at = _redrawn(start.probe, weight) if weight else start.probe
        for k in range(first, stop, at.batch):
            g = start.first if k == 0 else sample_gradients(at, k)
            _take(average, at, g, k, stop, weight if draws > 1 else None)
            done(average.used)


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


def _redrawn(probe: Probe, weight: int) -> Probe:
    """New weights, and a new tape: constants that come from weights were folded into the old one."""
    network = probe.traced.network
    if network.redraw is None:
        raise ProblemError(
            "unsupported-feature", "average.weights > 1 needs weights that can be re-drawn; set `weights`."
        )
    network.redraw(weight)
    traced, layer = trace_network(network, probe.layer.name, samples=probe.batch, at_most=probe.batch)
    return replace(probe, traced=traced, layer=layer, cone=cone_of(traced, layer, probe.unit))


def errors_of(average: Average, geometry: Geometry) -> Errors:
    """Jackknife standard errors of every scalar; none from a single group."""
    means, counts = average.group_means()
    if len(counts) < 2:
        return {}
    return standard_errors(means, counts.astype(float), geometry, finish=average.finish)


def _precise(average: Average, errors: Errors, geometry: Geometry, until: Until) -> bool:
    if average.dead == average.used:
        return False
    now = flat_scalars(average.map(), geometry)
    return all(_within(errors.get(name), now.get(name), until.relative_error) for name in WATCHED)


def _within(error: float | None, value: float | None, relative: float) -> bool:
    return error is not None and bool(value) and error <= relative * (value or 0)
