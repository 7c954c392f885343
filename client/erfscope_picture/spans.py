"""The shortest stretches of a line that hold a share of its mass."""

import numpy as np
from numpy.typing import NDArray


def shortest_span(values: NDArray[np.float64], share: float) -> tuple[int, int]:
    """The shortest half-open stretch of pixels that holds the share; the first of equally short ones."""
    held = np.concatenate([[0.0], np.cumsum(values)])
    wanted = held[:-1] + share * held[-1] * (1 - 1e-12)
    stops = np.searchsorted(held, wanted)
    lengths = np.where(stops <= len(values), stops - np.arange(len(values)), len(values) + 1)
    start = int(np.argmin(lengths))
    return start, int(stops[start])
