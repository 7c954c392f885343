"""Where panels, colour bar and legend stand on a page of a given width: all in inches, from the bottom left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erfscope_picture.paper.page import SMALLER, Page

Rect = tuple[float, float, float, float]  # left, bottom, width, height
Shape = tuple[float, float] | None  # height and width of a plane; height 0 for a line
_LINE_HEIGHT = 0.9  # inches, of a panel with a line
_FLATTEST = 0.2  # no plane is lower than this share of its width, nor narrower than this share of its height
HANDLE, HANDLE_PAD, COLUMN_GAP = 2.6, 0.8, 1.2  # of the legend, in its font's sizes


@dataclass(frozen=True)
class Layout:
    """Positions in inches; `aligned` panels have the same axes, whose names are written at the edge alone."""

    width: float
    height: float
    boxes: Sequence[Sequence[Rect]]
    bar: Rect
    legend_columns: int
    aligned: bool

    def share(self, box: Rect) -> Rect:
        """A box as matplotlib has it: in shares of the page."""
        left, bottom, width, height = box
        return left / self.width, bottom / self.height, width / self.width, height / self.height


def arranged(rows: Sequence[Sequence[Shape]], page: Page, names: Sequence[str], legend: Sequence[str] = ()) -> Layout:
    """Boxes of the panels' proportions; one unit of the input is as long in all of them, but for slivers.

    `legend` are the words of the legend, in as many columns as the page has room for.
    """
    assert page.width is not None
    em = page.font_size / 72
    known = [shape for row in rows for shape in row if shape]
    aligned = len({*known}) == 1
    left = (1.6 * em if names else 0) + 4.2 * em  # the row's name; the axis' name and its ticks
    between = 0.9 * em if aligned else 4.4 * em
    has_planes = any(shape[0] for shape in known)
    right = 6.4 * em if has_planes else 0.8 * em
    columns = [_widest(rows, column) for column in range(max(map(len, rows)))]
    factor = (page.width - left - right - between * (len(columns) - 1)) / sum(columns)
    if factor <= 0:
        raise ValueError(
            f"{len(columns)} panels beside each other do not fit into {page.width:g} inches; give more width"
        )
    heights = [max(_height(shape, factor) for shape in row if shape) for row in rows]
    columns_of_legend = _legend_columns(page, legend)
    below = (1.9 * em * -(-len(legend) // columns_of_legend) if has_planes else 0) + 0.4 * em
    return _placed(rows, page.width, factor, heights, _Margins(
        left, below, between, 3.1 * em, (0.6 * em if aligned else 3.1 * em) + 2.9 * em, 3.1 * em
    ), columns, columns_of_legend, aligned, em)  # fmt: skip


def _legend_columns(page: Page, legend: Sequence[str]) -> int:
    """The most columns of a legend, filled from the top, that are as wide as the page at most."""
    assert page.width is not None
    em = SMALLER * page.font_size / 72
    lengths = [page.length_of(text, SMALLER) + (HANDLE + HANDLE_PAD) * em for text in legend]
    for count in range(len(legend), 1, -1):
        columns = [float(column.max()) for column in np.array_split(lengths, count)]  # as matplotlib fills them
        if sum(columns) + (COLUMN_GAP * (count - 1) + 2 * HANDLE_PAD) * em <= page.width:
            return count
    return 1


@dataclass(frozen=True)
class _Margins:
    left: float
    below: float  # the legend
    between: float  # columns
    axis: float  # the horizontal axis' ticks and name
    rows: float  # from one row's boxes to the next one's
    top: float  # the words above the first row


def _placed(
    rows: Sequence[Sequence[Shape]], width: float, factor: float, heights: Sequence[float], margins: _Margins,
    columns: Sequence[float], legend_columns: int, aligned: bool, em: float,
) -> Layout:  # fmt: skip
    height = margins.below + margins.axis + sum(heights) + margins.rows * (len(rows) - 1) + margins.top
    boxes, top = [], height - margins.top
    for row, high in zip(rows, heights, strict=True):
        line, left = [], margins.left
        for shape, column in zip(row, columns, strict=False):  # the last row may be short
            if shape:
                own = _height(shape, factor)
                line.append((left, top - high + (high - own), _width(shape, factor), own))
            else:
                line.append((left, top - high, column * factor, high))
            left += column * factor + margins.between
        boxes.append(line)
        top -= high + margins.rows
    right = margins.left + sum(columns) * factor + margins.between * (len(columns) - 1)
    bottom = margins.below + margins.axis
    bar = (right + 0.8 * em, bottom, 0.9 * em, height - margins.top - bottom)
    return Layout(width, height, boxes, bar, legend_columns, aligned)


def _widest(rows: Sequence[Sequence[Shape]], column: int) -> float:
    shapes = [row[column] for row in rows if len(row) > column]
    return max((_wide(shape) for shape in shapes if shape), default=0.0)


def _wide(shape: tuple[float, float]) -> float:
    """Units of the input that a panel's width is counted as: a high sliver is widened."""
    return max(shape[1], _FLATTEST * shape[0])


def _width(shape: tuple[float, float], factor: float) -> float:
    return _wide(shape) * factor


def _height(shape: tuple[float, float], factor: float) -> float:
    if not shape[0]:
        return _LINE_HEIGHT
    return max(shape[0], _FLATTEST * shape[1]) * factor
