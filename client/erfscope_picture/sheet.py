"""Several maps side by side on one scale of pixels and one of colours, each with words below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from erfscope_picture import legend
from erfscope_picture import scale as scales
from erfscope_picture.axes import Window, draw_axes, draw_colorbar, draw_column_ticks
from erfscope_picture.canvas import SUBTLE, TEXT, Canvas, Stroke, text_width
from erfscope_picture.contour import traced
from erfscope_picture.layout2d import AXIS_BELOW, AXIS_LEFT, BAR_SPACE, LOW
from erfscope_picture.picture import encoded, palette
from erfscope_picture.scene import Look, centre_strokes, contour_lines, draw_heat, outline, trf_strokes
from erfscope_picture.slices3d import through
from erfscope_picture.text import inert, shortened
from erfscope_picture.zoom import Span, mass_spans

Axes = tuple[str, str]
Box = Sequence[Span]
_PLANE = (slice(None), slice(None))

_GAP, _TOP = 22, 62
_TITLE, _CAPTION, _LINE = 20, 13, 19
_SIDES = {1: 480, 2: 360, 3: 280}  # of the largest map, by columns; 216 for more
_BAND, _LEAST, _NARROW = 40, 12, 130  # height of a line, of the thinnest map, width of the narrowest column


@dataclass(frozen=True)
class Panel:
    """A map with values in [0, 1], its name, and a second line of words.

    [H, W] is drawn as it is, a line [L] as a band, of a volume [D, H, W] the plane through `center` (the voxel of
    its maximum where that is not given), which its words then name.
    """

    map: NDArray[np.floating]
    caption: str
    note: str = ""
    center: Sequence[float] | None = None
    part: tuple[Span, Span] | None = None  # what is shown of [H, W], half-open rows and columns; None is all of it
    box: Box | None = None  # the TRF's, half-open: drawn on [H, W] with the lines around the mass and the centre
    sizes: Sequence[tuple[str, float]] = ()  # at most two, in pixels: squares in the middle of [H, W], in the legend


@dataclass(frozen=True)
class _Drawn:
    """A panel as a plane; a line is a plane of one row."""

    plane: NDArray[np.float64]
    rank: int
    words: tuple[str, str]
    part: tuple[Span, Span]
    box: Box | None = None
    center: Sequence[float] | None = None
    sizes: Sequence[tuple[str, float]] = ()

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns that are shown."""
        (top, bottom), (left, right) = self.part
        return bottom - top, right - left


def render_sheet(
    title: str,
    panels: Sequence[Panel],
    *,
    columns: int = 4,
    scale: str = "sqrt",
    colormap: str = "viridis",
    axes: Axes = ("y (px)", "x (px)"),
) -> bytes:
    """The sheet as PNG bytes, row by row; ValueError where there is no panel or a map is not one.

    A pixel of the input is as large in every map of the same number of axes.
    """
    if not panels:
        raise ValueError("a sheet needs at least one panel")
    columns = min(columns, len(panels))
    rows = [list(map(_drawn, panels[at : at + columns])) for at in range(0, len(panels), columns)]
    factors = _factors([one for row in rows for one in row], _SIDES.get(columns, 216))
    windows, lefts = _windows(rows, factors)
    base = windows[-1][0].top + windows[-1][0].height  # of the last row's maps
    bar = (lefts[-1] - AXIS_LEFT + 14, _TOP, max(base - _TOP, LOW))
    width, bottom = bar[0] + BAR_SPACE + _GAP, max(base + AXIS_BELOW + 2 * _LINE, _TOP + bar[2]) + _GAP
    entries = _entries(colormap) if any(one.box for row in rows for one in row) else []
    labels = dict.fromkeys(label for row in rows for one in row for label, _ in one.sizes)
    entries += [legend.Entry(label, pen) for label, pen in zip(labels, legend.SIZES, strict=False)]
    under = len(legend.rows(entries, width - 2 * _GAP)) * legend.LINE + _GAP if entries else 0
    canvas = Canvas(width, bottom + under)
    _write(canvas, (_GAP, 30), title, _TITLE, canvas.image.width - 2 * _GAP)
    look = Look(scales.checked(scale), colormap, None, None)
    for row, places in zip(rows, windows, strict=True):
        for one, window, after in zip(row, places, lefts[1:], strict=False):  # the last row may be short
            _draw_panel(canvas, window, one, look, axes)
            _draw_words(canvas, window, one, after - window.left - _GAP)
    draw_colorbar(canvas, bar, scale, colormap)
    legend.draw_legend(canvas, (_GAP, bottom, width - 2 * _GAP), entries, colormap)
    return encoded(canvas.image, palette(colormap))


def _entries(colormap: str) -> list[legend.Entry]:
    """What the lines of all panels are; those around the mass are smoothed where its own would be ragged."""
    masses = [legend.Entry(f"smallest set with {share * 100:.0f} % of the mass", pen)
              for share, pen in legend.CONTOURS.items()]  # fmt: skip
    pen = legend.trf_pen(colormap)
    return [*masses, legend.Entry("TRF", pen), legend.Entry("projected centre", pen, cross=True)]


def _drawn(panel: Panel) -> _Drawn:
    values = np.asarray(panel.map, dtype=np.float64)
    if not 1 <= values.ndim <= 3 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"a panel is a finite map of one to three axes; this one's shape is {values.shape}")
    if values.ndim < 3:
        plane = np.atleast_2d(values)
        box = panel.box if values.ndim == 2 else None
        words, sizes = (panel.caption, panel.note), panel.sizes if values.ndim == 2 else ()
        return _Drawn(plane, values.ndim, words, panel.part or _whole(plane), box, panel.center, sizes)
    peak = np.unravel_index(int(values.argmax()), values.shape)
    depth = through(tuple(map(float, peak if panel.center is None else panel.center)), values.shape)[0]
    note = ", ".join(filter(None, (panel.note, f"plane z = {depth}")))
    return _Drawn(values[depth], 3, (panel.caption, note), _whole(values[depth]))


def _whole(plane: NDArray[np.float64]) -> tuple[Span, Span]:
    return (0, plane.shape[0]), (0, plane.shape[1])


def _factors(drawn: Sequence[_Drawn], side: int) -> dict[int, float]:
    """Page pixels per pixel of the input, by number of axes: an integer where maps are enlarged."""
    factors = {}
    for rank in {one.rank for one in drawn}:
        largest = max(max(one.sides) for one in drawn if one.rank == rank)
        factors[rank] = side // largest if side >= largest else side / largest
    return factors


def _windows(rows: list[list[_Drawn]], factors: dict[int, float]) -> tuple[list[list[Window]], list[int]]:
    """Where each map stands, on one base in each row; and the left of each column, with that of one more."""
    sizes = [[_size(one, factors[one.rank]) for one in row] for row in rows]
    lefts = [AXIS_LEFT]
    for column in zip_longest(*sizes, fillvalue=(0, 0)):
        lefts.append(lefts[-1] + max(_NARROW, *(wide for _, wide in column)) + _GAP + AXIS_LEFT)
    windows, base = [], _TOP - AXIS_BELOW - 2 * _LINE - _GAP
    for row, drawn in zip(rows, sizes, strict=True):
        base += AXIS_BELOW + 2 * _LINE + _GAP + max(high for high, _ in drawn)
        windows.append([
            Window(*one.part, left, base - high, wide, high)
            for one, left, (high, wide) in zip(row, lefts, drawn, strict=False)  # lefts are those of a full row
        ])  # fmt: skip
    return windows, lefts


def _size(one: _Drawn, factor: float) -> tuple[int, int]:
    """Page (height, width); slivers are widened until they can be seen."""
    high, wide = (max(round(pixels * factor), _LEAST) for pixels in one.sides)
    return (_BAND if one.rank == 1 else high), wide


def _draw_panel(canvas: Canvas, window: Window, one: _Drawn, look: Look, axes: Axes) -> None:
    draw_heat(canvas, window, one.plane, look)
    if one.rank == 1:
        canvas.frame(*window.area)
        draw_column_ticks(canvas, window, axes[1])
    else:
        draw_axes(canvas, window, axes)
    if one.box is not None:
        canvas.lines(window.area, _strokes(window, one, one.box, look.colormap))
    if one.sizes:
        canvas.lines(window.area, _squares(window, one))


def _strokes(window: Window, one: _Drawn, box: Box, colormap: str) -> list[Stroke]:
    """The lines around the mass, the TRF box and the projected centre."""
    shape = (one.plane.shape[0], one.plane.shape[1])
    tracing = traced(one.plane, [_PLANE], max(stop - start for start, stop in mass_spans(one.plane)))
    strokes = [(window.points(line), pen) for line, pen in contour_lines(tracing, _PLANE, tuple(box))]
    strokes += trf_strokes(window, shape, tuple(box), colormap)
    return strokes if one.center is None else strokes + centre_strokes(window, shape, tuple(one.center), colormap)


def _squares(window: Window, one: _Drawn) -> list[Stroke]:
    """The outlines of the sizes, around the middle of the map, as far as they lie on what is shown."""
    strokes = []
    for (_, side), pen in zip(one.sizes, legend.SIZES, strict=False):
        rows, columns = (
            (max(n / 2 - side / 2, low), min(n / 2 + side / 2, high))
            for n, (low, high) in zip(one.plane.shape, one.part, strict=True)
        )
        strokes.append((outline(window, rows, columns), pen))
    return strokes


def _draw_words(canvas: Canvas, window: Window, one: _Drawn, room: int) -> None:
    below = window.top + window.height + AXIS_BELOW + 2
    for n, words in enumerate(one.words):
        _write(canvas, (window.left, below + n * _LINE), words, _CAPTION, room, color=SUBTLE if n else TEXT)


def _write(
    canvas: Canvas, place: tuple[int, int], words: str, size: int, room: int, color: tuple[int, int, int] = TEXT
) -> None:
    canvas.text(*place, shortened(inert(words), lambda text: text_width(text, size) <= room), size, color=color)
