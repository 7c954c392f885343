"""From a map and its result to PNG bytes: arguments checked, figure drawn, size held."""

from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erfscope_picture import colormap as colormaps
from erfscope_picture import scale as scales
from erfscope_picture.canvas import Canvas
from erfscope_picture.figure2d import draw_figure2d
from erfscope_picture.line1d import draw_line1d
from erfscope_picture.marks import Marks, read
from erfscope_picture.scene import Look
from erfscope_picture.slices3d import draw_slices3d

MAX_BYTES = 1 << 20
COMPRESSION = 6  # zlib's own default; 9 takes four times as long for 1 % less
COLOURS = 192  # ResNet-50: 70 kB of PNG, 273 kB in true colour, 196 kB as lossless WebP; 256 take 9 % more
_FIGURES: dict[int, Callable[[NDArray[np.float64], Marks, Look], Canvas]] = {
    1: draw_line1d,
    2: draw_figure2d,
    3: draw_slices3d,
}


def render(
    map: NDArray[np.floating],
    result: Mapping[str, Any],
    *,
    scale: str = "sqrt",
    colormap: str = "viridis",
    overlay: NDArray[np.uint8] | None = None,
    title: str | None = None,
    compact: bool = False,
) -> bytes:
    """The picture of a measured map: PNG bytes, at most 1 MiB, the same for the same arguments.

    `map` is [L], [H, W] or [D, H, W] with values in [0, 1]; `result` is the ErfResult as JSON object; `title`
    is the model's name; `overlay` is an RGB image [H, W, 3] of a two-dimensional input, shown below the map.
    A `compact` picture has at most COLOURS colours, chosen from the page: a quarter of the bytes, and no colour differs
    by more than the eye sees.
    ValueError for a map that is not finite and within [0, 1], an unknown scale or colour map, an overlay of
    another size.
    """
    values = checked_map(map)
    below = _checked_overlay(overlay, values.shape)
    look = Look(scales.checked(scale), colormaps.checked(colormap), title, below)
    canvas = _FIGURES[values.ndim](values, read(result, values.ndim), look)
    return encoded(canvas.image, palette(colormap) if below is None else None, compact)


def checked_map(map: NDArray[np.floating]) -> NDArray[np.float64]:
    """The map as float64; ValueError where it is not one: rank, finite, within [0, 1]."""
    values = np.asarray(map, dtype=np.float64)
    if values.ndim not in _FIGURES or values.size == 0:
        raise ValueError(f"a map has 1 to 3 axes and at least one pixel; this one's shape is {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(
            f"the map holds {np.count_nonzero(~np.isfinite(values))} values that are not finite (NaN or infinity)"
        )
    if values.min() < 0 or values.max() > 1 + 1e-6:
        found = f"{values.min():g} to {values.max():g}"
        raise ValueError(f"map values lie within [0, 1] after normalising; found {found}")
    return values


def _checked_overlay(overlay: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    if overlay is None:
        return None
    if len(shape) != 2 or overlay.shape != (*shape, 3) or overlay.dtype != np.uint8:
        raise ValueError(
            f"an overlay is a uint8 RGB image of a two-dimensional input's size; the map's shape is {shape}, "
            f"the overlay's {overlay.shape} {overlay.dtype}"
        )
    return overlay


def palette(colormap: str) -> Image.Image:
    """256 colours for a page of this colour map: the map's own, greys, and its accent towards black."""
    own = colormaps.table(colormap)[np.rint(np.linspace(0, 255, 208)).astype(np.intp)]
    # Steps of 8: pillow matches in cells of 4 levels, and white must meet no other grey in its cell.
    greys = np.linspace(0, 255, 32)[:, None].repeat(3, axis=1)
    accents = np.linspace(1, 0.25, 16)[:, None] * np.array(colormaps.accent(colormap))
    page = Image.new("P", (1, 1))
    page.putpalette(np.rint(np.concatenate([own, greys, accents])).astype(np.uint8).tobytes())
    return page


def encoded(image: Image.Image, fixed: Image.Image | None, compact: bool = False) -> bytes:
    """PNG in true colour or, as noise does not compress, with as many colours as keep it within 1 MiB.

    `fixed` is a palette to try first; without it, and where it does not suffice, colours follow the page.
    """
    quantized = partial(image.quantize, dither=Image.Dither.NONE)
    few = partial(quantized, COLOURS, method=Image.Quantize.MAXCOVERAGE)  # no colour is far off, unlike with MEDIANCUT
    attempts: list[Callable[[], Image.Image]] = [few if compact else image.copy]
    if fixed:
        attempts.append(partial(quantized, palette=fixed))
    attempts += [partial(quantized, colours) for colours in (256, 64, 16)]
    for attempt in attempts:
        buffer = BytesIO()
        attempt().save(buffer, "PNG", compress_level=COMPRESSION)
        if buffer.tell() <= MAX_BYTES:
            return buffer.getvalue()
    raise ValueError(f"a page of {image.width}×{image.height} pixels does not fit into {MAX_BYTES} bytes")
