"""A white page to draw on: text in pillow's own font, crisp rectangles, smooth lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]
TEXT: RGB = (45, 45, 48)
SUBTLE: RGB = (105, 105, 110)
FRAME: RGB = (120, 120, 125)
PAPER: RGB = (255, 255, 255)

_SMOOTH = 3  # lines are drawn this much larger and reduced
_HALO = (0, 0, 0, 150)
_SUPERSCRIPTS = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("pillow was built without FreeType; install a pillow wheel")
    return font


# Signs that the built-in font lacks, as lines in shares of the font size.
_SIGNS = {
    "×": [[(0.1, 0.37), (0.48, 0.75)], [(0.1, 0.75), (0.48, 0.37)]],
    "√": [[(0.02, 0.58), (0.14, 0.52), (0.30, 0.92), (0.5, 0.12), (0.62, 0.12)]],
    "≥": [[(0.08, 0.3), (0.52, 0.52), (0.08, 0.74)], [(0.08, 0.88), (0.52, 0.88)]],
    "±": [[(0.08, 0.5), (0.52, 0.5)], [(0.3, 0.28), (0.3, 0.72)], [(0.08, 0.86), (0.52, 0.86)]],
}


@cache
def _sign(char: str, size: int) -> Image.Image:
    """A sign's mask, drawn in the stroke width of the font."""
    large = Image.new("L", (round(size * 0.62) * 8, round(size * 1.1) * 8))
    for path in _SIGNS[char]:
        points = [(x * size * 8, y * size * 8) for x, y in path]
        ImageDraw.Draw(large).line(points, 255, round(size * 0.6), "curve")
    return large.reduce(8)


def _glyphs(text: str, size: int) -> list[tuple[str, int, float]]:
    """Runs of (text, font size, advance); drawn signs and superscripts stand alone."""
    runs: list[tuple[str, int, float]] = []
    plain = ""
    for char in [*text, ""]:
        if char and char not in _SIGNS and char not in _SUPERSCRIPTS:
            plain += char
            continue
        if plain:
            runs.append((plain, size, _font(size).getlength(plain)))
            plain = ""
        if char in _SUPERSCRIPTS:
            small = round(size * 0.75)
            runs.append((char, small, _font(small).getlength(_SUPERSCRIPTS[char])))
        elif char:
            runs.append((char, size, _sign(char, size).width))
    return runs


def text_width(text: str, size: int) -> float:
    """Width of a line of text in pixels."""
    return sum(advance for _, _, advance in _glyphs(text, size))


def text_mask(text: str, size: int) -> Image.Image:
    """A line of text as a mask, 1.3 times its font size high, baseline at one font size."""
    mask = Image.new("L", (int(np.ceil(text_width(text, size))) + 1, round(size * 1.3)))
    draw, x = ImageDraw.Draw(mask), 0.0
    for run, font_size, advance in _glyphs(text, size):
        if run in _SUPERSCRIPTS:
            draw.text((x, size * 0.62), _SUPERSCRIPTS[run], 255, _font(font_size), anchor="ls")
        elif run in _SIGNS:
            mask.paste(255, (round(x), round(size * 0.13)), _sign(run, size))
        else:
            draw.text((x, size), run, 255, _font(size), anchor="ls")
        x += advance
    return mask


@dataclass(frozen=True)
class Pen:
    """How a line is drawn; `dash` is (on, off) in pixels, empty for a solid line."""

    color: RGB
    width: float
    dash: tuple[float, ...] = ()
    halo: bool = True


Stroke = tuple[NDArray[np.float64], Pen]  # points (x, y) [k, 2] on the page


class Canvas:
    """An RGB page; coordinates are pixels from its top left."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, size: int, *, color: RGB = TEXT, align: float = 0) -> None:
        """A line of text with y in its middle; `align` is the share of its width that lies left of x."""
        mask = text_mask(text, size)
        # Half the cap height above the baseline is the middle that the eye sees.
        self.image.paste(color, (round(x - mask.width * align), round(y - size * 0.64)), mask)

    def upright(self, x: float, y: float, text: str, size: int) -> None:
        """The name of an axis, read from below, with its middle at x, y."""
        mask = text_mask(text, size).transpose(Image.Transpose.ROTATE_90)
        self.image.paste(SUBTLE, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)

    def pixels(self, left: int, top: int, colours: NDArray[np.uint8]) -> None:
        """An RGB array as it is."""
        self.image.paste(Image.fromarray(np.ascontiguousarray(colours)), (left, top))

    def frame(self, left: int, top: int, width: int, height: int, color: RGB = FRAME) -> None:
        """A one-pixel frame just outside an area."""
        self._draw.rectangle((left - 1, top - 1, left + width, top + height), outline=color)

    def fill(self, left: float, top: float, right: float, bottom: float, color: RGB) -> None:
        """A filled rectangle, its right and bottom edge excluded; at least a pixel wide and high."""
        x, y = round(left), round(top)
        self._draw.rectangle((x, y, max(round(right) - 1, x), max(round(bottom) - 1, y)), fill=color)

    def lines(self, area: tuple[int, int, int, int], strokes: Iterable[Stroke]) -> None:
        """Smooth lines over an area (left, top, width, height), cut at its edges, halos below all of them."""
        left, top, width, height = area
        layer = Image.new("RGBA", (width * _SMOOTH, height * _SMOOTH))
        draw = ImageDraw.Draw(layer)
        pieces = [
            (piece.ravel().tolist(), pen)
            for points, pen in strokes
            for piece in _dashes((points - (left, top)) * _SMOOTH, [part * _SMOOTH for part in pen.dash])
        ]
        for piece, pen in pieces:
            if pen.halo:
                draw.line(piece, _HALO, round((pen.width + 2) * _SMOOTH), "curve")
        for piece, pen in pieces:
            draw.line(piece, (*pen.color, 255), round(pen.width * _SMOOTH), "curve")
        smooth = layer.reduce(_SMOOTH)
        self.image.paste(smooth.convert("RGB"), (left, top), smooth.getchannel("A"))


def _dashes(points: NDArray[np.float64], dash: Sequence[float]) -> list[NDArray[np.float64]]:
    """A line cut into (on, off) pieces along its length; whole where there is no dash."""
    if not dash:
        return [points]
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    on, off = dash
    pieces = []
    for start in np.arange(0, along[-1], on + off):
        stop = min(start + on, along[-1])
        inside = points[(along > start) & (along < stop)]
        ends = [[np.interp(at, along, points[:, c]) for c in (0, 1)] for at in (start, stop)]
        pieces.append(np.vstack([ends[0], inside, ends[1]]))
    return pieces
