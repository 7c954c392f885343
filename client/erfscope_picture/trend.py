"""A series of measurements as a chart: metric over x, with standard errors and the fitted power law."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from erfscope_picture.chart import Axis, Series, render_chart

_PIXELS = ("_size", "_side", "sigma", "r50", "r90", "r99", "offset")


def render_trend(series: Mapping[str, Any], metrics: Sequence[str]) -> bytes:
    """The chart as PNG; `series` is a Series of the contract as JSON. ValueError where no point has a metric.

    Both axes are logarithmic where every metric follows a power law at all (all x and values are positive).
    """
    points: Sequence[Mapping[str, Any]] = series["points"]
    log = all(series["trends"].get(metric, {}).get("power") for metric in metrics)
    lines: list[Series] = []
    for color, metric in enumerate(metrics):
        has = [point for point in points if _value(point, metric) is not None]
        if has:
            law = _law(series, has, metric, color)
            lines += [_marks(has, metric, color, joined=not law), *law]
    return render_chart(", ".join(metrics), Axis(series["x_label"] or "model", log), Axis(_label(metrics), log), lines)


def _value(point: Mapping[str, Any], metric: str) -> float | None:
    value = point["metrics"].get(metric)
    return float(value) if value is not None and math.isfinite(value) else None


def _marks(has: Sequence[Mapping[str, Any]], metric: str, color: int, *, joined: bool) -> Series:
    errors = [point["stderr"].get(metric) for point in has]
    known = None if None in errors else errors
    x, y = [point["x"] for point in has], [_value(point, metric) or 0.0 for point in has]
    return Series(metric, x, y, known, line=joined, color=color)


def _law(series: Mapping[str, Any], has: Sequence[Mapping[str, Any]], metric: str, color: int) -> list[Series]:
    power = series["trends"].get(metric, {}).get("power")
    if power is None:
        return []
    slope, error = power["slope"], power["slope_error"]
    label = f"{metric}: slope {slope:.3f}" + (f" ± {error:.3f}" if error is not None else "")
    ends = [min(point["x"] for point in has), max(point["x"] for point in has)]
    y = [math.exp(power["intercept"] + slope * math.log(end)) for end in ends]  # either factor alone may overflow
    return [Series(label, ends, y, marks=False, dashed=True, color=color)]


def _label(metrics: Sequence[str]) -> str:
    name = metrics[0] if len(metrics) == 1 else "value"
    return f"{name} (px)" if all(_is_length(metric) for metric in metrics) else name


def _is_length(metric: str) -> bool:
    return any(mark in metric for mark in _PIXELS)
