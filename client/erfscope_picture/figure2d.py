"""The picture of a two-dimensional map."""

import numpy as np
from numpy.typing import NDArray

from erfscope_picture import contour, legend, zoom
from erfscope_picture.axes import Window, draw_axes, draw_colorbar
from erfscope_picture.canvas import Canvas, Stroke
from erfscope_picture.heading import draw_heading
from erfscope_picture.layout2d import CAPS, Layout, arranged, is_stretched, is_wide
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
from erfscope_picture.zoom import Span

Plane = NDArray[np.float64]
_PLANE = (slice(None), slice(None))


def draw_figure2d(values: Plane, marks: Marks, look: Look) -> Canvas:
    """The whole map [H, W] and, where its mass sits in a small part, a closer look at that part."""
    shape = (values.shape[0], values.shape[1])
    boxes: list[list[Span]] = [[(0, shape[0]), (0, shape[1])]]
    closer = zoom.zoomed(values, CAPS[is_wide(shape), 2])
    if closer:
        boxes.append(closer)
    tracing = contour.traced(values, [_PLANE], max(stop - start for start, stop in zoom.mass_spans(values)))
    scene = Scene(values, marks, look, tracing)
    entries = [*mass_entries(tracing), *mark_entries(shape, marks, look.colormap)]
    if closer:
        entries.append(Entry("the part shown larger", legend.ZOOM))
    layout = arranged(shape, boxes, entries)
    if any(map(is_stretched, layout.windows)):
        entries.append(Entry("y and x are not to the same scale"))
        layout = arranged(shape, boxes, entries)
    return _drawn(layout, scene, entries)


def _drawn(layout: Layout, scene: Scene, entries: list[Entry]) -> Canvas:
    canvas = Canvas(*layout.size)
    draw_heading(canvas, scene.marks, scene.look.title)
    lines = contour_lines(scene.tracing, _PLANE, scene.marks.box)
    for window in layout.windows:
        draw_heat(canvas, window, scene.values, scene.look)
        draw_axes(canvas, window)
        canvas.lines(window.area, _strokes(window, scene, lines, layout.windows[1:]))
    draw_colorbar(canvas, layout.bar, scene.look.scale, scene.look.colormap)
    legend.draw_legend(canvas, layout.legend, entries, scene.look.colormap)
    return canvas


def _strokes(window: Window, scene: Scene, lines: list[Stroke], closer: list[Window]) -> list[Stroke]:
    """All lines of a panel: mass, TRF, the outline of the closer look, the centre."""
    shape, marks, colormap = scene.values.shape, scene.marks, scene.look.colormap
    strokes = [(window.points(line), pen) for line, pen in lines]
    strokes += trf_strokes(window, shape, marks.box, colormap)
    strokes += [(outline(window, w.rows, w.columns), legend.ZOOM) for w in closer if w is not window]
    return strokes + centre_strokes(window, shape, marks.center, colormap)
