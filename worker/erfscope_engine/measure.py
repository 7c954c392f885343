"""One measurement, start to end: network and request in, map and ErfResult out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import KeptMaps
from erfscope_engine.arithmetic import arithmetic
from erfscope_engine.by_expectation import expecting
from erfscope_engine.by_gradient import ByGradient
from erfscope_engine.ensemble import ensemble_of
from erfscope_engine.heap import kept_heap
from erfscope_engine.layers import Layer, Place
from erfscope_engine.measurement import Measurement
from erfscope_engine.network import Network
from erfscope_engine.plan import center_place, passing_over, plan_for
from erfscope_engine.profiled import profiled
from erfscope_engine.repeats import REPEATED, without_repeats
from erfscope_engine.report import Measured, Rows, Said, build_result
from erfscope_engine.sampling import Sampler, sample
from erfscope_engine.stack import fits, stacked
from erfscope_engine.taking import Method, Order, Progress, Taken
from erfscope_engine.units import places_of

MOST_NAMED = 8  # dead units or layers, in a note
NO_SCRIPT = (
    "Protocol both: r has no value, because the script puts a ReLU on the unit's outputs, and they are below 0 in "
    "every sample."
)
MOST_REFUSED = 8  # layers without a gradient that `auto` tries


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
            with expecting(network, request) as expectation:
                order = Order(request, plan_for(network, request.target.layer, samples=1), images, progress)
                return _measured(order, expectation, model_sha256)
        order, method = _by_gradients(network, request, images, progress, sampler, at_most)
        repeated = [] if order.request is request else [REPEATED.format(count=len(images))]
        return _measured(order, method, model_sha256, repeated)


def _measured(order: Order, method: Method, model_sha256: str | None, notes: Sequence[str] = ()) -> Measurement:
    """The wanted units and the profile, taken by a method, as a result."""
    places, layers = places_of(order.request.target, order.plan.layer), profiled(order.plan.traced, order.request)
    protocol = order.request.protocol
    of_units, of_script, of_profile = _parts(order, len(places), int(protocol == "both"), len(layers))
    main, units, dead_units = _units(of_units, method, places)
    script = _script(of_script, method, main) if protocol == "both" else main if protocol == "replknet" else None
    profile, dead_layers = _profile(of_profile, method, layers) if layers else ([], [])
    units_map, layers_map = stacked([u.map for u in units]), stacked([row.map for row in profile])
    without_r = [NO_SCRIPT] if protocol == "both" and script is None else []
    left = without_r + _left_out("unit", dead_units, len(units)) + _left_out("layer", dead_layers, len(profile))
    ensemble = method.ensemble if isinstance(method, ByGradient) else None
    said = Said(
        model_sha256, ensemble.draws if ensemble else 1, [*notes, *left], method.autograd(order),
        method.verified(order, main.taken.place),
    )  # fmt: skip
    rows = Rows(main, script, units, profile, KeptMaps(units=units_map is not None, layers=layers_map is not None))
    kind = np.float64 if order.request.dtype == "float64" else np.float32
    return Measurement(build_result(order, rows, said), main.map.astype(kind), units_map, layers_map)


def _by_gradients(
    network: Network,
    request: ErfRequest,
    images: Sequence[NDArray[Any]],
    progress: Progress,
    sampler: Sampler,
    at_most: int | None = None,
) -> tuple[Order, ByGradient]:
    """The network planned for what is asked, with its ensemble where weights are re-drawn.

    The order's request is another object where the asked one would take the same samples again. Of layers that `auto`
    would take, those without a gradient in the first samples are passed over.
    """
    progress("trace", 0.0)
    order, method = _planned(network, request, images, progress, sampler, at_most)
    progress("measure", 0.0)  # a layer is judged by samples that count
    refused: dict[str, str] = {}
    left_to_us = request.target.layer == "auto" and request.target.unit == "center"
    while left_to_us and order.plan.layer.name not in refused and len(refused) < MOST_REFUSED:
        why = method.is_dead(order, places_of(request.target, order.plan.layer)[0])
        if not why:
            break
        refused[order.plan.layer.name] = why
        order = replace(order, plan=passing_over(order.plan, refused))
    return order, method


def _planned(
    network: Network,
    request: ErfRequest,
    images: Sequence[NDArray[Any]],
    progress: Progress,
    sampler: Sampler,
    at_most: int | None,
) -> tuple[Order, ByGradient]:
    average, wanted = request.average, request.target.layer
    fewer = without_repeats(request, len(images))
    if fewer is not None:
        plan = plan_for(network, wanted, samples=len(images), at_most=at_most)
        if not _has_signs(Order(request, plan, images, progress), sampler):
            return Order(fewer, plan, images, progress), ByGradient(sampler)
    samples = average.until.at_most if average.until else average.inputs
    plan = plan_for(network, wanted, samples=samples, at_most=at_most, draws=average.weights)
    ensemble = ensemble_of(plan, average.weights, samples, at_most) if average.weights > 1 else None
    if ensemble is not None:
        plan = replace(plan, traced=ensemble.traced, layer=ensemble.traced.layer(plan.layer.name))
    return Order(request, plan, images, progress), ByGradient(sampler, ensemble)


def _has_signs(order: Order, sampler: Sampler) -> bool:
    """Whether channels that are left to the engine get random signs: then no two samples are the same."""
    if order.request.target.channels != "auto":
        return False
    first = places_of(order.request.target, order.plan.layer)[0]
    return ByGradient(sampler).channels(order, first) == "random"


def _units(order: Order, method: Method, places: Sequence[Place]) -> tuple[Measured, list[Measured], list[Taken]]:
    """The wanted unit (of a grid the living one nearest to the centre), a row per living unit, and the dead ones."""
    if len(places) == 1:
        ((_, taken),) = method.take(order, places)
        _refuse_dead([taken])
        return Measured.of(taken), [], []
    keep = fits(len(places), order.plan.traced.spatial_shape)
    nearest, rows, dead = list[Taken](), dict[int, Measured](), dict[int, Taken]()
    for n, taken in method.take(order, places):
        if taken.is_dead:
            dead[n] = taken
            continue
        rows[n] = _row(taken, keep)
        nearest[:] = [min([*nearest, taken], key=_from_center)]
    if not rows:
        _refuse_dead(list(dead.values()))
    return Measured.of(nearest[0]), [rows[n] for n in sorted(rows)], [dead[n] for n in sorted(dead)]


def _parts(order: Order, *units: int) -> list[Order]:
    """The order for each part of the work, in turn; `units` are how many each measures, and progress is over all."""
    total = sum(units)

    def part(before: int, count: int) -> Progress:
        return lambda stage, share: order.progress(stage, (before + share * count) / total)

    return [replace(order, progress=part(sum(units[:n]), count)) for n, count in enumerate(units)]


def _by_script(order: Order, samples: int) -> Order:
    """The order by RepLKNet's script, over as many samples: beside protocol erfscope it is for r alone."""
    average = order.request.average
    fixed = average if average.until is None else average.model_copy(update={"inputs": samples, "until": None})
    return replace(order, request=order.request.model_copy(update={"protocol": "replknet", "average": fixed}))


def _script(order: Order, method: Method, main: Measured) -> Measured | None:
    """The main unit by RepLKNet's script; None where its gradient is 0 in every sample."""
    order = _by_script(order, main.taken.samples.used)
    ((_, taken),) = method.take(order, [main.taken.place])
    return None if taken.is_dead else Measured.of(taken, briefly=True)


def _profile(order: Order, method: Method, layers: Sequence[Layer]) -> tuple[list[Measured], list[Taken]]:
    """The centre unit of the layers, in the order of computation; and the dead ones, which have no row."""
    places = [center_place(layer) for layer in layers]
    keep = fits(len(places), order.plan.traced.spatial_shape)
    rows, dead = dict[int, Measured](), dict[int, Taken]()
    for n, taken in method.take(order, places):
        if taken.is_dead:
            dead[n] = taken
        else:
            rows[n] = _row(taken, keep)
    return [rows[n] for n in sorted(rows)], [dead[n] for n in sorted(dead)]


def _row(taken: Taken, keep: bool) -> Measured:
    """One unit of many, briefly; its map only where it is kept."""
    row = Measured.of(taken, briefly=True)
    return replace(row, map=row.map.astype(np.float32) if keep else np.empty(0, np.float32))


def _from_center(taken: Taken) -> tuple[int, tuple[int, ...]]:
    at = taken.place.unit
    return sum((i - c) ** 2 for i, c in zip(at, taken.layer.center, strict=True)), at


def _left_out(what: str, dead: Sequence[Taken], alive: int) -> list[str]:
    """What a reader misses among the rows."""
    if not dead:
        return []
    names = [row.layer.name if what == "layer" else str(list(row.place.unit)) for row in dead[:MOST_NAMED]]
    more = ", …" if len(dead) > MOST_NAMED else ""
    return [
        f"{len(dead)} of {alive + len(dead)} {what}s are left out, their gradient is exactly zero in every sample: "
        f"{', '.join(names)}{more}."
    ]


def _refuse_dead(units: Sequence[Taken]) -> None:
    """A single dead unit is the answer to nothing; in a grid it is left out."""
    if not all(unit.is_dead for unit in units):
        return
    first = units[0]
    why = (
        "its TRF lies wholly in the padding"
        if first.geometry.trf_side_clipped == 0
        else "the unit is dead (a ReLU at 0 sends nothing back), or what it reads does not depend on the input"
    )
    raise ProblemError(
        "no-gradient",
        f"The gradient of layer {first.layer.name!r} at unit {list(first.place.unit)} is exactly zero in all "
        f"{first.samples.used} samples: {why}. Name another layer, unit or channels.",
        layer=first.layer.name,
    )


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
        order, method = _by_gradients(network, request, images, progress, sampler)
        wanted = places_of(request.target, order.plan.layer)
        every = [center_place(layer) for layer in profiled(order.plan.traced, order.request)]
        scripts = wanted if request.protocol == "both" else []
        by_script = _by_script(order, request.average.inputs)
        for part, places in ((order, wanted), (by_script, scripts), (order, every)):
            if places:
                _exhaust(method.take(part, places))


def _exhaust(taken: Iterator[object]) -> None:
    for _ in taken:
        pass
