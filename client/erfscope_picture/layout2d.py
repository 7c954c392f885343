"""Where things stand in a two-dimensional picture: panels, colour bar, legend."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erfscope_picture import heading, legend
from erfscope_picture.axes import Window
from erfscope_picture.legend import Entry
from erfscope_picture.zoom import Span

AXIS_LEFT, AXIS_BELOW = 66, 56  # what ticks and names take outside a panel
BAR_SPACE = 118
_SHORT = 72  # no panel is narrower or lower
LOW = 190  # no colour bar is lower
_WIDTH = 1000
# Largest (height, width) of a panel by (wide map, number of panels).
CAPS = {(False, 1): (768, 768), (False, 2): (460, 460), (True, 1): (460, 1024), (True, 2): (320, 1024)}


@dataclass(frozen=True)
class Layout:
    """Positions on the page; the legend is set in lines of its width."""

    size: tuple[int, int]
    windows: list[Window]
    bar: tuple[int, int, int]
    legend: tuple[int, int, int]


def is_wide(shape: tuple[int, ...]) -> bool:
    """Panels of such a map stand below each other."""
    return shape[1] > 1.8 * shape[0]


def fitted(shape: tuple[int, int], cap: tuple[int, int]) -> tuple[int, int]:
    """Page (height, width) of a plane: enlarged by an integer or reduced; slivers are stretched."""
    factor = min(cap[0] / shape[0], cap[1] / shape[1])
    factor = int(factor) if factor >= 1 else factor
    return _stretched(shape[0], round(shape[0] * factor)), _stretched(shape[1], round(shape[1] * factor))


def _stretched(pixels: int, side: int) -> int:
    if side >= _SHORT:
        return side
    return pixels * -(-_SHORT // pixels) if pixels < _SHORT else _SHORT


def is_stretched(window: Window) -> bool:
    """The window's axes are not to the same scale."""
    per_row = window.height / (window.rows[1] - window.rows[0])
    per_column = window.width / (window.columns[1] - window.columns[0])
    return not 0.9 < per_row / per_column < 1.1


def resampled(plane: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """A plane at page size: pixels repeated when enlarged by an integer, exact area means when reduced."""
    image = Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float64)


def arranged(shape: tuple[int, int], boxes: list[list[Span]], entries: list[Entry]) -> Layout:
    """Panels of the given (rows, columns) boxes: a wide map's stand below, others beside each other."""
    left, top = heading.MARGIN + AXIS_LEFT, heading.HEIGHT + 8
    windows, x, y = [], left, top
    for rows, columns in boxes:
        height, width = fitted((rows[1] - rows[0], columns[1] - columns[0]), CAPS[is_wide(shape), len(boxes)])
        windows.append(Window(rows, columns, x, y, width, height))
        x, y = (x, y + height + AXIS_BELOW) if is_wide(shape) else (x + width + AXIS_LEFT + 20, y)
    right = max(w.left + w.width for w in windows)
    bottom = max(w.top + w.height for w in windows)
    bar = (right + 26, top, max(bottom - top, LOW))
    return _with_legend(windows, bar, max(bottom + AXIS_BELOW, top + bar[2] + 14), entries)


def _with_legend(windows: list[Window], bar: tuple[int, int, int], bottom: int, entries: list[Entry]) -> Layout:
    """The legend beside the panels where a page of usual width has room, below them elsewhere."""
    right = bar[0] + BAR_SPACE
    column = round(max(entry.width for entry in entries)) + 1
    if right + column + heading.MARGIN <= 1280:
        width = max(right + column + heading.MARGIN, _WIDTH)
        height = max(bottom, bar[1] + legend.LINE * len(entries)) + 14
        return Layout((width, height), windows, bar, (right, bar[1], column))
    width = max(right + heading.MARGIN, _WIDTH)
    room = width - 2 * heading.MARGIN
    height = bottom + legend.LINE * len(legend.rows(entries, room)) + 26
    return Layout((width, height), windows, bar, (heading.MARGIN, bottom + 8, room))
