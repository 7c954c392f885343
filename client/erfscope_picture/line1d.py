"""The picture of a one-dimensional map: a filled line, and bars for the mass and the TRF below it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope_picture import heading, zoom
from erfscope_picture import scale as scales
from erfscope_picture.axes import TICK_SIZE, Window, draw_column_ticks, spaced_ticks
from erfscope_picture.canvas import FRAME, RGB, SUBTLE, Canvas, Pen, text_width
from erfscope_picture.colormap import accent, color_at
from erfscope_picture.contour import SHARES
from erfscope_picture.marks import Marks
from erfscope_picture.scene import Look
from erfscope_picture.spans import shortest_span
from erfscope_picture.units import unit_of
from erfscope_picture.zoom import Span

Line = NDArray[np.float64]
_WIDTH, _PLOT = 1120, 880
_LEFT = 196
_HEIGHTS = {1: 380, 2: 250}
_ROW, _STRIP = 22, 8
_MASS = dict(zip(SHARES, (48, 112, 176), strict=True))  # colours of the bars, by place in the colour map
_GRID: RGB = (232, 232, 235)


@dataclass(frozen=True)
class _Bar:
    """A stretch of the line, in pixel edges, with its name and its length in words."""

    name: str
    span: tuple[float, float]
    words: str
    color: RGB


def draw_line1d(values: Line, marks: Marks, look: Look) -> Canvas:
    """The map [L] along its axis and, where its mass sits in a small part, that part again below."""
    bars = _bars(values, marks, look.colormap)
    closer = zoom.zoomed(values, (_PLOT,))
    spans: list[Span] = [(0, len(values)), *(closer or [])]
    height = _HEIGHTS[len(spans)]
    step = height + _STRIP + _ROW * len(bars) + 66
    canvas = Canvas(_WIDTH, heading.HEIGHT + 8 + step * len(spans) + 6)
    heading.draw_heading(canvas, marks, look.title)
    for at, span in enumerate(spans):
        window = Window((0, 1), span, _LEFT, heading.HEIGHT + 8 + step * at, _PLOT, height)
        _draw_plot(canvas, window, values, look)
        if at == 0 and closer:
            _draw_bracket(canvas, window, closer[0])
        _draw_center(canvas, window, marks, look)
        _draw_bars(canvas, window, bars)
    return canvas


def _bars(values: Line, marks: Marks, colormap: str) -> list[_Bar]:
    bars = []
    for share, index in _MASS.items() if values.any() else ():
        span = shortest_span(values, share)
        words = f"{span[1] - span[0]} {unit_of(1)}"
        bars.append(_Bar(f"shortest stretch, {share * 100:.0f} %", span, words, color_at(colormap, index)))
    (start, stop), n = marks.box[0], len(values)
    if start < n and stop > 0:
        bars.append(_Bar(marks.trf, (max(start, 0), min(stop, n)), "", accent(colormap)))
    center = marks.center[0]
    if -0.5 <= center < n - 0.5:
        at = (center + 0.5, center + 0.5)
        bars.append(_Bar("projected centre", at, f"x = {center:g}", accent(colormap)))
    return bars


def envelope(values: Line, width: int) -> tuple[Line, Line]:
    """Mean and maximum of the pixels on each of `width` page columns; fewer pixels are repeated."""
    n = len(values)
    if n <= width:
        repeated = values[np.arange(width) * n // width]
        return repeated, repeated
    starts = np.arange(width) * n // width
    counts = np.diff([*starts, n])
    return np.add.reduceat(values, starts) / counts, np.maximum.reduceat(values, starts)


def _draw_plot(canvas: Canvas, window: Window, values: Line, look: Look) -> None:
    _draw_grid(canvas, window, look.scale)
    left, top, width, height = window.area
    mean, peak = envelope(values[slice(*window.columns)], width)
    dark = color_at(look.colormap, 80)
    light: RGB = (_paler(dark[0]), _paler(dark[1]), _paler(dark[2]))
    for line, color in ((peak, light), (mean, dark)):
        for column, place in enumerate(scales.placed(line, look.scale)):
            if place > 0:
                x = left + column
                canvas.fill(x, top + (1 - place) * height, x + 1, top + height, color)
    canvas.frame(*window.area)
    if mean is not peak:
        pixels = (window.columns[1] - window.columns[0]) / width
        note = f"dark: mean, light: maximum of {pixels:.3g} pixels each"
        canvas.text(left + width - 10, top + 14, note, TICK_SIZE, color=SUBTLE, align=1)


def _paler(channel: int) -> int:
    return (channel + 2 * 255) // 3


def _draw_grid(canvas: Canvas, window: Window, scale: str) -> None:
    """The value axis with its ticks, a pale line across at each."""
    left, top, width, height = window.area
    for share, label in spaced_ticks(scale, height):
        y = top + (1 - float(scales.placed(np.array(share), scale))) * (height - 1)
        canvas.fill(left, y, left + width, y + 1, _GRID)
        canvas.fill(left - 6, y, left - 1, y + 1, FRAME)
        canvas.text(left - 10, y, label, TICK_SIZE, align=1)
    canvas.upright(left - 66, top + height / 2, scales.label(scale), TICK_SIZE)


def _draw_bracket(canvas: Canvas, window: Window, span: Span) -> None:
    """Says which part the plot below shows."""
    left, right = window.x(span[0] - 0.5), window.x(span[1] - 0.5)
    for x in (left, right):
        canvas.fill(x, window.top, x + 1, window.top + window.height, FRAME)
    room = window.left + window.width - right > 200
    x, align = (right + 6, 0.0) if room else (left - 6, 1.0)
    canvas.text(x, window.top + window.height * 0.3, "part shown below", TICK_SIZE, color=SUBTLE, align=align)


def _draw_center(canvas: Canvas, window: Window, marks: Marks, look: Look) -> None:
    x = window.x(marks.center[0])
    if window.left <= x < window.left + window.width:
        line = np.array([[x, window.top], [x, window.top + window.height]], dtype=np.float64)
        canvas.lines(window.area, [(line, Pen(accent(look.colormap), 1.4, (6, 4), halo=False))])


def _draw_bars(canvas: Canvas, window: Window, bars: list[_Bar]) -> None:
    left, width = window.left, window.width
    draw_column_ticks(canvas, window, f"x ({unit_of(1)})")
    for row, bar in enumerate(bars):
        y = window.top + window.height + 54 + _STRIP + _ROW * row
        start = min(max(window.x(bar.span[0] - 0.5), left), left + width)
        stop = min(max(window.x(bar.span[1] - 0.5), left), left + width)
        canvas.text(left - 10, y, bar.name, TICK_SIZE, align=1)
        if bar.span[1] < window.columns[0] or bar.span[0] > window.columns[1]:
            continue
        canvas.fill(start, y - 5, stop, y + 5, bar.color)
        if bar.words:
            before = stop + 8 + text_width(bar.words, TICK_SIZE) > left + width
            x, align = (start - 8, 1) if before else (stop + 8, 0)
            canvas.text(x, y, bar.words, TICK_SIZE, color=SUBTLE, align=align)
