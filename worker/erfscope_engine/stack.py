"""Maps of many units kept beside the main one: float32 in one array, unless they would be too large together."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from erfscope_engine.report import Measured

LARGEST = 256 << 20  # bytes

Stack = NDArray[np.float32]


def fits(count: int, shape: Sequence[int]) -> bool:
    """Whether `count` maps of this shape are kept."""
    return count * prod(shape) * 4 <= LARGEST


def stacked(rows: Sequence[Measured]) -> Stack | None:
    """The maps of `rows` (maximum 1 each), shape [n, *spatial]; None where there are none or they were not kept."""
    if not rows or any(row.map.size == 0 for row in rows):
        return None
    return np.stack([row.map.astype(np.float32) for row in rows])
