"""The profile along depth as a chart: TRF, ERF and stride of every layer, in the order of computation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from erfscope_picture.chart import Axis, Series, render_chart
from erfscope_picture.units import unit_of

_ERF, _GREY = 1, 5  # of COLORS
LIMITED, INPUT = "limited by the input", "side of the input"  # what hollow points are, and the line that they meet


def render_profile(
    layers: Sequence[Mapping[str, Any]], title: str | None = None, input_side: float | None = None
) -> bytes:
    """The chart as PNG; `layers` are those of a result, or of an inspection (without ERF), as JSON.

    Sizes are geometric means over the axes, in pixels (samples of sound, voxels of volumes). An ERF that a layer's
    `limited` names is a hollow point without an error, and a line is then at `input_side`.

    ValueError where there is no layer.
    """
    rows = [(number, row) for number, row in enumerate(layers, start=1)]
    series = [
        _line("TRF", [(number, mean_side(row["trf_size"])) for number, row in rows], dashed=True),
        _line(
            "ERF",
            [(n, row.get("erf_size")) for n, row in rows],
            [0.0 if is_bound(row, "erf_size") else row.get("stderr", {}).get("erf_size") for _, row in rows],
        ),
        _line("stride", [(number, mean_side(row["trf_stride"])) for number, row in rows], dashed=True),
    ]
    bounds = [(n, float(row["erf_size"])) for n, row in rows if is_bound(row, "erf_size")]
    if bounds:
        layers_of, sizes = zip(*bounds, strict=True)
        series.append(Series(LIMITED, layers_of, sizes, line=False, hollow=True, color=_ERF))
    if bounds and input_side:
        series.append(Series(INPUT, [1, len(rows)], [input_side] * 2, marks=False, dashed=True, color=_GREY))
    name = "Along depth" if title is None else f"{title}, along depth"
    axis = Axis("layer, in the order of computation")
    unit = unit_of(len(layers[0]["trf_size"]) if layers else 2)
    return render_chart(name, axis, Axis(f"size ({unit})", log=True), [one for one in series if one.x])


def is_bound(row: Mapping[str, Any], metric: str) -> bool:
    """Whether the input limits this size of a layer, which then has a value."""
    return metric in row.get("limited", ())


def mean_side(sizes: Sequence[float | None]) -> float | None:
    """Geometric mean over the axes; None where one is unknown."""
    known = [size for size in sizes if size is not None and size > 0]
    return math.prod(known) ** (1 / len(known)) if len(known) == len(sizes) > 0 else None


def _line(
    label: str, points: Sequence[tuple[int, float | None]], errors: Sequence[float | None] = (), *, dashed: bool = False
) -> Series:
    """The points that have a value; bars where every one has an error."""
    shown = [n for n, (_, value) in enumerate(points) if value]
    bars = [error for n in shown if errors and (error := errors[n]) is not None]
    return Series(
        label,
        [points[n][0] for n in shown],
        [points[n][1] or 0.0 for n in shown],
        bars if bars and len(bars) == len(shown) else None,
        marks=not dashed,
        dashed=dashed,
    )
