"""Maps of many units kept beside the main one: float32 in one array, unless they would be too large together."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 256 << 20  # bytes

Stack = NDArray[np.float32]


def fits(count: int, shape: Sequence[int]) -> bool:
    """Whether `count` maps of this shape are kept."""
    return count * prod(shape) * 4 <= LARGEST


def stacked(maps: Sequence[NDArray[Any]]) -> Stack | None:
    """Maps (maximum 1 each) as one array [n, *spatial]; None where there are none or they were not kept."""
    if not maps or any(m.size == 0 for m in maps):
        return None
    return np.stack([m.astype(np.float32) for m in maps])
