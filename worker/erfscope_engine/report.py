"""From averaged maps to the contract's ErfResult: geometry, metrics, provenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from erfscope_contract.replknet import at_largest, grid_words
from erfscope_contract.result import (
    AutogradRun,
    ErfResult,
    KeptMaps,
    LayerInfo,
    LayerProfile,
    Provenance,
    Reach,
    Shape,
    Trf,
    UnitEntry,
    Verify,
)
from erfscope_contract.version import __version__
from erfscope_engine.faint import note_on_faint
from erfscope_engine.layers import Traced
from erfscope_engine.map_notes import notes_on_map
from erfscope_engine.metrics import MapMetrics, area_ratio, brief_metrics, measure_map
from erfscope_engine.receptive import ReceptiveField
from erfscope_engine.recording.tape import Custom
from erfscope_engine.taking import Errors, Order, Taken

NO_MAPS = KeptMaps()
UNIT_ERRORS = ("erf_size", "erf_ratio", "mass_50_side")  # of the thousands that a grid may have


@dataclass(frozen=True)
class Measured:
    """One unit, measured: its map normalised to a maximum of 1, and what the raw map's maximum was (log2).

    One of many units is measured `briefly`: without fits, and its map is float32, or empty where it is not kept.
    """

    taken: Taken
    map: NDArray[Any]
    peak_log2: float
    errors: Errors
    metrics: MapMetrics

    @classmethod
    def of(cls, taken: Taken, *, briefly: bool = False) -> Self:
        """Normalise and measure a raw map."""
        peak = float(taken.raw.max())
        m = taken.raw / peak
        metrics = (brief_metrics if briefly else measure_map)(m, taken.geometry)
        return cls(taken, m, float(np.log2(peak)) - taken.scale, taken.errors(briefly), metrics)

    @property
    def field(self) -> ReceptiveField:
        """The unit's TRF."""
        return self.taken.field


@dataclass(frozen=True)
class Rows:
    """All that was measured: the main unit, the rows of a grid, the profile, and which maps are kept.

    `script` is the main unit by RepLKNet's script, where its r is asked for; it is `main` under protocol replknet.
    """

    main: Measured
    script: Measured | None = None
    units: Sequence[Measured] = ()
    profile: Sequence[Measured] = ()
    kept: KeptMaps = NO_MAPS


@dataclass(frozen=True)
class Said:
    """What a result says beside its numbers."""

    model_sha256: str | None = None
    draws_together: int = 1
    notes: Sequence[str] = ()
    autograd: Sequence[tuple[str, str]] = ()
    verify: Verify | None = None


SCRIPTS_STATISTIC = (
    "Protocol replknet: as in its script the map is of positive gradients alone (statistic relu). So are the ERF and "
    "all other sizes beside r; they differ from those of protocol erfscope (statistic abs)."
)


BESIDE = (
    "Protocol both: r (replknet_20 and the others) is that of protocol replknet, whose map is of positive gradients "
    "alone (statistic relu), over the same samples. All other numbers and the map are of statistic {statistic}."
)


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def trf_of(field: ReceptiveField) -> Trf:
    """A receptive field as the contract says it."""
    reach = field.reach
    return Trf(
        size=list(field.size),
        stride=[_number(s) for s in field.stride],
        box=list(field.box),
        center=list(field.center),
        clipped=field.clipped,
        is_global=field.is_global,
        widened_by=list(field.widened_by),
        seen=None if field.seen is None else list(field.seen),
        alignment=None if field.alignment is None else list(field.alignment),
        reach=None if reach is None else Reach(before=[b for b, _ in reach], after=[a for _, a in reach]),
        causal=field.causal,
        local_box=None if field.local is None else list(field.local),
        local_without=list(field.local_without),
    )


def build_result(order: Order, rows: Rows, said: Said) -> ErfResult:
    """The whole answer around the main unit."""
    main, traced = rows.main, order.plan.traced
    layer = main.taken.layer
    return ErfResult(
        layer=LayerInfo(
            name=layer.name,
            operator=layer.operator,
            shape=layer.own_shape,
            spatial_axes=layer.spatial_axes,
            passed_over=list(order.plan.passed_over),
        ),
        unit=list(main.taken.place.unit),
        input_shape=_channels_first(traced),
        trf=trf_of(main.field),
        erf=main.metrics.erf,
        mass=dict(main.metrics.mass),
        gaussian=main.metrics.gaussian,
        radial=main.metrics.radial,
        shape=_shape(main),
        stderr={**main.errors, **_errors_of_ratios(rows.script)},
        samples=main.taken.samples,
        layers=[_profile_row(row) for row in rows.profile],
        units=[_unit_entry(unit) for unit in rows.units],
        maps=rows.kept,
        replknet=_replknet(rows.script, traced),
        scale_log2=main.peak_log2,
        verify=said.verify,
        provenance=_provenance(order, rows, said),
    )


def _channels_first(traced: Traced) -> list[int]:
    shape = traced.network.input_shape
    space = [k - 1 for k in traced.space]
    return [n for k, n in enumerate(shape) if k not in space] + [shape[k] for k in space]


def _shape(main: Measured) -> Shape:
    """With the share of the mass at or before a causal unit's own place."""
    if not main.field.causal:
        return main.metrics.shape
    before = main.map
    for axis, at in enumerate(main.field.center):
        if main.field.box[axis][1] - 1 == at:
            before = before.take(range(min(int(at) + 1, before.shape[axis])), axis)
    return main.metrics.shape.model_copy(update={"mass_before": float(before.sum() / main.map.sum())})


def _profile_row(row: Measured) -> LayerProfile:
    layer, metrics = row.taken.layer, row.metrics
    return LayerProfile(
        name=layer.name,
        operator=layer.operator,
        shape=layer.own_shape,
        trf_size=list(row.field.size),
        trf_stride=[_number(s) for s in row.field.stride],
        is_global=row.field.is_global,
        erf_size=metrics.erf.size,
        erf_ratio=metrics.erf.ratio,
        sigma=metrics.gaussian.sigma,
        mass_50_side=metrics.mass["0.50"].side,
        unit=list(row.taken.place.unit),
        trf=trf_of(row.field),
        erf=metrics.erf,
        mass=dict(metrics.mass),
        stderr=dict(row.errors),
        samples=row.taken.samples,
        scale_log2=row.peak_log2,
    )


def _unit_entry(unit: Measured) -> UnitEntry:
    return UnitEntry(
        unit=list(unit.taken.place.unit),
        trf=trf_of(unit.field),
        erf=unit.metrics.erf,
        mass=dict(unit.metrics.mass),
        stderr={name: error for name, error in unit.errors.items() if name in UNIT_ERRORS},
        samples=unit.taken.samples,
        scale_log2=unit.peak_log2,
    )


def _replknet(script: Measured | None, traced: Traced) -> dict[str, float | None] | None:
    """The script's r: it sums over colours where our map is their mean, and works at the gradient's own scale."""
    if script is None or script.map.ndim != 2:
        return None
    channels = int(np.prod(traced.network.input_shape)) // script.map.size
    return area_ratio(script.map * 2.0**script.peak_log2 * channels)


def _errors_of_ratios(script: Measured | None) -> Errors:
    return {name: error for name, error in (script.errors if script else {}).items() if name.startswith("replknet_")}


def _notes_on_ratio(main: Measured, traced: Traced) -> list[str]:
    """The steps of the script's r, and which r the input limits; `main` is by the script."""
    ratios, size = _replknet(main, traced) or {}, main.map.shape
    notes = [words] if (words := grid_words(ratios, size)) else []
    limited = at_largest(ratios, size) if main.field.clipped or main.field.is_global else []
    if limited:
        notes.append(
            f"{', '.join(limited)}: limited by the input. The field reaches beyond it, and the square is the "
            "largest that the script tries, or would be larger; measure on a larger input."
        )
    return notes


def _provenance(order: Order, rows: Rows, said: Said) -> Provenance:
    request, traced, main = order.request, order.plan.traced, rows.main
    return Provenance(
        engine=__version__,
        torch=torch.__version__,
        device=traced.network.device.type,
        dtype=request.dtype.value,
        threads=torch.get_num_threads(),
        micro_batch=1 if traced.eager else traced.tape.batch,
        draws_together=said.draws_together,
        seed=request.average.seed,
        model_sha256=said.model_sha256,
        layer=main.taken.layer.name,
        statistic="relu" if request.protocol == "replknet" else request.average.statistic.value,
        channels=main.taken.channels,
        source=request.input.source.value,
        weights=request.weights.value,
        protocol=request.protocol,
        method=request.method,
        samples=main.taken.samples.used,
        draws=request.average.weights if request.method == "gradient" else 1,
        input_shape=list(traced.network.input_shape),
        notes=_notes(order, rows, said),
        autograd=[AutogradRun(operator=operator, why=why) for operator, why in said.autograd],
    )


def _reaches_beyond(main: Measured) -> bool:
    """Whether pixels outside of the TRF's box have a gradient."""
    outside = main.map.copy()
    outside[tuple(slice(max(lo, 0), max(hi, 0)) for lo, hi in main.field.box)] = 0
    return bool(outside.any())


def _notes(order: Order, rows: Rows, said: Said) -> list[str]:
    traced, main, request = order.plan.traced, rows.main, order.request
    notes = [*traced.network.notes, *order.notes, *said.notes]
    if rows.script is not None:
        of_both = BESIDE.format(statistic=request.average.statistic.value)
        notes += [of_both if request.protocol == "both" else SCRIPTS_STATISTIC, *_notes_on_ratio(rows.script, traced)]
    if main.field.holed:
        notes.append(
            f"The TRF box may be wider than what the unit reads: {', '.join(main.field.holed)}, transposed with a "
            "kernel that is narrower than its stride, leaves holes between its outputs, and boxes have none."
        )
    functions = dict.fromkeys(call.name for call in traced.tape.calls if isinstance(call.op, Custom))
    if functions and _reaches_beyond(main):
        notes.append(
            "The map reaches beyond the TRF: the TRF follows the forward pass, and a hand-written backward "
            f"({', '.join(functions)}) reads more than its forward. The map is the gradient that autograd gives."
        )
    if main.field.masked is not None:
        box, names = main.field.masked
        notes.append(
            f"Kernels of {', '.join(names)} are masked (taps that are 0); the box without those taps is {box}."
        )
    if (faint := note_on_faint(traced, main.taken.layer)) is not None:
        notes.append(faint)
    if traced.tape.stopped and traced.eager:
        notes.append(
            f"The network runs whole, by plain autograd: its recording ended at {traced.tape.stopped}. The TRF is "
            "therefore given as the whole input."
        )
    if main.metrics.erf.size is None:
        notes.append("The map is 0 at the projected centre, which Luo's ERF size refers to; see erf_size_peak.")
    notes += notes_on_map(main.metrics, main.errors, main.map.ndim)
    samples = main.taken.samples
    if samples.dead:
        notes.append(f"{samples.dead} of {samples.used} samples are dead: their gradient is exactly zero.")
    return notes
