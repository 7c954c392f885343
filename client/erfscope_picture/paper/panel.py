"""A map with its result and words, as a figure has it, and what its axes are called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope_picture.paper.page import Lengths
from erfscope_picture.paper.plot import axis_names, plane_title

USUAL_STATISTIC = "abs"


@dataclass(frozen=True)
class Panel:
    """A map with the ErfResult that it belongs to (as JSON object), words above it and a second line, its notes.

    `notes` are one thing said at length and ever shorter: a figure says all its panels' at the same length. `short`
    is what the reader must be told where the last of them are taken, from note number `short_from` on.
    Of a volume the plane across axis `across` through the projected centre is drawn.
    """

    map: NDArray[np.floating]
    result: Mapping[str, Any]
    title: str = ""
    notes: Sequence[str] = ()
    across: int = 0
    short: str = ""
    short_from: int = 0

    @property
    def statistic(self) -> str:
        """Of which statistic of the gradients the map is."""
        return str(self.result["provenance"]["statistic"])

    def names(self, lengths: Sequence[Lengths] | None) -> tuple[str, str]:
        """Names of the vertical and of the horizontal axis."""
        return axis_names(self.map.ndim, self.across, lengths)

    def sides(self, lengths: Sequence[Lengths] | None) -> tuple[float, float]:
        """Height and width of the drawn plane in the units of its axes; a line has height 0."""
        steps = [one.step for one in lengths] if lengths else [1.0] * self.map.ndim
        sides = [n * step for n, step in zip(self.map.shape, steps, strict=True)]
        if self.map.ndim == 1:
            return 0.0, sides[0]
        down, right = (side for a, side in enumerate(sides) if self.map.ndim == 2 or a != self.across)
        return down, right


Rows = Sequence[Sequence[Panel | None]]


def panels_of(rows: Rows) -> list[Panel]:
    """All of them, row by row."""
    return [panel for row in rows for panel in row if panel]


def planes_of(volume: Panel) -> list[Panel]:
    """The three planes of a volume, each named."""
    return [
        replace(volume, across=axis, title=plane_title(volume.map, volume.result, axis), notes=()) for axis in range(3)
    ]


def statistics_of(panels: Iterable[Panel]) -> list[str]:
    """Each statistic once."""
    return list(dict.fromkeys(panel.statistic for panel in panels))
