"""One measurement, start to end: network and request in, map and ErfResult out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest
from erfscope.contract.result import ErfResult
from erfscope_engine.cone.unit import Place, cone_of, sharing
from erfscope_engine.gradient import Forward, Probe, started
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.network import Network
from erfscope_engine.plan import trace_network
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.report import Measured, build_result, geometry_of
from erfscope_engine.sampling import Sampled, errors_of, new_average, sample
from erfscope_engine.units import Unit, center_of, units_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Measurement:
    """The answer: the normalised map (maximum 1, the input's spatial shape) and everything said of it."""

    result: ErfResult
    map: NDArray[Any]


@dataclass(frozen=True)
class Dead:
    """A unit whose gradient is exactly zero in every sample."""

    layer: str
    unit: Unit
    samples: int
    outside: bool  # its TRF lies beside the input: it sees padding only


@dataclass(frozen=True)
class _Order:
    """A request with what it needs, the same for all its units."""

    request: ErfRequest
    images: Sequence[NDArray[Any]]
    progress: Progress


def measure_network(
    network: Network,
    request: ErfRequest,
    at_most: int | None = None,
    *,
    images: Sequence[NDArray[Any]] = (),
    model_sha256: str | None = None,
    progress: Progress = lambda stage, share: None,
) -> Measurement:
    """Measure the effective receptive field that `request` asks for (Luo et al., NIPS 2016).

    `at_most` limits the micro-batch, where memory is short. `images` are float32 samples of the
    input's shape, for input.source = images; `progress` hears (stage, share done).
    Raises ProblemError: invalid-target, no-spatial-layer, no-gradient, non-finite-output, unsupported-feature.
    """
    if request.method == "analytic":
        raise ProblemError(
            "unsupported-feature",
            "method 'analytic' is not in this version; 'gradient' with average.weights > 1 averages over weights.",
        )
    order = _Order(request, images, progress)
    progress("trace", 0.0)
    planned = request.average.until.at_most if request.average.until else request.average.inputs
    traced, layer = trace_network(network, request.target.layer, samples=planned, at_most=at_most)
    units = units_of(request.target, layer)
    measured = _measure(order, traced, [(layer, unit) for unit in units])
    _refuse_dead(measured)
    alive = [unit for unit in measured if isinstance(unit, Measured)]
    profile = _profile(order, traced) if request.layers == "all" else []
    main = min(alive, key=lambda unit: _from_center(layer, unit.probe.unit))
    result = build_result(request, traced, main, alive, profile, model_sha256)
    kind = np.float64 if request.dtype == "float64" else np.float32
    return Measurement(result, main.map.astype(kind))


def _from_center(layer: Layer, unit: Unit) -> int:
    return sum((i - c) ** 2 for i, c in zip(unit, center_of(layer), strict=True))


def _measure(order: _Order, traced: Traced, places: Sequence[Place], *, briefly: bool = False) -> list[Measured | Dead]:
    """Measure units; those that see much of the same share their forward runs. `briefly` leaves out errors and fits."""
    adaptive = order.request.average.until is not None
    teams = [[n] for n in range(len(places))] if adaptive else sharing(traced, places)
    found: dict[int, Measured | Dead] = {}
    for number, team in enumerate(teams):
        units = _started(order, traced, [places[n] for n in team])
        sample(units, order.request, partial(_report, order.progress, number, len(teams)))
        found |= {n: _finished(traced, unit, briefly) for n, unit in zip(team, units, strict=True)}
    return [found[n] for n in range(len(places))]


def _report(progress: Progress, number: int, teams: int, share: float) -> None:
    progress("measure", (number + share) / teams)


def _started(order: _Order, traced: Traced, places: Sequence[Place]) -> list[Sampled]:
    request, wanted = order.request, order.request.target.channels
    channels = wanted if isinstance(wanted, str) else tuple(wanted)
    forward = Forward(traced, cone_of(traced, places), request.average.seed, request.input.source, order.images)
    units = []
    for n, (layer, unit) in enumerate(places):
        geometry = geometry_of(receptive_field_of(traced, layer, unit))
        start = started(Probe(forward, n, layer, unit, channels, rectified=request.protocol == "replknet"))
        units.append(Sampled(start, geometry, new_average(start.probe, request, geometry, len(places))))
    return units


def _finished(traced: Traced, unit: Sampled, briefly: bool) -> "Measured | Dead":
    probe, average = unit.start.probe, unit.average
    if average.dead == average.used:
        return Dead(probe.layer.name, probe.unit, average.used, unit.geometry.trf_side_clipped == 0)
    errors = {} if briefly else errors_of(average, unit.geometry)
    return Measured.of(probe, receptive_field_of(traced, probe.layer, probe.unit), average, errors, briefly=briefly)


def _refuse_dead(measured: Sequence["Measured | Dead"]) -> None:
    """A single dead unit is the answer to nothing; in a grid it is left out."""
    dead = [unit for unit in measured if isinstance(unit, Dead)]
    if len(dead) == len(measured):
        first = dead[0]
        why = (
            "its TRF lies wholly in the padding"
            if first.outside
            else "the unit is dead (a ReLU at 0 sends nothing back), or what it reads does not depend on the input"
        )
        raise ProblemError(
            "no-gradient",
            f"The gradient of layer {first.layer!r} at unit {list(first.unit)} is exactly zero in all {first.samples} "
            f"samples: {why}. Name another layer, unit or channels.",
            layer=first.layer,
        )


def _profile(order: _Order, traced: Traced) -> list[Measured]:
    """The centre unit of every spatial layer, in the order of computation; dead ones are left out."""
    rows = _measure(order, traced, [(layer, center_of(layer)) for layer in traced.layers], briefly=True)
    return [row for row in rows if isinstance(row, Measured)]
