"""One analytic measurement, start to end: the expected squared gradient of every wanted unit, as an ErfResult."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest, Source, Statistic
from erfscope.contract.result import ErfResult, KeptMaps, Samples
from erfscope_engine.analytic.moments import Moments
from erfscope_engine.analytic.program import OutOfRangeError, Pass, Program
from erfscope_engine.cone.box import lengths
from erfscope_engine.cone.unit import Place, cone_of, sharing
from erfscope_engine.gradient import Forward, Probe
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.metrics import brief_metrics, measure_map
from erfscope_engine.network import Network
from erfscope_engine.plan import trace_network
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.report import Measured, build_result, geometry_of
from erfscope_engine.stack import Stack, stacked
from erfscope_engine.units import center_of, units_of

Progress = Callable[[str, float], None]
Array = NDArray[np.float64]
Answer = tuple[ErfResult, NDArray[Any], Stack | None, Stack | None]  # a Measurement's parts
EXPECTED = {"drawn": "the expectation is over weights drawn by their schemes, independently",
            "given": "given weights are squared: the expectation is over independent signs of them"}  # fmt: skip
SIGNED = "the channel sum is taken as its expectation over random signs of the channels"
GAUSSIAN = "statistic '{statistic}' is that of a Gaussian gradient of the expected square"
NORMAL = math.sqrt(2 / math.pi)  # E|g| of a Gaussian of variance 1

# From expected squares (channels first) to a map; a Gaussian gradient is taken for what is no mean square.
STATISTICS: dict[Statistic, Callable[[Array], Array]] = {
    Statistic.RMS: lambda squares: np.sqrt(squares.mean(axis=0)),
    Statistic.ABS: lambda squares: NORMAL * np.sqrt(squares).mean(axis=0),
    Statistic.RELU: lambda squares: NORMAL / 2 * np.sqrt(squares).mean(axis=0),
}


@dataclass(frozen=True)
class _Order:
    """A request with what it needs, the same for all its units."""

    request: ErfRequest
    traced: Traced
    images: Sequence[NDArray[Any]]
    drawn: bool
    notes: dict[str, None]
    progress: Progress


def measure_analytically(
    network: Network,
    request: ErfRequest,
    *,
    images: Sequence[NDArray[Any]] = (),
    model_sha256: str | None = None,
    progress: Progress = lambda stage, share: None,
) -> Answer:
    """The expected ERF of a request in one pass forward and one back per unit (Luo et al. 2016, section 2).

    Weights that a scheme draws are random: the map is the root of the mean square gradient over their draws, exact for
    linear networks and for chains of convolutions and ReLUs. Given weights are squared. Nothing is sampled: samples are
    0, and there are no standard errors. Raises ProblemError: unsupported-feature where an operator has no expectation
    here or weights are not drawn around 0, and what a measurement by gradient raises.
    """
    _refuse(request)
    progress("trace", 0.0)
    drawn = network.spread is not None
    try:
        if network.spread is not None:
            network.spread()
        return _measured(network, request, images, model_sha256, progress, drawn=drawn)
    finally:
        if drawn and network.redraw is not None:
            network.redraw(0)


def _refuse(request: ErfRequest) -> None:
    if request.average.statistic is Statistic.SIGNED:
        raise ProblemError(
            "unsupported-feature",
            "average.statistic 'signed' has the expectation 0 under method 'analytic'; ask for rms or abs.",
        )
    if request.average.weights > 1 or request.average.until is not None:
        asked = "until" if request.average.until is not None else "weights > 1 (draws)"
        raise ProblemError(
            "unsupported-feature",
            f"average.{asked} is for sampled gradients, and method 'analytic' samples nothing: its expectation is over "
            "all draws at once. Leave it out, or use method 'gradient'.",
        )
    if request.protocol == "replknet":
        raise ProblemError(
            "unsupported-feature",
            "protocol 'replknet' is defined on sampled gradients; use it with method 'gradient'.",
        )


def _measured(
    network: Network,
    request: ErfRequest,
    images: Sequence[NDArray[Any]],
    model_sha256: str | None,
    progress: Progress,
    *,
    drawn: bool,
) -> Answer:
    traced, layer = trace_network(network, request.target.layer, samples=1)
    order = _Order(request, traced, images, drawn, {}, progress)
    main, units = _units(order, layer)
    profile: list[Measured] = []
    if request.layers == "all":
        rows = _maps(order, [(one, center_of(one)) for one in traced.layers], briefly=True)
        profile = [row for row in rows if row is not None]
    signed = [SIGNED] if request.target.channels == "sum" else []
    statistic = request.average.statistic
    taken = [] if statistic is Statistic.RMS else [GAUSSIAN.format(statistic=statistic.value)]
    words = (EXPECTED["drawn" if drawn else "given"], *taken, *signed, *order.notes)
    said = (*network.notes, *(f"Analytic: {word}." for word in words))
    traced = replace(traced, network=replace(network, notes=said))
    units_map, layers_map = stacked(units), stacked(profile)
    kept = KeptMaps(units=units_map is not None, layers=layers_map is not None)
    result = build_result(request, traced, main, units, profile, model_sha256, kept)
    return result, main.map.astype(np.float64 if request.dtype == "float64" else np.float32), units_map, layers_map


def _units(order: _Order, layer: Layer, *, briefly: bool = False) -> tuple[Measured, list[Measured]]:
    """The wanted unit, or of a grid the one nearest to the centre; and a row for every unit of a grid."""
    units = units_of(order.request.target, layer)
    many = len(units) > 1
    places = [(layer, unit) for unit in units]
    found = [row for row in _maps(order, places, briefly=many or briefly) if row is not None]
    if not found:
        raise ProblemError(
            "no-gradient",
            f"No gradient reaches the input from layer {layer.name!r} at unit {list(units[0])}: name another one.",
            layer=layer.name,
        )
    if not many:
        return found[0], []
    main = min(found, key=lambda row: _from_center(layer, row.probe.unit))
    return replace(main, metrics=measure_map(main.map, geometry_of(main.field))), found


def _from_center(layer: Layer, unit: tuple[int, ...]) -> int:
    return sum((i - c) ** 2 for i, c in zip(unit, center_of(layer), strict=True))


def _maps(order: _Order, places: Sequence[Place], *, briefly: bool = False) -> list[Measured | None]:
    """Every unit's map; units that see much of the same share the forward pass. None where no gradient arrives."""
    teams = sharing(order.traced, places)
    found: dict[int, Measured | None] = {}
    for number, team in enumerate(teams):
        order.progress("measure", number / len(teams))
        found |= zip(team, _team(order, [places[n] for n in team], briefly=briefly), strict=True)
    return [found[n] for n in range(len(places))]


def _team(order: _Order, places: Sequence[Place], *, briefly: bool) -> list[Measured | None]:
    """Float32 unless the request is wider, or the squares leave its range."""
    if order.request.dtype != "float64":
        try:
            return _squares(order, places, torch.float32, briefly=briefly)
        except OutOfRangeError:
            pass
    return _squares(order, places, torch.float64, briefly=briefly)


@torch.no_grad()
def _squares(order: _Order, places: Sequence[Place], dtype: torch.dtype, *, briefly: bool) -> list[Measured | None]:
    traced = order.traced
    cone = cone_of(traced, places)
    program = Program.of(traced.tape, cone.targets, dtype, drawn=order.drawn)
    order.notes.update(dict.fromkeys(program.notes))
    passed = program.run(_input(order, dtype))
    forward = Forward(traced, cone, order.request.average.seed, order.request.input.source, order.images)
    found: list[Measured | None] = []
    for n, (layer, unit) in enumerate(places):
        _differentiable(passed, n, layer)
        seed = _seed(order.request, layer, [hi - lo for lo, hi in cone.targets[n][1]], dtype, traced)
        squares = passed.back(n, seed)
        probe = Probe(forward, n, layer, unit, _channels(order.request))
        found.append(None if squares is None else _measure(order, probe, squares, program, briefly=briefly))
    return found


def _differentiable(passed: Pass, target: int, layer: Layer) -> None:
    if not passed.is_differentiable(target):
        raise ProblemError(
            "no-gradient",
            f"Layer {layer.name!r} is computed from the input only through operators without a gradient "
            "(comparison, rounding, search). Name an earlier layer.",
            layer=layer.name,
        )


def _channels(request: ErfRequest) -> str | tuple[int, ...]:
    """Expected squares are those of random signs; behind drawn weights the plain sum has the same."""
    wanted = request.target.channels
    return ("random" if wanted == "auto" else wanted) if isinstance(wanted, str) else tuple(wanted)


def _seed(request: ErfRequest, layer: Layer, shape: Sequence[int], dtype: torch.dtype, traced: Traced) -> Tensor:
    """1 on the unit's channels, or on the listed ones, of sample 0."""
    seed = torch.zeros(*shape, dtype=dtype, device=traced.network.device)
    wanted = request.target.channels
    if isinstance(wanted, str):
        seed[0] = 1
        return seed
    wrong = [c for c in wanted if len(shape) < 2 or c >= shape[1]]
    if wrong:
        raise ProblemError(
            "invalid-target",
            f"target.channels names channel {wrong[0]}, but layer {layer.name!r} has {shape[1]}, counted from 0.",
            layer=layer.name,
        )
    seed[0, list(wanted)] = 1
    return seed


def _input(order: _Order, dtype: torch.dtype) -> Moments:
    """Mean and variance of each number of the input."""
    network = order.traced.network
    shape = (order.traced.tape.batch, *network.input_shape)
    source = order.request.input.source

    def flat(value: float) -> Tensor:
        return torch.full(shape, value, dtype=dtype, device=network.device)

    if source is Source.IMAGES:
        stack = np.stack(order.images).astype(np.float64)
        mean, variance = (torch.from_numpy(a).to(flat(0)).expand(shape) for a in (stack.mean(0), stack.var(0)))
        return Moments(mean, variance)
    means = {Source.NORMAL: None, Source.ZEROS: None, Source.UNIFORM: flat(0.5), Source.ONES: flat(1)}
    variances = {Source.NORMAL: 1.0, Source.UNIFORM: 1 / 12}
    return Moments(means[source], flat(variances.get(source, 0.0)))


def _measure(order: _Order, probe: Probe, squares: Tensor, program: Program, *, briefly: bool) -> Measured | None:
    """The map of expected squares, normalised and measured."""
    traced = order.traced
    field = receptive_field_of(traced, probe.layer, probe.unit)
    raw = _map(order, squares[:1].double().cpu().numpy()[0], program)
    peak = float(raw.max())
    if peak == 0:
        return None
    if not math.isfinite(peak):
        raise ProblemError(
            "non-finite-output", f"The expected gradient of layer {probe.layer.name!r} is infinite or NaN."
        )
    m = raw / peak
    metrics = (brief_metrics if briefly else measure_map)(m, geometry_of(field))
    return Measured(probe, field, m, float(np.log2(peak)), Samples(used=0, dead=0), {}, metrics)


def _map(order: _Order, squares: Array, program: Program) -> Array:
    """Expected squares on the input's box → the statistic on the whole input's space."""
    space = [k - 1 for k in order.traced.space]
    window = [program.boxes[0][k] for k in order.traced.space]
    others = [k for k in range(squares.ndim) if k not in space]
    ordered = squares.transpose([*others, *space]).reshape(-1, *lengths(tuple(window)))
    whole = np.zeros(order.traced.spatial_shape)
    whole[tuple(slice(lo, hi) for lo, hi in window)] = STATISTICS[order.request.average.statistic](ordered)
    return whole


def expected_size(network: Network, request: ErfRequest) -> tuple[float | None, Measured]:
    """Luo's ERF size of the wanted unit alone, by the analytic method, and its row: what a search asks many times.

    Raises ProblemError as `measure_analytically` does.
    """
    drawn = network.spread is not None
    try:
        if network.spread is not None:
            network.spread()
        traced, layer = trace_network(network, request.target.layer, samples=1)
        order = _Order(request, traced, (), drawn, {}, lambda stage, share: None)
        main, _ = _units(order, layer, briefly=True)
    finally:
        if drawn and network.redraw is not None:
            network.redraw(0)
    return main.metrics.erf.size, main
