"""Power laws through measured points: the slope on double logarithmic axes, with its standard error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PowerFit(NamedTuple):
    """y = exp(intercept) · x**slope."""

    slope: float
    slope_error: float
    intercept: float

    def at(self, x: ArrayLike) -> NDArray[np.float64]:
        """The fitted y."""
        fitted: NDArray[np.float64] = np.exp(self.intercept + self.slope * np.log(np.asarray(x, dtype=np.float64)))
        return fitted


def fit_power(x: Sequence[float], y: Sequence[float], y_error: Sequence[float] | None = None) -> PowerFit:
    """Weighted least squares of log y on log x.

    `y_error` are standard errors of y; points weigh by their relative errors, equally where none is given or any
    is 0. The slope's standard error contains the points' scatter around the line where that is larger than their errors
    explain, so a law that is no power law shows. Two points without errors leave the slope's error undefined (nan).
    ValueError for fewer than two different x, or values that are not positive and finite.
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if across.shape != up.shape or across.ndim != 1:
        raise ValueError(f"x and y are lists of one length; theirs are {across.shape} and {up.shape}")
    for name, values in (("x", across), ("y", up)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"a power law needs positive, finite values; {name} is {values.tolist()}")
    if len(np.unique(across)) < 2:
        raise ValueError("a slope needs two different x")
    errors = _relative(up, y_error)
    return _line(np.log(across), np.log(up), errors)


def _relative(y: NDArray[np.float64], y_error: Sequence[float] | None) -> NDArray[np.float64] | None:
    if y_error is None:
        return None
    errors = np.asarray(y_error, dtype=np.float64)
    if errors.shape != y.shape or not np.isfinite(errors).all() or (errors < 0).any():
        raise ValueError(f"y_error is one finite error per point, none negative; it is {errors.tolist()}")
    return None if (errors == 0).any() else errors / y


def _line(u: NDArray[np.float64], v: NDArray[np.float64], errors: NDArray[np.float64] | None) -> PowerFit:
    weights = np.ones_like(u) if errors is None else errors**-2
    total = weights.sum()
    middle, height = (weights @ u) / total, (weights @ v) / total
    spread = weights @ (u - middle) ** 2
    slope = float((weights * (u - middle)) @ (v - height) / spread)
    intercept = float(height - slope * middle)
    free = len(u) - 2
    scatter = float(weights @ (v - intercept - slope * u) ** 2 / free) if free else float("nan")
    known = scatter if errors is None else 1.0 if free == 0 else max(scatter, 1.0)
    return PowerFit(slope, float(np.sqrt(known / spread)), intercept)
