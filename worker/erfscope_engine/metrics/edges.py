"""Whether the pixels above a level reach a border of the input behind which the theoretical field continues."""

import numpy as np
import numpy.typing as npt

from erfscope_engine.metrics.patch import Patch

CONTACT = 0.25
"""Pixels on the outermost line, relative to the mean of all lines that have any, from which they reach the border.

A disc has this much where it sticks out by 1 % of its diameter; a single noisy pixel has less.
"""


def reaches_border(patch: Patch, level: float) -> bool:
    """Whether pixels above the level lie on a line (row, column) at an open border of the input."""
    sides = patch.geometry.open_sides
    if patch.empty or not any(before or after for before, after in sides):
        return False
    above = patch.values > level
    for axis, (is_open_before, is_open_after) in enumerate(sides):
        others = tuple(other for other in range(above.ndim) if other != axis)
        counts = np.count_nonzero(above, axis=others)
        before, after = _at_border(patch, axis)
        if is_open_before and before and _is_contact(counts[0], counts):
            return True
        if is_open_after and after and _is_contact(counts[-1], counts):
            return True
    return False


def _at_border(patch: Patch, axis: int) -> tuple[bool, bool]:
    """Whether the first and the last line of the support are the input's.

    Strides leave lines without a gradient: the line is also the input's where the next one of a grid would lie outside.
    """
    lines = np.flatnonzero(patch.marginals[axis])
    step = int(np.diff(lines).max(initial=1))
    first, last = patch.origin[axis], patch.origin[axis] + patch.values.shape[axis]
    return first < step, patch.geometry.shape[axis] - last < step


def _is_contact(outermost: int, counts: npt.NDArray[np.intp]) -> bool:
    return bool(outermost) and outermost >= CONTACT * counts[counts > 0].mean()
