"""A chart for papers: points with error bars and fitted lines over plain or logarithmic axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from erfscope_picture import legend
from erfscope_picture.canvas import FRAME, RGB, SUBTLE, Canvas, Pen, Stroke, text_width
from erfscope_picture.legend import Entry
from erfscope_picture.picture import encoded
from erfscope_picture.text import inert, shortened

# Okabe and Ito's colours, which colour-blind readers can tell apart, darkest first; yellow is too pale for lines.
COLORS: tuple[RGB, ...] = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (90, 90, 95))
_GRID: RGB = (232, 232, 235)
_PAPER: RGB = (255, 255, 255)
_WIDTH, _HEIGHT = 960, 420  # of the plot's page and of the plot
_LEFT, _RIGHT, _TOP, _BELOW = 92, 28, 62, 62
_TITLE, _TICK = 20, 12
_RADIUS, _CAP = 3.2, 4.0  # of a point, and half the cap of an error bar, in page pixels
_MOST_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """An axis: its name with the unit, and whether it is logarithmic."""

    label: str
    log: bool = False


@dataclass(frozen=True)
class Series:
    """Points (x, y) with one standard error each where given (0 has no bar); a fitted line has no marks."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    line: bool = True
    marks: bool = True
    dashed: bool = False
    color: int | None = None  # index in COLORS; None takes the next one
    hollow: bool = False


@dataclass(frozen=True)
class _Scale:
    """Places a value of one axis on the page; `stop` may lie above `start` (the vertical axis)."""

    log: bool
    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """The page coordinate."""
        low, high, v = (math.log(part) if self.log else part for part in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (v - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values within the range."""
        return (log_ticks if self.log else linear_ticks)(self.low, self.high)


def render_chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> bytes:
    """The chart as PNG bytes, the same for the same arguments.

    ValueError where there is no point, a value is not finite, or a logarithmic axis meets a value that is not positive.
    """
    colored = _colored(series)
    scales = _scales(x, y, colored)
    entries = [Entry(inert(one.label), _pen(one)) for one in colored if one.label]
    lines = len(legend.rows(entries, _WIDTH - _LEFT - _RIGHT)) if entries else 0
    canvas = Canvas(_WIDTH, _TOP + _HEIGHT + _BELOW + legend.LINE * lines + 12)
    room = _WIDTH - 2 * _RIGHT
    canvas.text(_RIGHT, 30, shortened(inert(title), lambda text: text_width(text, _TITLE) <= room), _TITLE)
    _draw_axes(canvas, scales, (x, y))
    area = (_LEFT, _TOP, _WIDTH - _LEFT - _RIGHT, _HEIGHT)
    strokes = [stroke for one in colored for stroke in _strokes(one, scales)]
    canvas.lines(area, strokes)
    canvas.frame(*area)
    _draw_legend(canvas, entries, colored)
    return encoded(canvas.image, None)


def linear_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], at most eight."""
    rough = (high - low) / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Multiples of the powers of ten within [low, high], as fine as at most ten of them allow."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in (range(1, 10), (1, 2, 5), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low * (1 - 1e-9) <= f * 10.0**p <= high * (1 + 1e-9)]
        if len(found) <= _MOST_TICKS + 2:
            break
    few = found[:: 1 + len(found) // (_MOST_TICKS + 2)]
    return few if len(few) > 2 else linear_ticks(low, high)  # less than a power of two: there is little curvature


def _colored(series: Sequence[Series]) -> list[Series]:
    """Every series with a colour of its own, where it names none."""
    if not any(len(one.x) for one in series):
        raise ValueError("a chart needs at least one point")
    taken = cycle(range(len(COLORS)))
    return [one if one.color is not None else replace(one, color=next(taken)) for one in series]


def _scales(x: Axis, y: Axis, series: Sequence[Series]) -> tuple[_Scale, _Scale]:
    across = [value for one in series for value in one.x]
    up = [value for one in series for value in (*one.y, *_ends(one, y.log))]
    return (
        _scale(x, across, _LEFT + 14, _WIDTH - _RIGHT - 14),
        _scale(y, up, _TOP + _HEIGHT - 14, _TOP + 14),
    )


def _ends(series: Series, log: bool) -> list[float]:
    """The ends of the error bars; on a logarithmic axis those below 0 are cut at the plot's edge."""
    bars = zip(series.y, series.error or [], strict=False)
    return [end for value, error in bars for end in (value - error, value + error) if end > 0 or not log]


def _scale(axis: Axis, values: Sequence[float], start: float, stop: float) -> _Scale:
    low, high = min(values), max(values)
    if not all(map(math.isfinite, values)):
        raise ValueError(f"axis {axis.label!r} has values that are not finite")
    if axis.log and low <= 0:
        raise ValueError(f"axis {axis.label!r} is logarithmic, but a value is {low:g}")
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=0 if axis.log else 1e-200):
        low, high = (low / 1.5, high * 1.5) if axis.log else (low - 0.5, high + 0.5)
    return _Scale(axis.log, low, high, start, stop)


def _draw_axes(canvas: Canvas, scales: tuple[_Scale, _Scale], axes: tuple[Axis, Axis]) -> None:
    bottom, widest = _TOP + _HEIGHT, 0.0
    for value in scales[0].ticks():
        place = scales[0].at(value)
        canvas.fill(place, _TOP, place + 1, bottom, _GRID)
        canvas.fill(place, bottom + 1, place + 1, bottom + 6, FRAME)
        canvas.text(place, bottom + 15, f"{value:g}", _TICK, align=0.5)
    for value in scales[1].ticks():
        place, words = scales[1].at(value), f"{value:g}"
        canvas.fill(_LEFT, place, _WIDTH - _RIGHT, place + 1, _GRID)
        canvas.fill(_LEFT - 6, place, _LEFT - 1, place + 1, FRAME)
        canvas.text(_LEFT - 10, place, words, _TICK, align=1)
        widest = max(widest, text_width(words, _TICK))
    canvas.text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 36, axes[0].label, _TICK + 1, color=SUBTLE, align=0.5)
    canvas.upright(max(_LEFT - 26 - widest, 14), _TOP + _HEIGHT / 2, axes[1].label, _TICK + 1)


def _pen(series: Series) -> Pen:
    return Pen(COLORS[(series.color or 0) % len(COLORS)], 1.8, (7, 5) if series.dashed else (), halo=False)


def _strokes(series: Series, scales: tuple[_Scale, _Scale]) -> list[Stroke]:
    """The line, the error bars with their caps, and the points of a series."""
    points = [(scales[0].at(x), scales[1].at(y)) for x, y in zip(series.x, series.y, strict=True)]
    pen = _pen(series)
    strokes: list[Stroke] = [(np.array(points), pen)] if series.line and len(points) > 1 else []
    thin = Pen(pen.color, 1.2, halo=False)
    for (place, _), value, error in zip(points, series.y, series.error or [], strict=False):
        bar = _bar(place, value, error, scales[1]) if error else []
        strokes += [(np.array(ends, dtype=np.float64), thin) for ends in bar]
    return strokes + [stroke for point in points if series.marks for stroke in _mark(*point, series)]


def _bar(place: float, value: float, error: float, scale: _Scale) -> list[list[tuple[float, float]]]:
    """An upright bar and its two caps."""
    below = value - error
    low = scale.start + 14 if scale.log and below <= 0 else scale.at(below)
    high = scale.at(value + error)
    caps = [[(place - _CAP, end), (place + _CAP, end)] for end in (low, high)]
    return [[(place, low), (place, high)], *caps]


def _dot(x: float, y: float, color: RGB) -> Stroke:
    turns = np.linspace(0, 2 * np.pi, 13)
    circle = np.stack([x + _RADIUS / 2 * np.cos(turns), y + _RADIUS / 2 * np.sin(turns)], axis=1)
    return circle, Pen(color, _RADIUS, halo=False)


def _mark(x: float, y: float, series: Series) -> list[Stroke]:
    """A point: a dot, or a ring around the page's white."""
    pen = _pen(series)
    if not series.hollow:
        return [_dot(x, y, pen.color)]
    turns = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([x + _RADIUS * np.cos(turns), y + _RADIUS * np.sin(turns)], axis=1)
    return [_dot(x, y, _PAPER), (ring, Pen(pen.color, 1.2, halo=False))]


def _draw_legend(canvas: Canvas, entries: list[Entry], series: Sequence[Series]) -> None:
    named = {inert(one.label): one for one in series}
    for line, row in enumerate(legend.rows(entries, _WIDTH - _LEFT - _RIGHT)):
        x, y = float(_LEFT), _TOP + _HEIGHT + _BELOW + legend.LINE * (line + 0.5)
        for entry in row:
            assert entry.pen is not None  # every entry of a chart is a series
            one = named[entry.label]
            strokes: list[Stroke] = [(np.array([[x, y], [x + 38, y]]), entry.pen)] if one.line else []
            strokes += _mark(x + 19, y, one) if one.marks else []
            canvas.lines((round(x), round(y) - 8, 38, 16), strokes)
            canvas.text(x + 48, y, entry.label, legend.SIZE)
            x += entry.width + 28
