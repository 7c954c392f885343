"""Colour maps as a few published anchor colours each, interpolated in sRGB to 256 entries."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

# Evenly spaced anchors; perceptually uniform, those safe for colour-blind readers first.
_ANCHORS: dict[str, str] = {
    "viridis": "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725",
    "cividis": "00204d 00336f 39486b 575c6d 707173 8a8779 a69d75 c4b56c e4cf5b ffea46",
    "magma": "000004 1d1147 51127c 822681 b63679 e65164 fb8861 fec287 fcfdbf",
    "inferno": "000004 210c4a 56106e 89226a bb3754 e35932 f98c0a f9c932 fcffa4",
    "gray": "000000 ffffff",
}

# A colour that none of the map's own comes near: for the TRF box and the centre.
_ACCENTS: dict[str, str] = {
    "viridis": "ff7b54",
    "cividis": "ff7b54",
    "magma": "5fe0ff",
    "inferno": "5fe0ff",
    "gray": "ff9d3c",
}

COLORMAPS: tuple[str, ...] = tuple(_ANCHORS)

RGB = tuple[int, int, int]


def _rgb(code: str) -> RGB:
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


def checked(name: str) -> str:
    """The name of a colour map; ValueError lists the choices."""
    if name not in _ANCHORS:
        raise ValueError(f"unknown colormap {name!r}; choose one of {', '.join(COLORMAPS)}")
    return name


def accent(name: str) -> RGB:
    """The colour of marks that must stand out from this colour map."""
    return _rgb(_ACCENTS[checked(name)])


@cache
def table(name: str) -> NDArray[np.uint8]:
    """The colour map's 256 colours, shape [256, 3]."""
    anchors = np.array([_rgb(code) for code in _ANCHORS[checked(name)].split()], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    colours = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    colours.setflags(write=False)  # shared by every later call
    return colours


def color_at(name: str, index: int) -> RGB:
    """One of the colour map's 256 colours."""
    red, green, blue = table(name)[index].tolist()
    return red, green, blue


def colorize(shares: NDArray[np.float64], name: str) -> NDArray[np.uint8]:
    """Colours of scaled values in [0, 1]; shape [..., 3]."""
    index = np.clip(np.rint(shares * 255), 0, 255).astype(np.intp)
    return table(name)[index]
