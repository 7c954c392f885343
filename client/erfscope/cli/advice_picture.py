"""The maps of a network and of the best three changes side by side, as PNG."""

import re

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import refuse
from erfscope.cli import show
from erfscope_contract.advice import Advice, Change, Picture
from erfscope_contract.lengths import Lengths, scaled, sides_in
from erfscope_contract.numbers import digits, with_error
from erfscope_contract.result import Number

SHOWN = 3
COLUMNS = 2
BESIDES = re.compile(r" \([^()]*\)| behind \S+")  # which layers, how many units: a caption has no room for them


def render(advice: Advice, name: str, lengths: Lengths) -> bytes:
    """The network as it is first, each map with its change, ERF and TRF, and the outline of what is asked for.

    Words are in `lengths`, axes in the input's own unit. Raises bad-request where nothing was measured (verify 0).
    """
    from erfscope_picture.sheet import Panel, render_sheet

    changes = list(enumerate(advice.changes[:SHOWN], start=1))
    rows: list[tuple[str, Advice | Change]] = [("as it is", advice), *((_caption(n, one), one) for n, one in changes)]
    extents = advice.input_shape[1:]
    panels = [
        Panel(_part(_plane(one.picture), extents), caption, _sizes(one, lengths), sizes=_asked(advice, lengths))
        for caption, one in rows
        if one.picture is not None
    ]
    if not panels:
        raise refuse("bad-request", "--picture draws maps that were measured: leave out --verify 0")
    return render_sheet(f"{name}: ERF at {advice.layer}", panels, columns=COLUMNS)


def _caption(number: int, change: Change) -> str:
    """`1. dilate 10 layers by turns: 1 to 2, 3`: the font has no arrow."""
    return f"{number}. {BESIDES.sub('', change.text).replace('→', 'to')}"


def _sizes(one: Advice | Change, lengths: Lengths) -> str:
    """`ERF 40.96 ± 0.83 px, TRF 59x59 px`."""
    erf: Number = scaled(one.erf_measured, lengths)
    size = with_error(erf, scaled(one.stderr, lengths))
    return f"ERF {size} {lengths.unit}, TRF {show.by(sides_in(one.trf_size, lengths))} {lengths.unit}"


def _asked(advice: Advice, lengths: Lengths) -> list[tuple[str, float]]:
    """The object and the ERF that it needs, each with its side in pixels."""
    sizes = [("object", advice.object_size), ("wanted ERF", advice.want)]
    return [
        (f"{what} of {digits(size * lengths.mean)} {lengths.unit}", size) for what, size in sizes if size is not None
    ]


def _plane(picture: Picture) -> NDArray[np.float64]:
    """Pixels again: each cell as often as it covers some; the picture has the map's root."""
    plane: NDArray[np.float64] = (np.asarray(picture.cells, np.float64) / 255) ** 2
    for axis, count in enumerate(picture.pixels):
        plane = plane.repeat(int(count), axis)
    return plane[0] if len(plane) == 1 else plane


def _part(plane: NDArray[np.float64], extents: list[int]) -> NDArray[np.float64]:
    """The middle of a map, as large as the network's own input: a scaled input covers more of the image."""
    cuts = [slice(max(n - side, 0) // 2, max(n - side, 0) // 2 + side)
            for n, side in zip(plane.shape, extents[-plane.ndim :], strict=True)]  # fmt: skip
    return plane[tuple(cuts)]
