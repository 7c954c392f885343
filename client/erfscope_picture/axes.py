"""A window onto the input's pixels with its frame, round ticks and colour bar."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope_picture import scale as scales
from erfscope_picture.canvas import FRAME, SUBTLE, TEXT, Canvas, text_width
from erfscope_picture.colormap import colorize

TICK_SIZE = 12
BAR_WIDTH = 18


def round_ticks(start: float, stop: float, at_most: int) -> list[int]:
    """Multiples of 1, 2 or 5 times a power of ten within [start, stop], at most so many (at least one)."""
    step = 1
    while (stop // step) - -(-start // step) + 1 > max(at_most, 1):
        step = next(s for s in (10 ** (len(str(step)) - 1) * f for f in (1, 2, 5, 10)) if s > step)
    first = int(-(-start // step))
    return [i * step for i in range(first, int(stop // step) + 1)]


@dataclass(frozen=True)
class Window:
    """The pixels [y0, y1) × [x0, x1) of the input shown at left, top in width × height pixels of the page."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    left: int
    top: int
    width: int
    height: int

    @property
    def area(self) -> tuple[int, int, int, int]:
        """(left, top, width, height) on the page."""
        return self.left, self.top, self.width, self.height

    def x(self, column: float) -> float:
        """Page x of a column in pixel-centre coordinates."""
        return self.left + (column + 0.5 - self.columns[0]) * self.width / (self.columns[1] - self.columns[0])

    def y(self, row: float) -> float:
        """Page y of a row in pixel-centre coordinates."""
        return self.top + (row + 0.5 - self.rows[0]) * self.height / (self.rows[1] - self.rows[0])

    def points(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Page (x, y) of (row, column) places [k, 2]."""
        start = np.array([self.columns[0], self.rows[0]])
        stop = np.array([self.columns[1], self.rows[1]])
        scale = np.array([self.width, self.height]) / (stop - start)
        page: NDArray[np.float64] = (places[:, ::-1] + 0.5 - start) * scale + (self.left, self.top)
        return page

    def cut(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of a plane [H, W] or an image [H, W, 3] that the window shows."""
        return values[slice(*self.rows), slice(*self.columns)]


def draw_axes(canvas: Canvas, window: Window, names: tuple[str, str] = ("y (px)", "x (px)")) -> None:
    """Frame, ticks outside it and names of the vertical and horizontal axis."""
    canvas.frame(*window.area)
    draw_column_ticks(canvas, window, names[1])
    widest = 0.0
    for row in round_ticks(window.rows[0], window.rows[1] - 1, max(2, window.height // 62)):
        y = window.y(row)
        canvas.fill(window.left - 6, y, window.left - 1, y + 1, FRAME)
        canvas.text(window.left - 10, y, str(row), TICK_SIZE, align=1)
        widest = max(widest, text_width(str(row), TICK_SIZE))
    canvas.upright(window.left - 24 - widest, window.top + window.height / 2, names[0], TICK_SIZE)


def draw_column_ticks(canvas: Canvas, window: Window, name: str) -> None:
    """Ticks below the window and the name of its horizontal axis."""
    bottom = window.top + window.height
    for column in round_ticks(window.columns[0], window.columns[1] - 1, max(2, window.width // 62)):
        x = window.x(column)
        canvas.fill(x, bottom + 1, x + 1, bottom + 6, FRAME)
        canvas.text(x, bottom + 15, str(column), TICK_SIZE, align=0.5)
    canvas.text(window.left + window.width / 2, bottom + 35, name, TICK_SIZE, color=SUBTLE, align=0.5)


def draw_colorbar(canvas: Canvas, bar: tuple[int, int, int], scale: str, colormap: str) -> None:
    """The colour bar at (left, top, height) with its ticks at the right and its name."""
    left, top, height = bar
    places = 1 - (np.arange(height) + 0.5) / height
    canvas.pixels(left, top, np.repeat(colorize(places, colormap)[:, None], BAR_WIDTH, axis=1))
    canvas.frame(left, top, BAR_WIDTH, height)
    widest = 0.0
    for share, label in spaced_ticks(scale, height):
        y = top + (1 - float(scales.placed(np.array(share), scale))) * height
        canvas.fill(left + BAR_WIDTH + 1, y, left + BAR_WIDTH + 5, y + 1, FRAME)
        canvas.text(left + BAR_WIDTH + 9, y, label, TICK_SIZE, color=TEXT)
        widest = max(widest, text_width(label, TICK_SIZE))
    x = left + BAR_WIDTH + 9 + widest + 14
    canvas.upright(x, top + height / 2, scales.label(scale), TICK_SIZE)


def spaced_ticks(scale: str, height: int) -> list[tuple[float, str]]:
    """The scale's ticks at least 16 pixels apart, from the maximum down."""
    kept: list[tuple[float, str]] = []
    last = float("inf")
    for share, label in reversed(scales.ticks(scale)):
        place = float(scales.placed(np.array(share), scale)) * height
        if last - place >= 16:
            kept.append((share, label))
            last = place
    return kept
