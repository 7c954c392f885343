"""How Gaussian a map is: moments, a least-squares Gaussian, and rival shapes ranked by information criteria.

The criteria take residuals of neighbouring pixels as independent, which they are not: they rank shapes, their
differences are no probabilities.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from erfscope_contract.result import GaussianFit, Rival
from erfscope_engine.metrics.blocks import Blocks, blocks
from erfscope_engine.metrics.moments import Moments, principal_sigmas
from erfscope_engine.metrics.patch import Patch
from erfscope_engine.metrics.rivals import PROFILES, Ellipse, Fit, fit_box, fit_profile


def fit_gaussian(
    patch: Patch, measured: Moments | None, data: Blocks | None = None, near: Ellipse | None = None
) -> Ellipse | None:
    """Least-squares Gaussian on all input axes: `mean` and `covariance` have the map's rank.

    The search starts from the moments, or from a fit to a map that is nearly the same.

    An axis with one pixel of support keeps its mean and the variance 0. None for a map of zeros, for a
    constant one, for a single pixel, and where there are not more points than parameters.
    """
    if measured is None:
        return None
    data = data or blocks(patch, measured)
    start = measured if near is None else near
    fit = _fit("gaussian", data, start)
    if fit is None:
        return None
    live = np.array(data.axes)
    mean, covariance = measured.mean.copy(), np.zeros_like(measured.covariance)
    mean[live] = fit.mean
    covariance[np.ix_(live, live)] = fit.covariance
    return replace(fit, mean=mean, covariance=covariance)


def describe(measured: Moments | None, gaussian: Ellipse | None, rivals: Sequence[Fit] = ()) -> GaussianFit:
    """Moments and fits as the contract says them; a map of zeros has none."""
    if measured is None:
        return GaussianFit(sigma=[])
    return GaussianFit(
        sigma=list(measured.sigma),
        theta=measured.theta,
        sigma_axis=list(measured.sigma_axis),
        fit_sigma=list(principal_sigmas(gaussian.covariance)) if gaussian else None,
        r2=gaussian.r2 if gaussian else None,
        excess_kurtosis=list(measured.excess_kurtosis),
        ranking=[Rival(shape=f.shape, r2=f.r2, aic=f.aic, bic=f.bic) for f in rivals],
    )


def rank_rivals(data: Blocks, measured: Moments, gaussian: Ellipse | None) -> list[Fit]:
    """All shapes fitted to the same blocks, lowest AIC first; those with too few points are left out."""
    others = [_fit(shape, data, measured) for shape in PROFILES if shape != "gaussian"]
    fits = [gaussian, *others, fit_box(data) if data.axes else None]
    return sorted((f for f in fits if f is not None), key=lambda f: f.aic)


def _fit(shape: str, data: Blocks, start: Moments | Ellipse) -> Ellipse | None:
    if not data.axes:
        return None
    live = np.array(data.axes)
    return fit_profile(shape, data, start.mean[live], start.covariance[np.ix_(live, live)])
