"""Several maps side by side, each with a line of words below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erfscope_picture import scale as scales
from erfscope_picture.canvas import SUBTLE, Canvas, text_width
from erfscope_picture.colormap import colorize
from erfscope_picture.picture import encoded, palette
from erfscope_picture.text import inert, shortened

_SIDE, _GAP, _TOP, _WORDS = 216, 20, 62, 40
_TITLE, _CAPTION = 20, 13


@dataclass(frozen=True)
class Panel:
    """A map [H, W] (or a line [L], drawn as a band) with values in [0, 1], and its words."""

    map: NDArray[np.floating]
    caption: str


def render_sheet(
    title: str, panels: Sequence[Panel], *, columns: int = 4, scale: str = "sqrt", colormap: str = "viridis"
) -> bytes:
    """The sheet as PNG bytes, row by row; ValueError where there is no panel or a map is not one."""
    if not panels:
        raise ValueError("a sheet needs at least one panel")
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    canvas = Canvas(_GAP + columns * (_SIDE + _GAP), _TOP + lines * (_SIDE + _WORDS) + 4)
    room = canvas.image.width - 2 * _GAP
    canvas.text(_GAP, 30, shortened(inert(title), lambda text: text_width(text, _TITLE) <= room), _TITLE)
    for index, panel in enumerate(panels):
        line, column = divmod(index, columns)
        _draw_panel(canvas, (_GAP + column * (_SIDE + _GAP), _TOP + line * (_SIDE + _WORDS)), panel, (scale, colormap))
    return encoded(canvas.image, palette(colormap))


def _draw_panel(canvas: Canvas, place: tuple[int, int], panel: Panel, look: tuple[str, str]) -> None:
    values = np.atleast_2d(np.asarray(panel.map, dtype=np.float64))
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"a panel is a finite map of one or two axes; this one's shape is {values.shape}")
    colours = Image.fromarray(colorize(scales.placed(values, look[0]), look[1]))
    height, width = _fitted(values.shape[0], values.shape[1])
    way = Image.Resampling.BOX if width < values.shape[1] else Image.Resampling.NEAREST
    shown = np.asarray(colours.resize((width, height), way))
    left, top = place[0] + (_SIDE - width) // 2, place[1] + (_SIDE - height) // 2
    canvas.pixels(left, top, shown)
    canvas.frame(left, top, width, height)
    words = shortened(inert(panel.caption), lambda text: text_width(text, _CAPTION) <= _SIDE)
    canvas.text(place[0] + _SIDE / 2, place[1] + _SIDE + 16, words, _CAPTION, color=SUBTLE, align=0.5)


def _fitted(height: int, width: int) -> tuple[int, int]:
    """The largest size of that shape within a panel; a line becomes a band."""
    factor = _SIDE / max(height, width)
    return max(round(height * factor), 12), max(round(width * factor), 12)
