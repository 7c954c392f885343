"""Whether a map is gridded: one rule for measurements, reports, advice and its table."""

from erfscope_contract.result import GaussianFit, Shape

GRIDDED = 0.1
"""Score (`lattice`) from which a map has plain holes."""
REPEATS = 1.0
"""Repeats of a lattice within one standard deviation of the map; an even map of that width has 3.5 of them."""


def is_gridded(shape: Shape, gaussian: GaussianFit) -> bool:
    """Whether a map has plain holes, and repeats often enough: a small one has a high score by chance."""
    if shape.lattice is None or shape.lattice <= GRIDDED:
        return False
    frequencies, sigmas = shape.lattice_frequency or [], gaussian.sigma_axis
    return any((sigma or 0.0) * frequency >= REPEATS for sigma, frequency in zip(sigmas, frequencies, strict=False))
