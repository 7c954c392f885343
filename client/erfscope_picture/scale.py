"""From a share of the maximum to a place on the colour bar: linear, square root or logarithm."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DECADES = 5  # fixed, so that the same colour means the same value in every picture
Array = NDArray[np.float64]

_PLACES: dict[str, Callable[[Array], Array]] = {
    "linear": lambda share: share,
    "sqrt": np.sqrt,
    "log": lambda share: 1 + np.log10(np.maximum(share, 10.0**-DECADES)) / DECADES,
}
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_TICKS: dict[str, list[tuple[float, str]]] = {
    "linear": [(v / 5, f"{v / 5:g}") for v in range(6)],
    "sqrt": [(v, f"{v:g}") for v in (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)],
    "log": [*((10.0**-d, f"10⁻{_RAISED[d]}") for d in range(DECADES, 0, -1)), (1.0, "1")],
}
_TITLES = {
    "linear": "share of maximum",
    "sqrt": "share of maximum (√ scale)",
    "log": "share of maximum (log)",
}

SCALES: tuple[str, ...] = tuple(_PLACES)


def checked(name: str) -> str:
    """The name of a scale; ValueError lists the choices."""
    if name not in _PLACES:
        raise ValueError(f"unknown scale {name!r}; choose one of {', '.join(SCALES)}")
    return name


def placed(shares: NDArray[np.floating], name: str) -> Array:
    """Places in [0, 1] of shares in [0, 1]; log shows five decades, anything smaller lies at 0."""
    return np.clip(_PLACES[checked(name)](np.asarray(shares, dtype=np.float64)), 0.0, 1.0)


def ticks(name: str) -> list[tuple[float, str]]:
    """The (share, label) pairs a colour bar or a value axis of this scale carries, rising."""
    return list(_TICKS[checked(name)])


def label(name: str) -> str:
    """What the colour bar is called."""
    return _TITLES[checked(name)]
