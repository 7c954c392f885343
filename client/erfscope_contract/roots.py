"""Roots of whole numbers: the side of a box of so many pixels, exact where it is whole."""

import math
from collections.abc import Sequence


def root(power: float, degree: int) -> float:
    """The `degree`-th root of a non-negative number; 9.0 of 729, where the power alone gives 8.999999999999998."""
    found = float(power ** (1 / degree))
    nearest = round(found)
    return float(nearest) if nearest**degree == power else found


def geometric_mean(sides: Sequence[int]) -> float:
    """Side of the square or cube that has as many pixels as the box of these sides."""
    return root(math.prod(sides), len(sides))
