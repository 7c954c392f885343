"""The maps of a network and of the best three changes side by side, as PNG."""

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import refuse
from erfscope_contract.advice import Advice, Picture
from erfscope_contract.numbers import with_error

SHOWN = 3


def render(advice: Advice, name: str) -> bytes:
    """Original first; raises bad-request where nothing was measured (verify 0)."""
    from erfscope_picture.sheet import Panel, render_sheet

    rows = [("as it is", advice.erf_measured, advice.stderr, advice.picture)]
    rows += [(f"{n}. {one.kind.replace('_', ' ')}", one.erf_measured, one.stderr, one.picture)
             for n, one in enumerate(advice.changes[:SHOWN], start=1)]  # fmt: skip
    panels = [
        Panel(_plane(picture), caption, f"ERF {with_error(size, error)} px")
        for caption, size, error, picture in rows
        if picture is not None
    ]
    if not panels:
        raise refuse("bad-request", "--picture draws maps that were measured: leave out --verify 0")
    return render_sheet(f"{name}: ERF at {advice.layer}", panels, columns=len(panels))


def _plane(picture: Picture) -> NDArray[np.float64]:
    """Pixels again: each cell as often as it covers some; the picture has the map's root."""
    plane: NDArray[np.float64] = (np.asarray(picture.cells, np.float64) / 255) ** 2
    for axis, count in enumerate(picture.pixels):
        plane = plane.repeat(int(count), axis)
    return plane[0] if len(plane) == 1 else plane
