"""What the pictures of planes share: heat, mass lines, TRF box and centre on a window, and their legend."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope_picture import legend
from erfscope_picture.axes import Window
from erfscope_picture.canvas import Canvas, Stroke
from erfscope_picture.colormap import accent, colorize
from erfscope_picture.contour import Tracing
from erfscope_picture.layout2d import resampled
from erfscope_picture.legend import Entry
from erfscope_picture.marks import Marks
from erfscope_picture.scale import placed
from erfscope_picture.text import number

Array = NDArray[np.float64]
Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Look:
    """How a picture is drawn, as the caller asked."""

    scale: str
    colormap: str
    title: str | None
    overlay: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Scene:
    """A map with everything that is drawn on it."""

    values: Array
    marks: Marks
    look: Look
    tracing: Tracing | None


def draw_heat(canvas: Canvas, window: Window, plane: Array, look: Look) -> None:
    """The window's pixels in colour, over the overlay where there is one: the stronger, the less it shows."""
    shares = resampled(window.cut(plane), window.height, window.width)
    places = placed(np.clip(shares, 0, 1), look.scale)
    colours = colorize(places, look.colormap)
    if look.overlay is not None:
        part = window.cut(look.overlay.astype(np.float64))
        ground = np.stack([resampled(part[..., c], window.height, window.width) for c in range(3)], axis=2)
        opacity = (0.35 + 0.5 * places)[..., None]
        colours = np.rint(opacity * colours + (1 - opacity) * ground).astype(np.uint8)
    canvas.pixels(window.left, window.top, colours)


def contour_lines(tracing: Tracing | None, cut: tuple[int | slice, ...], box: Box) -> list[Stroke]:
    """Lines of all shares of the mass in a plane, in the input's (row, column), with their pens.

    None leaves `box`, the TRF's in the plane: no mass is beyond it, but smoothing and interpolation would step over it.
    """
    if tracing is None:
        return []
    low, high = np.array(box).T - 0.5
    shares = legend.CONTOURS.items()
    return [(np.clip(line, low, high), pen) for share, pen in shares for line in tracing.lines(share, cut)]


def trf_strokes(window: Window, shape: tuple[int, ...], box: Box, colormap: str) -> list[Stroke]:
    """The part of the TRF box that lies on the input; nothing where none does."""
    rows, columns = ((max(start, 0), min(stop, n)) for (start, stop), n in zip(box, shape, strict=True))
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return []
    return [(outline(window, rows, columns), legend.trf_pen(colormap))]


def outline(window: Window, rows: tuple[float, float], columns: tuple[float, float]) -> Array:
    """A box as a closed line on the page, kept off the frame so that it is seen there too."""
    left, top, width, height = window.area
    xs = [_off(window.x(c - 0.5), left, left + width) for c in columns]
    ys = [_off(window.y(r - 0.5), top, top + height) for r in rows]
    return np.array([(xs[i], ys[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))])


def _off(place: float, low: int, high: int) -> float:
    return low + 2.0 if abs(place - low) < 2 else high - 2.0 if abs(place - high) < 2 else place


def centre_strokes(window: Window, shape: tuple[int, ...], center: tuple[float, ...], colormap: str) -> list[Stroke]:
    """The cross at the projected centre (row, column), where that lies on the input."""
    if not is_inside(center, shape):
        return []
    return legend.cross(window.x(center[1]), window.y(center[0]), accent(colormap))


def is_inside(center: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    """The place, in pixel-centre coordinates, lies on the input."""
    return all(-0.5 <= c < n - 0.5 for c, n in zip(center, shape, strict=True))


def mass_entries(tracing: Tracing | None, whole: str = "") -> list[Entry]:
    """Legend rows of the lines around the mass, and of their smoothing."""
    if tracing is None:
        return [Entry("the map is zero everywhere")]
    if tracing.is_scattered:
        return [Entry("no lines around the mass: the map has gaps")]
    rows = [
        Entry(f"smallest set with {share * 100:.0f} % of the mass{whole}", pen)
        for share, pen in legend.CONTOURS.items()
    ]
    if tracing.sigma:
        rows.append(Entry(f"(lines smoothed by {number(tracing.sigma)} px)"))
    return rows


def mark_entries(shape: tuple[int, ...], marks: Marks, colormap: str) -> list[Entry]:
    """Legend rows of the TRF box and the projected centre."""
    pen = legend.trf_pen(colormap)
    on_map = all(start < n and stop > 0 for (start, stop), n in zip(marks.box, shape, strict=True))
    rows = [Entry(marks.trf, pen) if on_map else Entry(f"{marks.trf}, off the input")]
    if is_inside(marks.center, shape):
        rows.append(Entry("projected centre", pen, cross=True))
    return rows
