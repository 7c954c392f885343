"""First to fourth moments of a map taken as a distribution of mass: mean, covariance, axes, kurtosis."""

import math
from dataclasses import dataclass

import numpy as np

from erfscope_engine.metrics.patch import Array, Patch

# Relative difference of the principal variances below which a map has no first axis.
ISOTROPIC = 1e-12
# Variance in px² below which all mass is in one row of pixels but for rounding.
POINT = 1e-24


@dataclass(frozen=True)
class Moments:
    """Mean (input pixels), covariance (px²) and excess kurtosis per input axis."""

    mean: Array
    covariance: Array
    excess_kurtosis: tuple[float | None, ...]

    @property
    def sigma_axis(self) -> list[float]:
        """Standard deviation per input axis, pixels."""
        return [float(s) for s in np.sqrt(np.diag(self.covariance))]

    @property
    def sigma(self) -> list[float]:
        """Standard deviations along the principal axes, largest first, pixels."""
        return principal_sigmas(self.covariance)

    @property
    def theta(self) -> float | None:
        """Angle of the first principal axis from the last input axis, radians.

        In 2-D within (-π/2, π/2], positive towards growing y; in 3-D within [0, π/2]. Undefined in 1-D and
        for an isotropic map.
        """
        return principal_angle(self.covariance)


def moments(patch: Patch) -> Moments | None:
    """Moments about the mean, pixels as points; None for a map of zeros."""
    if patch.empty:
        return None
    centered, mean = [], []
    for x, marginal in zip(patch.coordinates, patch.marginals, strict=True):
        # from the first pixel, so that a single row of mass has variance 0 exactly
        local = x - x[0]
        average = float(local @ marginal) / patch.mass
        centered.append(local - average)
        mean.append(float(x[0]) + average)
    return Moments(np.array(mean), _covariance(patch, centered), _kurtosis(patch, centered))


def _covariance(patch: Patch, centered: list[Array]) -> Array:
    rank = len(centered)
    covariance = np.zeros((rank, rank))
    for a in range(rank):
        covariance[a, a] = float(centered[a] ** 2 @ patch.marginals[a]) / patch.mass
        for b in range(a + 1, rank):
            others = tuple(axis for axis in range(rank) if axis not in (a, b))
            plane = patch.values.sum(axis=others) if others else patch.values
            covariance[a, b] = covariance[b, a] = float(centered[a] @ plane @ centered[b]) / patch.mass
    return covariance


def _kurtosis(patch: Patch, centered: list[Array]) -> tuple[float | None, ...]:
    def excess(x: Array, marginal: Array) -> float | None:
        variance = float(x**2 @ marginal) / patch.mass
        if variance <= POINT:
            return None
        return float(x**4 @ marginal) / patch.mass / variance**2 - 3.0

    return tuple(excess(x, marginal) for x, marginal in zip(centered, patch.marginals, strict=True))


def principal_sigmas(covariance: Array) -> list[float]:
    """Roots of the eigenvalues, largest first."""
    return [float(s) for s in np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0.0))[::-1]]


def principal_angle(covariance: Array) -> float | None:
    """Angle of the first eigenvector from the last axis (see Moments.theta)."""
    if len(covariance) == 1:
        return None
    variances, vectors = np.linalg.eigh(covariance)
    if variances[-1] - variances[-2] <= ISOTROPIC * max(variances[-1], POINT):
        return None
    first = vectors[:, -1]
    if len(first) == 3:
        return float(np.arccos(min(1.0, abs(float(first[-1])))))
    angle = math.atan2(float(first[0]), float(first[1]))
    return angle - math.copysign(math.pi, angle) if not -math.pi / 2 < angle <= math.pi / 2 else angle
