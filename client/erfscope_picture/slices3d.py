"""The picture of a three-dimensional map: the three planes through the projected centre."""

import numpy as np
from numpy.typing import NDArray

from erfscope_picture import contour, heading, legend, zoom
from erfscope_picture.axes import Window, draw_axes, draw_colorbar
from erfscope_picture.canvas import Canvas
from erfscope_picture.layout2d import AXIS_BELOW, AXIS_LEFT, BAR_SPACE, LOW, fitted
from erfscope_picture.legend import Entry
from erfscope_picture.marks import Marks
from erfscope_picture.scene import (
    Look,
    Scene,
    centre_strokes,
    contour_lines,
    draw_heat,
    mark_entries,
    mass_entries,
    outline,
    trf_strokes,
)
from erfscope_picture.units import unit_of
from erfscope_picture.zoom import Span

Volume = NDArray[np.float64]
_CAP = (330, 256)
_NAMES = "zyx"
_CAPTION = 28


def through(center: tuple[float, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The voxel that holds the projected centre, or the nearest one of the input."""
    return tuple(min(max(int(np.floor(c + 0.5)), 0), n - 1) for c, n in zip(center, shape, strict=True))


def _cut(voxel: tuple[int, ...], axis: int) -> tuple[int | slice, ...]:
    """The plane across an axis."""
    return tuple(i if a == axis else slice(None) for a, i in enumerate(voxel))


def draw_slices3d(values: Volume, marks: Marks, look: Look) -> Canvas:
    """Three slices of the map [D, H, W] on one colour scale; the lines hold the whole volume's mass.

    Where the mass sits in a small part, that part of each slice stands below.
    """
    voxel = through(marks.center, values.shape)
    extent = max(stop - start for start, stop in zoom.mass_spans(values))
    tracing = contour.traced(values, [_cut(voxel, axis) for axis in range(3)], extent)
    entries = [*mass_entries(tracing, " of the volume"), *mark_entries(values.shape, marks, look.colormap)]
    boxes: list[list[Span]] = [[(0, n) for n in values.shape]]
    closer = zoom.zoomed(values, (_CAP[1],) * 3)
    if closer and all(start <= i < stop for i, (start, stop) in zip(voxel, closer, strict=True)):
        boxes.append(closer)
        entries.append(Entry("the part shown larger", legend.ZOOM))
    return _drawn(Scene(values, marks, look, tracing), voxel, _windows(boxes), entries)


def _windows(boxes: list[list[Span]]) -> list[list[Window]]:
    """A row of three windows for each box of the volume, set in columns."""
    planes = [[[span for a, span in enumerate(box) if a != axis] for axis in range(3)] for box in boxes]
    sizes = [[fitted((y[1] - y[0], x[1] - x[0]), _CAP) for y, x in row] for row in planes]
    lefts = [heading.MARGIN + AXIS_LEFT]
    for column in zip(*sizes, strict=True):
        lefts.append(lefts[-1] + max(width for _, width in column) + AXIS_LEFT + 18)
    rows, top = [], heading.HEIGHT + 8 + _CAPTION
    for spans, row in zip(planes, sizes, strict=True):
        places = zip(spans, lefts, row, strict=False)  # lefts ends with the page's
        rows.append([Window(y, x, left, top, width, height) for (y, x), left, (height, width) in places])
        top += max(height for height, _ in row) + AXIS_BELOW + _CAPTION
    return rows


def _drawn(scene: Scene, voxel: tuple[int, ...], rows: list[list[Window]], entries: list[Entry]) -> Canvas:
    top, look = rows[0][0].top, scene.look
    right = max(row[-1].left + row[-1].width for row in rows)
    bottom = max(window.top + window.height for window in rows[-1])
    bar = (right + 26, top, max(bottom - top, LOW))
    width = max(bar[0] + BAR_SPACE + heading.MARGIN, 1000)
    room = width - 2 * heading.MARGIN
    below = max(bottom + AXIS_BELOW, top + bar[2] + 14)
    canvas = Canvas(width, below + legend.LINE * len(legend.rows(entries, room)) + 26)
    heading.draw_heading(canvas, scene.marks, look.title)
    for axis in range(3):
        _draw_slice(canvas, [row[axis] for row in rows], scene, voxel, axis)
    draw_colorbar(canvas, bar, look.scale, look.colormap)
    legend.draw_legend(canvas, (heading.MARGIN, below + 8, room), entries, look.colormap)
    return canvas


def _draw_slice(canvas: Canvas, windows: list[Window], scene: Scene, voxel: tuple[int, ...], axis: int) -> None:
    """One plane with its caption, whole and closer; the TRF box only where the plane cuts it."""
    marks, colormap = scene.marks, scene.look.colormap
    down, across = (a for a in range(3) if a != axis)
    cut, shape = _cut(voxel, axis), (scene.values.shape[down], scene.values.shape[across])
    caption = f"{_NAMES[down]}, {_NAMES[across]} plane at {_NAMES[axis]} = {voxel[axis]}"
    lines = contour_lines(scene.tracing, cut, (marks.box[down], marks.box[across]))
    for window in windows:
        draw_heat(canvas, window, scene.values[cut], scene.look)
        draw_axes(canvas, window, (f"{_NAMES[down]} ({unit_of(3)})", f"{_NAMES[across]} ({unit_of(3)})"))
        canvas.text(window.left, window.top - 15, caption, legend.SIZE)
        strokes = [(window.points(line), pen) for line, pen in lines]
        if marks.box[axis][0] <= voxel[axis] < marks.box[axis][1]:
            strokes += trf_strokes(window, shape, (marks.box[down], marks.box[across]), colormap)
        strokes += [(outline(window, w.rows, w.columns), legend.ZOOM) for w in windows[1:] if w is not window]
        strokes += centre_strokes(window, shape, (marks.center[down], marks.center[across]), colormap)
        canvas.lines(window.area, strokes)
