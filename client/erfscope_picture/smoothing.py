"""Gaussian smoothing and block means of maps of any rank; both keep the mass."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def smoothed(values: Array, sigma: float) -> Array:
    """A map smoothed by a Gaussian cut at 3 sigma; what leaves at a border is mirrored back in."""
    if sigma == 0:
        return values
    reach = int(np.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in range(values.ndim):
        values = _convolved(values, taps / taps.sum(), axis)
    return values


def _convolved(values: Array, taps: Array, axis: int) -> Array:
    reach, length = len(taps) // 2, values.shape[axis]
    widths = [(reach, reach) if a == axis else (0, 0) for a in range(values.ndim)]
    padded = np.moveaxis(np.pad(values, widths, mode="symmetric"), axis, 0)
    total = np.zeros_like(padded[:length])
    for start, tap in enumerate(taps):
        total += tap * padded[start : start + length]
    return np.moveaxis(total, 0, axis)


def block_mean(values: Array, block: int) -> Array:
    """Means over blocks of `block` pixels per axis; the last block of an axis may be smaller."""
    for axis in range(values.ndim) if block > 1 else ():
        starts = np.arange(0, values.shape[axis], block)
        counts = np.diff([*starts, values.shape[axis]])
        counts = counts.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
        values = np.add.reduceat(values, starts, axis=axis) / counts
    return values
