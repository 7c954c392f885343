"""One measurement, start to end: network and request in, map and ErfResult out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest
from erfscope.contract.result import ErfResult
from erfscope_engine.cone.unit import cone_of
from erfscope_engine.gradient import Probe, started
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.network import Network
from erfscope_engine.plan import trace_network
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.report import Measured, build_result, geometry_of
from erfscope_engine.sampling import sample
from erfscope_engine.units import Unit, center_of, units_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Measurement:
    """The answer: the normalised map (maximum 1, the input's spatial shape) and everything said of it."""

    result: ErfResult
    map: NDArray[Any]


@dataclass(frozen=True)
class _Order:
    """A request with what it needs, the same for all its units."""

    request: ErfRequest
    images: Sequence[NDArray[Any]]
    progress: Progress


def measure_network(
    network: Network,
    request: ErfRequest,
    *,
    images: Sequence[NDArray[Any]] = (),
    model_sha256: str | None = None,
    progress: Progress = lambda stage, share: None,
) -> Measurement:
    """Measure the effective receptive field that `request` asks for (Luo et al., NIPS 2016).

    `images` are float32 samples of the input's shape, for input.source = images; `progress` hears (stage, share done).
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
    traced, layer = trace_network(network, request.target.layer, samples=planned)
    units = units_of(request.target, layer)
    measured = [_measure_unit(order, traced, layer, unit, n, len(units)) for n, unit in enumerate(units)]
    main = measured[len(measured) // 2]
    profile = _profile(order, traced) if request.layers == "all" else []
    result = build_result(request, traced, main, measured, profile, model_sha256)
    kind = np.float64 if request.dtype == "float64" else np.float32
    return Measurement(result, main.map.astype(kind))


def _measure_unit(order: _Order, traced: Traced, layer: Layer, unit: Unit, part: int, parts: int) -> Measured:
    """One unit of one layer; it is part `part` of `parts` of the whole request."""
    request = order.request
    field = receptive_field_of(traced, layer, unit)
    wanted = request.target.channels
    start = started(
        Probe(
            traced,
            layer,
            unit,
            cone_of(traced, layer, unit),
            channels=wanted if isinstance(wanted, str) else tuple(wanted),
            seed=request.average.seed,
            source=request.input.source,
            images=order.images,
            rectified=request.protocol == "replknet",
        )
    )
    average, errors = sample(
        start, request, geometry_of(field), lambda share: order.progress("measure", (part + share) / parts)
    )
    if average.dead == average.used:
        raise ProblemError(
            "no-gradient",
            f"The gradient of layer {layer.name!r} at unit {list(unit)} is exactly zero in all {average.used} samples: "
            "the unit is dead (a ReLU at 0 sends nothing back). Name another layer, unit or channels.",
            layer=layer.name,
        )
    return Measured.of(start.probe, field, average, errors)


def _profile(order: _Order, traced: Traced) -> list[Measured]:
    """The centre unit of every spatial layer, in the order of computation; dead ones are left out."""
    rows = []
    for n, layer in enumerate(traced.layers):
        try:
            rows.append(_measure_unit(order, traced, layer, center_of(layer), n, len(traced.layers)))
        except ProblemError as problem:
            if problem.kind != "no-gradient":
                raise
    return rows
