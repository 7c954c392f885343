"""One measured map on matplotlib axes: heat, lines around the mass, TRF box, centre."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from erfscope_picture import contour, zoom
from erfscope_picture.colormap import color_at
from erfscope_picture.marks import Marks, read
from erfscope_picture.paper.page import USUAL_PAGE, Lengths, Page, as_shares
from erfscope_picture.picture import checked_map
from erfscope_picture.scale import label as scale_label
from erfscope_picture.scene import is_inside
from erfscope_picture.slices3d import through
from erfscope_picture.units import OWN_UNITS

Array = NDArray[np.float64]
NAMES = "zyx"
DASHES: Mapping[float, Any] = {0.50: "-", 0.90: (0, (4, 2)), 0.99: (0, (1, 1.5))}
LINE, _HALO = 0.8, 1.6  # points
ARROW = 3.5  # points, of the mark where the TRF goes on beyond the input
_SMOOTH = 4096  # a line with more points is drawn by its envelope


def plot_map(
    ax: Axes,
    map: NDArray[np.floating],
    result: Mapping[str, Any],
    page: Page = USUAL_PAGE,
    *,
    lengths: Sequence[Lengths] | None = None,
    across: int = 0,
) -> AxesImage | None:
    """Draw a map [L], [H, W] or [D, H, W] with values in [0, 1]; returns the image, None for a line.

    `result` is the ErfResult as JSON object. Of a volume the plane across axis `across` through the centre is drawn.
    `lengths` are the units per axis of the map (pixels by default). A unit is as long down as across, whatever shape
    the axes have. ValueError for a map that is not one.
    """
    values = checked_map(map)
    marks = read(result, values.ndim)
    units = _units(values.ndim, lengths)
    if values.ndim == 1:
        _plot_line(ax, values, marks, page, units[0])
        return None
    return _plot_plane(ax, values, marks, page, units, across)


def plane_title(map: NDArray[np.floating], result: Mapping[str, Any], across: int) -> str:
    """Which plane of a volume is drawn."""
    down, right = (a for a in range(3) if a != across)
    at = through(read(result, 3).center, map.shape)[across]
    return f"{NAMES[down]}, {NAMES[right]} plane at {NAMES[across]} = {at}"


def axis_names(rank: int, across: int = 0, lengths: Sequence[Lengths] | None = None) -> tuple[str, str]:
    """Names of the vertical and of the horizontal axis of what `plot_map` draws."""
    units = _units(rank, lengths)
    if rank == 1:
        return scale_label("linear"), f"x ({units[0].unit})"
    names = NAMES[3 - rank :]
    down, right = (f"{names[a]} ({units[a].unit})" for a in range(rank) if rank == 2 or a != across)
    return down, right


def trf_marks(map: NDArray[np.floating], result: Mapping[str, Any], across: int) -> tuple[bool, bool]:
    """Whether the box of the TRF has sides on the plane, and arrows where it goes on beyond the input."""
    axes = [a for a in range(map.ndim) if map.ndim == 2 or a != across]
    spans = [(*read(result, map.ndim).box[a], map.shape[a]) for a in axes]
    return any(start >= 0 or stop <= n for start, stop, n in spans), any(
        start < 0 or stop > n for start, stop, n in spans
    )


def shows_center(map: NDArray[np.floating], result: Mapping[str, Any], across: int) -> bool:
    """Whether the projected centre is on the plane."""
    axes = [a for a in range(map.ndim) if map.ndim == 2 or a != across]
    center = read(result, map.ndim).center
    return is_inside(tuple(center[a] for a in axes), tuple(map.shape[a] for a in axes))


def shows_contours(map: NDArray[np.floating], result: Mapping[str, Any], across: int) -> bool:
    """Whether lines around the mass are drawn on the plane: a map with gaps has none."""
    values = np.asarray(map, dtype=np.float64)
    tracing = _traced(values, _cut(values.shape, read(result, map.ndim), across))
    return tracing is not None and not tracing.is_scattered


def _units(rank: int, lengths: Sequence[Lengths] | None) -> tuple[Lengths, ...]:
    return tuple(lengths or [Lengths(OWN_UNITS[rank])] * rank)


def _cut(shape: tuple[int, ...], marks: Marks, across: int) -> tuple[int | slice, ...]:
    """The plane that is drawn: all of a map with two axes, the one through the centre of a volume."""
    at = through(marks.center, shape)
    return tuple(slice(None) if len(shape) == 2 or a != across else at[a] for a in range(len(shape)))


def _traced(values: Array, cut: tuple[int | slice, ...]) -> contour.Tracing | None:
    extent = max(stop - start for start, stop in zoom.mass_spans(values)) if values.any() else 1
    return contour.traced(values, [cut], extent)


def _plot_plane(ax: Axes, values: Array, marks: Marks, page: Page, units: Sequence[Lengths], across: int) -> AxesImage:
    axes = [a for a in range(values.ndim) if values.ndim == 2 or a != across]
    cut = _cut(values.shape, marks, across)
    plane, steps = values[cut], [units[a].step for a in axes]
    (high, wide), (down, right) = plane.shape, steps
    extent = (-0.5 * right, (wide - 0.5) * right, (high - 0.5) * down, -0.5 * down)
    image = ax.imshow(plane, cmap=page.colours, norm=page.norm, extent=extent, interpolation="none", aspect="equal")
    box = [marks.box[a] for a in axes]
    if page.contours:
        _draw_contours(ax, values, cut, box, steps)
    if page.trf and all(a in axes or _holds(marks.box[a], cut[a]) for a in range(values.ndim)):
        _draw_box(ax, box, plane.shape, steps, page)
    center = [marks.center[a] for a in axes]
    if is_inside(tuple(center), plane.shape):
        ax.plot(center[1] * right, center[0] * down, "+", color=page.accent, markersize=5, markeredgewidth=LINE)
    ax.set_xlim(extent[0], extent[1])
    ax.set_ylim(extent[2], extent[3])
    ylabel, xlabel = axis_names(values.ndim, across, units)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    return image


def _holds(span: tuple[int, int], at: int | slice) -> bool:
    return isinstance(at, int) and span[0] <= at < span[1]


def _draw_contours(
    ax: Axes, values: Array, cut: tuple[int | slice, ...], box: Sequence[tuple[int, int]], steps: Sequence[float]
) -> None:
    """The lines of the picture, clipped to the TRF's box: no mass is beyond it."""
    tracing = _traced(values, cut)
    if tracing is None:
        return
    low, high = np.array(box).T - 0.5
    halo = [Stroke(linewidth=_HALO, foreground=(0, 0, 0, 0.5)), Normal()]
    for share, dash in DASHES.items():
        for line in tracing.lines(share, cut):
            y, x = (np.clip(line, low, high) * steps).T
            ax.plot(x, y, color="white", linewidth=LINE, linestyle=dash, path_effects=halo)


def _draw_box(
    ax: Axes, box: Sequence[tuple[int, int]], shape: Sequence[int], steps: Sequence[float], page: Page
) -> None:
    """The sides of the TRF that lie on the input; an arrow outward in the middle of each that lies beyond it."""
    spans = [(max(start, 0), min(stop, n)) for (start, stop), n in zip(box, shape, strict=True)]
    if any(start >= stop for start, stop in spans):
        return
    (top, bottom), (left, right) = (
        ((start - 0.5) * step, (stop - 0.5) * step) for (start, stop), step in zip(spans, steps, strict=True)
    )
    (above, below), (before, behind) = ((start < 0, stop > n) for (start, stop), n in zip(box, shape, strict=True))
    sides = (
        (above, (left, right), (top, top), "^"), (below, (left, right), (bottom, bottom), "v"),
        (before, (left, left), (top, bottom), "<"), (behind, (right, right), (top, bottom), ">"),
    )  # fmt: skip
    for is_beyond, x, y, arrow in sides:
        if is_beyond:
            middle = [sum(x) / 2], [sum(y) / 2]
            ax.plot(*middle, arrow, color=page.accent, markersize=ARROW, markeredgewidth=0, clip_on=False)
        else:
            ax.plot(x, y, color=page.accent, linewidth=LINE, linestyle=(0, (5, 2)), clip_on=False)


def _plot_line(ax: Axes, values: Array, marks: Marks, page: Page, unit: Lengths) -> None:
    """The map of a line over its axis, the TRF as a band, the centre as a dashed line."""
    at = np.arange(len(values)) * unit.step
    color = as_shares(color_at(page.colormap, 80))
    if len(values) <= _SMOOTH:
        ax.fill_between(at, values, step="mid", color=color, linewidth=0)
    else:
        block = -(-len(values) // _SMOOTH)
        padded = np.pad(values, (0, -len(values) % block)).reshape(-1, block)
        ax.fill_between(at[::block] + unit.step * (block - 1) / 2, padded.max(axis=1), color=color, linewidth=0)
    if page.trf:
        start, stop = marks.box[0]
        span = (max(start, 0) - 0.5) * unit.step, (min(stop, len(values)) - 0.5) * unit.step
        if span[0] < span[1]:
            ax.axvspan(*span, facecolor="none", edgecolor=page.accent, linewidth=LINE, linestyle=(0, (5, 2)))
    if is_inside(marks.center, values.shape):
        ax.axvline(marks.center[0] * unit.step, color=page.accent, linewidth=LINE, linestyle=(0, (4, 2)))
    if page.scale != "linear":
        ax.set_yscale("log" if page.scale == "log" else "function", **_square_root(page.scale))
    ax.set_ylim(1e-5 if page.scale == "log" else 0, 1.02)
    ax.set_xlim(-0.5 * unit.step, (len(values) - 0.5) * unit.step)
    ylabel, xlabel = axis_names(1, lengths=[unit])
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)


def _square_root(scale: str) -> dict[str, Any]:
    if scale == "log":
        return {}
    return {"functions": (lambda v: np.sqrt(np.maximum(v, 0)), np.square)}
