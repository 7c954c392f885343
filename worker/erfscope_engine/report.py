"""From averaged maps to the contract's ErfResult: geometry, metrics, provenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from erfscope._version import __version__
from erfscope.contract.request import ErfRequest
from erfscope.contract.result import (
    ErfResult,
    KeptMaps,
    LayerInfo,
    LayerProfile,
    Provenance,
    Samples,
    Trf,
    UnitEntry,
)
from erfscope_engine.average import Average
from erfscope_engine.gradient import Probe
from erfscope_engine.layers import Traced
from erfscope_engine.metrics import Geometry, MapMetrics, area_ratio, brief_metrics, measure_map
from erfscope_engine.receptive import ReceptiveField, holes_on_the_way, receptive_field_of

Errors = dict[str, float | None]
NO_MAPS = KeptMaps()
UNIT_ERRORS = ("erf_size", "erf_ratio", "mass_50_side")  # of the thousands that a grid may have


@dataclass(frozen=True)
class Measured:
    """One unit, measured: its map normalised to a maximum of 1, and what the raw map's maximum was (log2).

    One of many units is measured `briefly`: without fits, and its map is float32, or empty where it is not kept.
    """

    probe: Probe
    field: ReceptiveField
    map: NDArray[Any]
    peak_log2: float
    samples: Samples
    errors: Errors
    metrics: MapMetrics

    @classmethod
    def of(cls, probe: Probe, average: Average, errors: Errors, *, briefly: bool = False) -> Self:
        """Normalise and measure an average."""
        field = receptive_field_of(probe.traced, probe.layer, probe.unit)
        raw = average.map()
        peak = float(raw.max())
        m = raw / peak
        return cls(
            probe,
            field,
            m,
            float(np.log2(peak)) - probe.scale,
            Samples(used=average.used, dead=average.dead),
            errors,
            (brief_metrics if briefly else measure_map)(m, geometry_of(field)),
        )


def geometry_of(field: ReceptiveField) -> Geometry:
    """A receptive field as the metrics take it."""
    return Geometry(field.center, field.box, field.shape, tuple(_number(s) for s in field.stride))


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def trf_of(field: ReceptiveField) -> Trf:
    """A receptive field as the contract says it."""
    return Trf(
        size=list(field.size),
        stride=[_number(s) for s in field.stride],
        box=list(field.box),
        center=list(field.center),
        clipped=field.clipped,
        is_global=field.is_global,
        widened_by=list(field.widened_by),
    )


def build_result(
    request: ErfRequest,
    traced: Traced,
    main: Measured,
    units: Sequence[Measured],
    profile: Sequence[Measured],
    model_sha256: str | None,
    maps: KeptMaps = NO_MAPS,
    draws_together: int = 1,
    notes: Sequence[str] = (),
) -> ErfResult:
    """The whole answer around the main unit; `notes` are what the measuring has to say, beside the network's own."""
    layer = main.probe.layer
    return ErfResult(
        layer=LayerInfo(
            name=layer.name,
            operator=layer.operator,
            shape=list(layer.shape[1:]),
            spatial_axes=layer.spatial_axes,
        ),
        unit=list(main.probe.unit),
        input_shape=_channels_first(traced),
        trf=trf_of(main.field),
        erf=main.metrics.erf,
        mass=dict(main.metrics.mass),
        gaussian=main.metrics.gaussian,
        radial=main.metrics.radial,
        shape=main.metrics.shape,
        stderr=main.errors,
        samples=main.samples,
        layers=[_profile_row(row) for row in profile],
        units=[_unit_entry(unit) for unit in units],
        maps=maps,
        replknet=_replknet(main, traced) if request.protocol == "replknet" else None,
        scale_log2=main.peak_log2,
        provenance=_provenance(request, traced, main, model_sha256, draws_together, notes),
    )


def _channels_first(traced: Traced) -> list[int]:
    shape = traced.network.input_shape
    space = [k - 1 for k in traced.space]
    return [n for k, n in enumerate(shape) if k not in space] + [shape[k] for k in space]


def _profile_row(row: Measured) -> LayerProfile:
    layer, metrics = row.probe.layer, row.metrics
    return LayerProfile(
        name=layer.name,
        operator=layer.operator,
        shape=list(layer.shape[1:]),
        trf_size=list(row.field.size),
        trf_stride=[_number(s) for s in row.field.stride],
        is_global=row.field.is_global,
        erf_size=metrics.erf.size,
        erf_ratio=metrics.erf.ratio,
        sigma=metrics.gaussian.sigma,
        mass_50_side=metrics.mass["0.50"].side,
        unit=list(row.probe.unit),
        trf=trf_of(row.field),
        erf=metrics.erf,
        mass=dict(metrics.mass),
        stderr=row.errors,
        samples=row.samples,
        scale_log2=row.peak_log2,
    )


def _unit_entry(unit: Measured) -> UnitEntry:
    return UnitEntry(
        unit=list(unit.probe.unit),
        trf=trf_of(unit.field),
        erf=unit.metrics.erf,
        mass=dict(unit.metrics.mass),
        stderr={name: error for name, error in unit.errors.items() if name in UNIT_ERRORS},
        samples=unit.samples,
        scale_log2=unit.peak_log2,
    )


def _replknet(main: Measured, traced: Traced) -> dict[str, float | None] | None:
    """The script's r: it sums over colours where our map is their mean, and works at the gradient's own scale."""
    if main.map.ndim != 2:
        return None
    channels = int(np.prod(traced.network.input_shape)) // main.map.size
    return area_ratio(main.map * 2.0**main.peak_log2 * channels)


def _provenance(
    request: ErfRequest,
    traced: Traced,
    main: Measured,
    model_sha256: str | None,
    draws_together: int,
    said: Sequence[str],
) -> Provenance:
    notes = [*traced.network.notes, *said]
    if holed := holes_on_the_way(traced, main.field):
        notes.append(
            f"The TRF box may be wider than what the unit reads: {', '.join(holed)}, transposed with a kernel that "
            "is narrower than its stride, leaves holes between its outputs, and boxes have none."
        )
    if traced.tape.stopped:
        notes.append(
            f"Recording ended at operator {traced.tape.stopped}, which reads values that depend on the input; "
            "layers behind it are not measured."
        )
    if main.metrics.erf.size is None:
        notes.append("The map is 0 at the projected centre, which Luo's ERF size refers to; see erf_size_peak.")
    if main.samples.dead:
        notes.append(f"{main.samples.dead} of {main.samples.used} samples are dead: their gradient is exactly zero.")
    return Provenance(
        engine=__version__,
        torch=torch.__version__,
        device=traced.network.device.type,
        dtype=request.dtype.value,
        threads=torch.get_num_threads(),
        micro_batch=traced.tape.batch,
        draws_together=draws_together,
        seed=request.average.seed,
        model_sha256=model_sha256,
        layer=main.probe.layer.name,
        statistic="relu" if request.protocol == "replknet" else request.average.statistic.value,
        channels=main.probe.channels if isinstance(main.probe.channels, str) else "list",
        source=request.input.source.value,
        weights=request.weights.value,
        method=request.method,
        samples=main.samples.used,
        input_shape=list(traced.network.input_shape),
        notes=notes,
    )
