"""One measurement, start to end: network and request in, map and ErfResult out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest
from erfscope.contract.result import ErfResult, KeptMaps
from erfscope_engine.analytic import measure_analytically
from erfscope_engine.arithmetic import arithmetic
from erfscope_engine.average import most_units
from erfscope_engine.cone.unit import Place, cone_of, sharing
from erfscope_engine.ensemble import Ensemble, ensemble_of
from erfscope_engine.gradient import Forward, Probe, started
from erfscope_engine.heap import kept_heap
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.network import Network
from erfscope_engine.plan import trace_network
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.repeats import REPEATED, without_repeats
from erfscope_engine.report import Measured, build_result, geometry_of
from erfscope_engine.sampling import Sampled, Sampler, errors_of, new_average, sample
from erfscope_engine.stack import Stack, fits, stacked
from erfscope_engine.units import Unit, center_of, units_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Measurement:
    """The answer: the normalised map (maximum 1, the input's spatial shape) and everything said of it.

    `units_map` and `layers_map` are the maps of result.units and result.layers in their order, float32 of shape
    [n, *spatial], each with maximum 1; None where there are none, or where they would be too large (result.maps).
    """

    result: ErfResult
    map: NDArray[Any]
    units_map: Stack | None = None
    layers_map: Stack | None = None


@dataclass(frozen=True)
class Dead:
    """A unit whose gradient is exactly zero in every sample."""

    layer: str
    unit: Unit
    samples: int
    outside: bool  # its TRF lies beside the input: it sees padding only


MOST_NAMED = 8  # dead units or layers, in a note


@dataclass(frozen=True)
class _Order:
    """A request with what it needs, the same for all its units."""

    request: ErfRequest
    images: Sequence[NDArray[Any]]
    progress: Progress
    sampler: Sampler
    ensemble: Ensemble | None = None


def measure_network(
    network: Network,
    request: ErfRequest,
    at_most: int | None = None,
    *,
    images: Sequence[NDArray[Any]] = (),
    model_sha256: str | None = None,
    progress: Progress = lambda stage, share: None,
    sampler: Sampler = sample,
) -> Measurement:
    """Measure the effective receptive field that `request` asks for (Luo et al., NIPS 2016).

    `at_most` limits the micro-batch, where memory is short. `images` are float32 samples of the
    input's shape, for input.source = images; `progress` hears (stage, share done). `sampler` takes the samples.
    Raises ProblemError: invalid-target, no-spatial-layer, no-gradient, non-finite-output, unsupported-feature.
    """
    with arithmetic(request.dtype, network.device), kept_heap():
        if request.method == "analytic":
            return Measurement(
                *measure_analytically(network, request, images=images, model_sha256=model_sha256, progress=progress)
            )
        return _by_gradients(network, _Order(request, images, progress, sampler), at_most, model_sha256)


def _by_gradients(network: Network, order: _Order, at_most: int | None, model_sha256: str | None) -> Measurement:
    asked = order.request
    order, traced, layer = _planned(network, order, at_most)
    request = order.request
    main, units, dead_units = _units(order, traced, layer)
    profile, dead_layers = _profile(order, traced) if request.layers == "all" else ([], [])
    units_map, layers_map = stacked(units), stacked(profile)
    kept = KeptMaps(units=units_map is not None, layers=layers_map is not None)
    together = order.ensemble.draws if order.ensemble else 1
    repeated = [] if request is asked else [REPEATED.format(count=len(order.images))]
    notes = repeated + _left_out("unit", dead_units, len(units)) + _left_out("layer", dead_layers, len(profile))
    result = build_result(request, traced, main, units, profile, model_sha256, kept, together, notes)
    kind = np.float64 if request.dtype == "float64" else np.float32
    return Measurement(result, main.map.astype(kind), units_map, layers_map)


def _planned(network: Network, order: _Order, at_most: int | None = None) -> tuple[_Order, Traced, Layer]:
    """The network recorded for what is asked, with its ensemble where weights are re-drawn.

    The order's request is another object where the asked one would take the same samples again.
    """
    average, wanted = order.request.average, order.request.target.layer
    order.progress("trace", 0.0)
    fewer = without_repeats(order.request, len(order.images))
    if fewer is not None:
        traced, layer = trace_network(network, wanted, samples=len(order.images), at_most=at_most)
        if not _has_signs(order, traced, layer):
            return replace(order, request=fewer), traced, layer
    samples = average.until.at_most if average.until else average.inputs
    traced, layer = trace_network(network, wanted, samples=samples, at_most=at_most, draws=average.weights)
    if average.weights == 1:
        return order, traced, layer
    return replace(order, ensemble=ensemble_of(traced, layer, average.weights, samples, at_most)), traced, layer


def _has_signs(order: _Order, traced: Traced, layer: Layer) -> bool:
    """Whether channels that are left to the engine get random signs: then no two samples are the same."""
    if order.request.target.channels != "auto":
        return False
    first = units_of(order.request.target, layer)[0]
    return _started(order, traced, [(layer, first)])[0].start.probe.channels == "random"


def _units(order: _Order, traced: Traced, layer: Layer) -> tuple[Measured, list[Measured], list[Dead]]:
    """The wanted unit (of a grid the living one nearest to the centre), a row per living unit, and the dead ones."""
    places = [(layer, unit) for unit in units_of(order.request.target, layer)]
    many, keep = len(places) > 1, fits(len(places), traced.spatial_shape)
    nearest: list[Sampled] = []

    def finish(unit: Sampled) -> Measured | Dead:
        row = _dead(unit) or (_row(unit, keep) if many else None)
        if not isinstance(row, Dead):
            nearest[:] = [min([*nearest, unit], key=_from_center)]
        return row or _whole(unit)

    rows = _measure(order, traced, places, finish)
    _refuse_dead(rows)
    alive, dead = _parted(rows)
    return (_whole(nearest[0]), alive, dead) if many else (alive[0], [], [])


def _parted(rows: Sequence[Measured | Dead]) -> tuple[list[Measured], list[Dead]]:
    return [row for row in rows if isinstance(row, Measured)], [row for row in rows if isinstance(row, Dead)]


def _left_out(what: str, dead: Sequence[Dead], alive: int) -> list[str]:
    """What a reader misses among the rows."""
    if not dead:
        return []
    names = [row.layer if what == "layer" else str(list(row.unit)) for row in dead[:MOST_NAMED]]
    more = ", …" if len(dead) > MOST_NAMED else ""
    return [
        f"{len(dead)} of {alive + len(dead)} {what}s are left out, their gradient is exactly zero in every sample: "
        f"{', '.join(names)}{more}."
    ]


def _from_center(unit: Sampled) -> tuple[int, Unit]:
    layer, at = unit.start.probe.layer, unit.start.probe.unit
    return sum((i - c) ** 2 for i, c in zip(at, center_of(layer), strict=True)), at


Finish = Callable[[Sampled], Measured | Dead]


def _measure(order: _Order, traced: Traced, places: Sequence[Place], finish: Finish) -> list[Measured | Dead]:
    """Sample units and `finish` each; those that see much of the same share their forward runs."""
    found: dict[int, Measured | Dead] = {}
    for team, units in _sampled(order, traced, places):
        found |= {n: finish(unit) for n, unit in zip(team, units, strict=True)}
    return [found[n] for n in range(len(places))]


def _sampled(order: _Order, traced: Traced, places: Sequence[Place]) -> Iterator[tuple[list[int], list[Sampled]]]:
    adaptive = order.request.average.until is not None
    teams = [[n] for n in range(len(places))] if adaptive else _teams(traced, places)
    for number, team in enumerate(teams):
        units = _started(order, traced, [places[n] for n in team])
        order.sampler(units, order.request, partial(_report, order.progress, number, len(teams)))
        yield team, units


def sample_network(
    network: Network,
    request: ErfRequest,
    sampler: Sampler,
    *,
    images: Sequence[NDArray[Any]] = (),
    progress: Progress = lambda stage, share: None,
) -> None:
    """Give `sampler` every team of units that `measure_network` would, in its order, and make nothing of them."""
    with arithmetic(request.dtype, network.device), kept_heap():
        order, traced, layer = _planned(network, _Order(request, images, progress, sampler))
        wanted = [(layer, unit) for unit in units_of(request.target, layer)]
        every = [(layer, center_of(layer)) for layer in traced.layers] if request.layers == "all" else []
        for places in filter(None, (wanted, every)):
            for _ in _sampled(order, traced, places):
                pass


def _teams(traced: Traced, places: Sequence[Place]) -> list[list[int]]:
    """Which units run together; no more at once than their sums have room for."""
    most = most_units(traced.spatial_shape)
    return [team[n : n + most] for team in sharing(traced, places) for n in range(0, len(team), most)]


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
        average = new_average(start.probe, request, geometry, len(places))
        units.append(Sampled(start, geometry, average, order.ensemble))
    return units


def _dead(unit: Sampled) -> Dead | None:
    probe, average = unit.start.probe, unit.average
    if average.dead < average.used:
        return None
    return Dead(probe.layer.name, probe.unit, average.used, unit.geometry.trf_side_clipped == 0)


def _whole(unit: Sampled) -> Measured:
    """Everything of one unit."""
    return Measured.of(unit.start.probe, unit.average, errors_of(unit.average, unit.geometry))


def _row(unit: Sampled, keep: bool) -> Measured:
    """One unit of many, briefly; its map only where it is kept."""
    errors = errors_of(unit.average, unit.geometry, briefly=True)
    found = Measured.of(unit.start.probe, unit.average, errors, briefly=True)
    return replace(found, map=found.map.astype(np.float32) if keep else np.empty(0, np.float32))


def _refuse_dead(measured: Sequence[Measured | Dead]) -> None:
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


def _profile(order: _Order, traced: Traced) -> tuple[list[Measured], list[Dead]]:
    """The centre unit of every spatial layer, in the order of computation; and the dead ones, which have no row."""
    places = [(layer, center_of(layer)) for layer in traced.layers]
    keep = fits(len(places), traced.spatial_shape)
    return _parted(_measure(order, traced, places, lambda unit: _dead(unit) or _row(unit, keep)))
