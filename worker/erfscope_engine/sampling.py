"""The sampling loop: how many samples, over how many weights, until when."""

from collections.abc import Callable
from dataclasses import replace

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
LARGEST_STORE = 1 << 24  # numbers kept for the groups that standard errors come from
MOST_GROUPS = 64
WATCHED = ("erf_size", "mass_50_side")  # what `until` makes precise


def sample(start: Started, request: ErfRequest, geometry: Geometry, done: Done) -> tuple[Average, Errors]:
    """Average the gradients of a probe as `request.average` says; returns the average and standard errors."""
    probe = start.probe
    statistic = Statistic.RELU if request.protocol == "replknet" else request.average.statistic
    window = tuple(probe.box[k] for k in probe.traced.space)
    channels = int(np.prod(probe.traced.network.input_shape)) // int(np.prod(geometry.shape))
    average = Average(geometry.shape, window, channels, statistic, _groups(request, geometry))
    draws, count = request.average.weights, request.average.inputs
    for weight in range(draws):
        at = _redrawn(probe, weight) if weight else probe
        for first in range(weight * count, (weight + 1) * count, at.batch):
            g = start.first if first == 0 else sample_gradients(at, first)
            _take(average, at, g, first, (weight + 1) * count, weight if draws > 1 else None)
            done(average.used / (draws * count))
    errors = errors_of(average, geometry)
    until = request.average.until
    while until and draws == 1 and average.used < until.at_most and not _precise(average, errors, geometry, until):
        stop = min(2 * average.used, until.at_most)
        for first in range(average.used, stop, probe.batch):
            _take(average, probe, sample_gradients(probe, first), first, stop, None)
            done(average.used / until.at_most)
        errors = errors_of(average, geometry)
    return average, errors


def _groups(request: ErfRequest, geometry: Geometry) -> int:
    """As many groups as memory allows; draws of the weights are never torn apart, their inputs are not independent."""
    if request.average.weights > 1:
        clusters = request.average.weights
    else:
        clusters = request.average.until.at_most if request.average.until else request.average.inputs
    return max(min(clusters, MOST_GROUPS, LARGEST_STORE // int(np.prod(geometry.shape))), min(clusters, 8))


def _take(average: Average, probe: Probe, g: Gradients, first: int, stop: int, cluster: int | None) -> None:
    """One micro-batch of gradients; samples at or beyond `stop` ride along uncounted, so that every batch has the same shape."""
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
