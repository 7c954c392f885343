"""The legend: each mark drawn as on the map, with its name."""

from dataclasses import dataclass

import numpy as np

from erfscope_picture.canvas import FRAME, RGB, SUBTLE, Canvas, Pen, Stroke, text_width
from erfscope_picture.colormap import accent, color_at

SIZE = 13
LINE = 26
_CHIP = (38, 16)
_WHITE: RGB = (255, 255, 255)
_CROSS = 6.0  # half its extent, page pixels

CONTOURS = {
    0.50: Pen(_WHITE, 2.2),
    0.90: Pen(_WHITE, 1.5, (7, 4)),
    0.99: Pen(_WHITE, 1.5, (1.6, 3.4)),
}
ZOOM = Pen(_WHITE, 1.0)
SIZES = (Pen(_WHITE, 2.0), Pen(_WHITE, 1.5, (7, 4)))  # outlines of sizes that a panel names, in order


def trf_pen(colormap: str) -> Pen:
    """How the TRF box is drawn on this colour map."""
    return Pen(accent(colormap), 2.0, (10, 5))


@dataclass(frozen=True)
class Entry:
    """A row of the legend; a note has no pen, a cross is drawn instead of a line where asked."""

    label: str
    pen: Pen | None = None
    cross: bool = False

    @property
    def width(self) -> float:
        """Width of the row in pixels."""
        return text_width(self.label, SIZE) + (_CHIP[0] + 10 if self.pen else 0)


def cross(x: float, y: float, color: RGB) -> list[Stroke]:
    """Strokes of the small cross at a page position."""
    across = np.array([[x - _CROSS, y], [x + _CROSS, y]])
    down = np.array([[x, y - _CROSS], [x, y + _CROSS]])
    return [(across, Pen(color, 1.6)), (down, Pen(color, 1.6))]


def rows(entries: list[Entry], width: float) -> list[list[Entry]]:
    """Entries set in lines of a width, in order."""
    lines: list[list[Entry]] = [[]]
    used = 0.0
    for entry in entries:
        if lines[-1] and used + entry.width > width:
            lines.append([])
            used = 0.0
        lines[-1].append(entry)
        used += entry.width + 28
    return lines


def draw_legend(canvas: Canvas, place: tuple[int, int, int], entries: list[Entry], colormap: str) -> None:
    """The legend at (left, top) in lines of a width, on chips of a low colour of the map."""
    left, top, width = place
    for line, row in enumerate(rows(entries, width)):
        x, y = float(left), top + LINE * line + LINE / 2
        for entry in row:
            _draw_entry(canvas, x, y, entry, colormap)
            x += entry.width + 28


def _draw_entry(canvas: Canvas, x: float, y: float, entry: Entry, colormap: str) -> None:
    if entry.pen is None:
        canvas.text(x, y, entry.label, SIZE, color=SUBTLE)
        return
    chip = (round(x), round(y - _CHIP[1] / 2), *_CHIP)
    ground = color_at(colormap, 64)
    canvas.fill(chip[0], chip[1], chip[0] + chip[2], chip[1] + chip[3], ground)
    canvas.frame(*chip, FRAME)
    line = np.array([[chip[0] + 3.0, y], [chip[0] + chip[2] - 3.0, y]])
    strokes = cross(chip[0] + chip[2] / 2, y, entry.pen.color) if entry.cross else [(line, entry.pen)]
    canvas.lines(chip, strokes)
    canvas.text(x + _CHIP[0] + 10, y, entry.label, SIZE)
