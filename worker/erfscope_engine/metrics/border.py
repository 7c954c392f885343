"""Mass of a Gaussian outside the input: what the border cut off.

The moments of a map that the border cuts are those of the visible part and hide the loss, so this takes the
least-squares Gaussian, which continues the visible flank beyond the border.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from erfscope_engine.metrics.patch import Array
from erfscope_engine.metrics.rivals import Ellipse

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
LEAST = 1e-15  # keeps quantiles finite
ROUNDING = 1e-14  # of the quadrature: one minus less is nothing


def border_mass(gaussian: Ellipse | None, shape: tuple[int, ...]) -> float | None:
    """Share of the fitted Gaussian outside the input's [-0.5, n - 0.5] on any axis; None without a fit."""
    if gaussian is None:
        return None
    low = np.full(len(shape), -0.5) - gaussian.mean
    high = np.array(shape) - 0.5 - gaussian.mean
    live = np.diag(gaussian.covariance) > 0
    if not live.any():
        return None
    inside = box_probability(low[live], high[live], gaussian.covariance[np.ix_(live, live)])
    outside = 1 - inside
    return 0.0 if outside < ROUNDING else float(min(outside, 1.0))


def box_probability(low: Array, high: Array, covariance: Array) -> float:
    """Probability that a centred Gaussian falls into a box.

    Genz, "Numerical Computation of Multivariate Normal Probabilities", J. Comp. Graph. Stat. 1 (1992),
    section 3: whitened by Cholesky, each axis' limits follow from the ones before. Product Gauss-Legendre
    quadrature instead of sampling, so that the answer is the same every time.
    """
    rank = len(low)
    root = np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance)))
    grid = np.meshgrid(*[(NODES + 1) / 2] * (rank - 1), indexing="ij") if rank > 1 else []
    uniform = [g.ravel() for g in grid]
    weight = np.ones(1)
    for _ in range(rank - 1):
        weight = np.outer(weight, WEIGHTS / 2).ravel()
    drawn: list[Array] = []
    product: Array = np.ones_like(weight)
    for axis in range(rank):
        shift = sum((root[axis, k] * z for k, z in enumerate(drawn)), np.zeros_like(weight))
        below = ndtr((low[axis] - shift) / root[axis, axis])
        share = ndtr((high[axis] - shift) / root[axis, axis]) - below
        product = product * share
        if axis < rank - 1:
            drawn.append(ndtri(np.clip(below + uniform[axis] * share, LEAST, 1 - LEAST)))
    return float(weight @ product)
