"""Shapes that a map may have, fitted to it by least squares: a Gaussian and its rivals.

All but the box are profiles of one elliptical radius: q = |W (p - mu)|², W lower triangular. The amplitude is
solved for in closed form at each step, so a fit searches only the centre, W and at most one exponent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import leastsq

from erfscope_engine.metrics.blocks import Blocks
from erfscope_engine.metrics.patch import Array

TINY = 1e-300
LEAST_ROOT = 1e-150  # of q: a Laplacian has no slope at its middle
TINY_NORM = 1e-200  # of a profile that misses every point: its amplitude would overflow
MOST_STEPS = 100  # a structured map takes 10 to 30; pure noise has no optimum to find
PERFECT = 1e-5  # of the peak: residuals below this come from averaging over blocks, not from misfit
CONSTANT = 1e-12  # of the peak: variation below this is rounding
LARGEST_LOG = 20.0  # of a scale, relative to the moments'
LARGEST = 1e6  # of any parameter: the search may stray, but never to an overflow
LEAST_SIGMA = 0.1  # pixels, where the search starts
LEAST_VARIANCE = 1e-6  # that is left when the blocks' own is taken away, of the largest

# q, logarithm of the extra parameter, rank → profile, its derivative by q, and by that logarithm
Form = Callable[[Array, float, int], tuple[Array, Array, Array | None]]


@dataclass(frozen=True)
class Profile:
    """A falling function of q, and where the search for its own parameter starts (None: it has none)."""

    form: Form
    start: float | None = None


@dataclass(frozen=True)
class _State:
    """A profile at one place of the search: the bytes of its parameters, and all that follows from them."""

    place: bytes
    w: Array
    offset: Array
    z: Array
    height: Array
    by_q: Array
    by_own: Array | None


@dataclass(frozen=True)
class Fit:
    """A fitted shape with its coefficient of determination and information criteria."""

    shape: str
    r2: float
    aic: float
    bic: float


@dataclass(frozen=True)
class Ellipse(Fit):
    """A fitted profile; for the Gaussian `mean` (pixels) and `covariance` (px²) are its own."""

    mean: Array
    covariance: Array


def _gaussian(q: Array, _: float, __: int) -> tuple[Array, Array, None]:
    profile = np.exp(-0.5 * q)
    return profile, -0.5 * profile, None


def _laplace(q: Array, _: float, __: int) -> tuple[Array, Array, None]:
    root = np.sqrt(2.0 * q)
    profile = np.exp(-root)
    return profile, -profile / np.maximum(root, LEAST_ROOT), None


def _power(q: Array, log_exponent: float, _: int) -> tuple[Array, Array, Array]:
    # exp(-r**beta) with the exponent of the exponential bounded: far out it is 0 anyway
    half, log_q = 0.5 * np.exp(np.clip(log_exponent, -2.0, 3.5)), np.log(q + TINY)
    power = half * log_q
    inner = np.exp(np.minimum(power, 7.0))
    profile = np.exp(-inner)
    slope = np.where(power < 7.0, -profile * inner, 0.0)
    by_exponent = slope * power if -2.0 < log_exponent < 3.5 else np.zeros_like(slope)
    return profile, slope * half / np.maximum(q, LEAST_ROOT**2), by_exponent


def _student(q: Array, log_freedom: float, rank: int) -> tuple[Array, Array, Array]:
    freedom = np.exp(np.clip(log_freedom, -2.0, 9.0))
    log_term = np.log1p(q / freedom)
    profile = np.exp(-0.5 * (freedom + rank) * log_term)
    by_q = -0.5 * (freedom + rank) / (freedom + q) * profile
    moves = 0.5 * ((freedom + rank) * q / (freedom + q) - freedom * log_term)
    return profile, by_q, moves * profile if -2.0 < log_freedom < 9.0 else np.zeros_like(q)


PROFILES: dict[str, Profile] = {
    "gaussian": Profile(_gaussian),
    "laplace": Profile(_laplace),
    "generalised_gaussian": Profile(_power, start=0.6),
    "student_t": Profile(_student, start=1.5),
}


def fit_profile(shape: str, data: Blocks, mean: Array, covariance: Array) -> Ellipse | None:
    """Fit one row of PROFILES, starting from a mean and covariance; None with too few points."""
    profile, values, rank = PROFILES[shape], data.values, len(data.axes)
    scale = np.maximum(np.sqrt(np.diag(covariance)), LEAST_SIGMA)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance / np.outer(scale, scale) + 1e-9 * np.eye(rank)))
    lower = np.tril_indices(rank, -1)
    start = np.concatenate(
        [
            np.zeros(rank),
            np.log(np.diag(whiten)),
            whiten[lower],
            [] if profile.start is None else [profile.start],
        ]
    )
    parameters = 1 + len(start)
    if not fittable(data, parameters):
        return None
    local = (data.points - mean[:, None]) / scale[:, None]

    diagonal, strict = np.diag_indices(rank), len(lower[0])
    last = _State(b"", *(np.empty(0) for _ in range(6)))

    def unpack(theta: Array) -> tuple[Array, Array]:
        theta = _within(theta, LARGEST)
        w = np.zeros((rank, rank))
        w[diagonal] = np.exp(_within(theta[rank : 2 * rank], LARGEST_LOG))
        w[lower] = theta[2 * rank : 2 * rank + strict]
        return theta[:rank], w

    def at(theta: Array) -> _State:
        # the search asks for residuals and then, where they are less than before, for their slopes at the same place
        nonlocal last
        place = theta.tobytes()
        if place != last.place:
            center, w = unpack(theta)
            offset = local - center[:, None]
            z = w @ offset
            height, by_q, by_own = profile.form(np.square(z).sum(axis=0), float(theta[-1]), rank)
            last = _State(place, w, offset, z, height, by_q, by_own)
        return last

    def residuals(theta: Array) -> Array:
        height = at(theta).height
        return _amplitude(height, values) * height - values

    def jacobian(theta: Array) -> Array:
        now = at(theta)
        w, offset, z, height = now.w, now.offset, now.z, now.height
        scales = w.diagonal()[:, None]
        rows = [*(-2 * w.T @ z), *(2 * scales * offset * z), *(2 * z[lower[0]] * offset[lower[1]])]
        moves = now.by_q * np.array(rows)
        if now.by_own is not None and profile.start is not None:
            moves = np.vstack([moves, now.by_own])
        amplitude, norm = _amplitude(height, values), max(float(height @ height), TINY_NORM)
        by_amplitude = moves @ (values - 2 * amplitude * height) / norm  # it follows from the profile in closed form
        return np.asarray(amplitude * moves + by_amplitude[:, None] * height)

    # Not `least_squares`, which runs the same search but adds to each of its steps what small maps feel.
    found, _, told, _, _ = leastsq(
        residuals, start, Dfun=jacobian, full_output=True, col_deriv=True,
        xtol=1e-9, ftol=1e-10, gtol=1e-8, maxfev=MOST_STEPS,
    )  # fmt: skip
    center, w = unpack(found)
    inverse = np.linalg.inv(w) * scale[:, None]
    covariance = _without_blocks(inverse @ inverse.T, data.width)
    left = told["fvec"]
    r2, aic, bic = _score(data, float(left @ left), parameters)
    return Ellipse(shape, r2, aic, bic, mean + scale * center, covariance)


def _within(values: Array, largest: float) -> Array:
    """np.clip, which takes ten times as long for the few numbers here."""
    return np.minimum(np.maximum(values, -largest), largest)


def _amplitude(height: Array, values: Array) -> float:
    """The factor of a profile that fits best."""
    norm = float(height @ height)
    return float(height @ values) / norm if norm > TINY_NORM else 0.0


def _without_blocks(covariance: Array, width: Array) -> Array:
    """Averaging over a block of b pixels adds the block's own variance: take it away, but stay positive."""
    variances, vectors = np.linalg.eigh(covariance - np.diag((width**2 - 1) / 12))
    least = LEAST_VARIANCE * float(np.linalg.eigvalsh(covariance)[-1])
    return np.asarray(vectors * np.maximum(variances, least) @ vectors.T)


def fit_box(data: Blocks) -> Fit | None:
    """Fit a constant inside an axis-aligned box, 0 outside, to block resolution; None with too few points.

    The best constant is the box's mean, so the least RSS is the greatest (sum in the box)² / (its blocks).
    That is maximised exactly along one axis at a time, until no axis gains.
    """
    grid, parameters = data.grid, 1 + 2 * data.grid.ndim
    if not fittable(data, parameters):
        return None
    starts = (np.zeros(grid.shape, bool), grid < 0.5 * grid.max())
    gain = max(_ascend(grid, ~outside) for outside in starts)
    return Fit("uniform_box", *_score(data, max(float((grid**2).sum()) - gain, 0.0), parameters))


def _ascend(grid: Array, inside: npt.NDArray[np.bool_]) -> float:
    box = [slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside)]
    best = 0.0
    while True:
        for axis in range(grid.ndim):
            others = tuple(a for a in range(grid.ndim) if a != axis)
            view = [slice(None) if a == axis else s for a, s in enumerate(box)]
            thickness = float(np.prod([box[a].stop - box[a].start for a in others]))
            box[axis], gain = _best_interval(grid[tuple(view)].sum(axis=others))
        gain /= thickness
        if gain <= best * (1 + 1e-12):
            return best
        best = gain


def _best_interval(line: Array) -> tuple[slice, float]:
    """The interval of the greatest (sum)² / length."""
    prefix = np.concatenate([[0.0], np.cumsum(line)])
    length = np.subtract.outer(np.arange(len(prefix)), np.arange(len(prefix)))
    gain = np.where(length > 0, np.subtract.outer(prefix, prefix) ** 2 / np.maximum(length, 1), 0.0)
    stop, start = np.unravel_index(int(gain.argmax()), gain.shape)
    return slice(int(start), int(stop)), float(gain[stop, start])


def fittable(data: Blocks, parameters: int) -> bool:
    """There are more points than parameters, and they vary."""
    values = data.values
    return len(values) > parameters and bool(np.ptp(values) > CONSTANT)


def _score(data: Blocks, rss: float, parameters: int) -> tuple[float, float, float]:
    """R², AIC = n ln(RSS / n) + 2 k and BIC = n ln(RSS / n) + k ln n."""
    values, n = data.values, len(data.values)
    tss = float(((values - values.mean()) ** 2).sum())
    term = n * float(np.log(max(rss / n, PERFECT**2)))
    return 1 - rss / tss, term + 2 * parameters, term + parameters * float(np.log(n))
