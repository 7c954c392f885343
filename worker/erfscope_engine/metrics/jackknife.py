"""Standard errors of every scalar of a map: delete-one-group jackknife over groups of samples.

They tell scatter, not bias. Noise of few samples looks like structure to scalars that read every pixel's height (r2,
participation, entropy, the peak's size, smallest sets of pixels): these move with the number of samples by more than
their error. And a size that counts whole pixels on a map of few moves in steps, which no error of its mean can tell.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from erfscope_contract.flat import SHARES, flatten_map, mass_name
from erfscope_contract.result import Number
from erfscope_engine.metrics.fit import fit_gaussian
from erfscope_engine.metrics.gaps import mass_within, sides_of, spread_of_side
from erfscope_engine.metrics.geometry import Geometry
from erfscope_engine.metrics.level import log_levels, spread
from erfscope_engine.metrics.luo import pixels_about, sizes
from erfscope_engine.metrics.mass import pixel_counts
from erfscope_engine.metrics.measure import MapMetrics, brief_scalars_of, scalars_of
from erfscope_engine.metrics.moments import moments
from erfscope_engine.metrics.patch import Array, Patch, bounding_box, cut
from erfscope_engine.metrics.radial import RingIndex
from erfscope_engine.metrics.rivals import Ellipse

Finish = Callable[[Array], Array]
Scalars = tuple[dict[str, Number], dict[str, float | None], dict[str, float]]

BRIEF = ("erf_", "mass_", "sigma_")
AT_ONCE = 4  # means that are summed in one product
CLEARLY = 1.5  # times as large
PERIODS = {"theta": math.pi}  # an axis has no direction


def standard_errors(
    groups: npt.ArrayLike,
    weights: npt.ArrayLike,
    geometry: Geometry,
    finish: Finish = np.asarray,
    *,
    briefly: bool = False,
) -> dict[str, Number]:
    """Standard error, by flat name, of every scalar of finish(mean of the groups).

    `groups` (G, *shape) are mean maps of disjoint groups of samples (mean squares for the statistic rms, with
    finish=np.sqrt; signed means with finish=np.abs), `weights` (G,) their numbers of samples; groups without
    samples are left out. A scalar that is undefined on the mean or on any of the G means without one group
    has error None, and so has every scalar with fewer than two groups. `briefly` leaves out the fits: sizes,
    mass areas and sigmas alone, at a fifth of the time.
    """
    maps, counts = np.asarray(groups), np.asarray(weights, dtype=np.float64)
    if maps.shape != (len(counts), *geometry.shape):
        raise ValueError(f"groups have shape {maps.shape}, expected {(len(counts), *geometry.shape)}")
    maps, counts = maps[counts > 0], counts[counts > 0]
    patches = _means(maps, counts, geometry, finish)
    first = next(patches)
    measured_of = brief_scalars_of if briefly else _Scalars.near(first)
    boxes = sides_of(first)
    full, level, mass = _looked_at(first, measured_of, boxes)
    without = [_looked_at(patch, measured_of, boxes) for patch in patches]
    shares = counts / counts.sum() if len(counts) else counts
    errors = {
        name: _error(value, [other[0][name] for other in without], shares, PERIODS.get(name))
        for name, value in full.items()
        if not briefly or name.startswith(BRIEF)
    }
    by_level = {
        name: _error(value, [other[1][name] for other in without], shares, None) for name, value in level.items()
    }
    by_mass = {
        share: _error(value, [other[2].get(share) for other in without], shares, None) for share, value in mass.items()
    }
    return (
        errors
        | _with_noise_of_levels(first, full, errors, by_level)
        | _with_noise_of_mass(first, full, errors, by_mass)
    )


def errors_by(
    measure: Callable[[Array], dict[str, Number]], groups: npt.ArrayLike, weights: npt.ArrayLike
) -> dict[str, Number]:
    """Standard errors of what `measure` makes of a mean map; `groups`, `weights` as in `standard_errors`."""
    maps, counts = np.asarray(groups), np.asarray(weights, dtype=np.float64)
    maps, counts = maps[counts > 0], counts[counts > 0]
    if len(counts) < 2:
        return {}
    shares = counts / counts.sum()
    without = [
        measure(np.average(np.delete(maps, g, 0), axis=0, weights=np.delete(counts, g))) for g in range(len(maps))
    ]
    return {
        name: _error(value, [other[name] for other in without], shares, None)
        for name, value in measure(np.average(maps, axis=0, weights=counts)).items()
    }


def _looked_at(patch: Patch, measured_of: Callable[[Patch], MapMetrics], boxes: dict[str, float]) -> Scalars:
    """The scalars of a mean, the logarithms of the levels that its sizes are counted above, the mass within boxes."""
    within = {} if patch.empty else mass_within(patch, boxes)
    return _smooth_scalars(patch, measured_of(patch)), log_levels(patch), within


def _with_noise_of_levels(
    patch: Patch, full: dict[str, Number], errors: dict[str, Number], by_level: dict[str, Number]
) -> dict[str, Number]:
    """Errors of the sizes, and of what is derived from them, where the noise of a level makes clearly larger ones.

    Where both agree the jackknife stands: it has what level and pixels have in common, which the level alone has not.
    """
    larger = dict[str, Number]()
    for name, noise in by_level.items():
        error = errors.get(name)
        if error is not None and noise is not None and (own := spread(patch, name, noise)) > CLEARLY * error:
            larger[name] = own
    size, grown = full["erf_size"], larger.get("erf_size")
    for name in ("erf_ratio", "erf_ratio_clipped"):
        ratio, error = full[name], errors.get(name)
        if size and ratio and grown is not None and error is not None:
            larger[name] = max(error, grown * ratio / size)
    return larger


def _with_noise_of_mass(
    patch: Patch, full: dict[str, Number], errors: dict[str, Number], by_mass: dict[str, Number]
) -> dict[str, Number]:
    """The same for the sides of boxes, and for their share of the input where the box is within it."""
    larger = dict[str, Number]()
    for share, noise in by_mass.items():
        side, ratio = f"{mass_name(share)}_side", f"{mass_name(share)}_ratio"
        error, size = errors.get(side), full[side]
        if (
            error is None
            or noise is None
            or not size
            or (own := spread_of_side(patch, share, noise)) <= CLEARLY * error
        ):
            continue
        larger[side] = own
        part = full[ratio]
        if part is not None and part < 1 and errors.get(ratio) is not None:
            larger[ratio] = max(errors[ratio] or 0.0, part * patch.geometry.rank * own / size)
    return larger


@dataclass
class _Scalars:
    """`scalars_of` for maps that are nearly the same: fits start from the `gaussian` of one of them.

    Those on the same pixels share what depends on the pixels alone.
    """

    gaussian: Ellipse | None
    latest: tuple[tuple[Any, ...], RingIndex] | None = None

    @classmethod
    def near(cls, patch: Patch) -> Self:
        """For maps that are nearly this one."""
        return cls(fit_gaussian(patch, moments(patch)))

    def __call__(self, patch: Patch) -> MapMetrics:
        return scalars_of(patch, None if patch.empty else self._rings(patch), self.gaussian)

    def _rings(self, patch: Patch) -> RingIndex:
        place, latest = (patch.origin, patch.values.shape), self.latest
        if latest is None or latest[0] != place:
            self.latest = latest = (place, RingIndex.of(patch))
        return latest[1]


def _smooth_scalars(patch: Patch, measured: MapMetrics) -> dict[str, Number]:
    """The scalars of a mean, with pixels at the edge of a set counted in part.

    Whole numbers of pixels often stay the same without one group, which would claim an error of exactly 0.
    """
    if not patch.empty:
        measured = replace(measured, erf=sizes(patch, pixels_about))
    scalars = flatten_map(measured)
    if not patch.empty:
        counts = pixel_counts(patch, np.array([float(share) for share in SHARES]))
        names = [f"{mass_name(share)}_pixels" for share in SHARES]
        scalars |= {name: float(count) for name, count in zip(names, counts, strict=True)}
    return scalars


def _means(maps: npt.NDArray[np.generic], counts: Array, geometry: Geometry, finish: Finish) -> Iterator[Patch]:
    """The mean of all groups, then the means that leave out one group each.

    Each mean is summed anew: subtracting a group from the total would leave rounding where the others are
    zero.
    """
    if not len(maps) or not maps.any():
        yield cut(np.zeros(geometry.shape), geometry)
        return
    box = bounding_box([group != 0 for group in maps])
    part = maps[(slice(None), *box)].astype(np.float64, copy=False)
    flat, shape = part.reshape(len(part), -1), part.shape[1:]
    left = np.vstack([counts, counts * (1 - np.eye(len(counts)))]) if len(counts) > 1 else counts[None]
    shares = left / left.sum(axis=1, keepdims=True)
    for first in range(0, len(shares), AT_ONCE):
        for mean in shares[first : first + AT_ONCE] @ flat:
            yield _place(finish(mean.reshape(shape)), box, geometry)


def _place(mean: Array, box: tuple[slice, ...], geometry: Geometry) -> Patch:
    """Cut a map that covers only `box` of the input."""
    local = Geometry(geometry.center, geometry.trf_box, mean.shape, geometry.stride)
    patch = cut(mean, local)
    origin = tuple(s.start + o for s, o in zip(box, patch.origin, strict=True))
    return Patch(patch.values, origin, geometry)


def _error(value: Number, without: list[Number], shares: Array, period: float | None) -> Number:
    """Jackknife for groups of unequal size: Busing, Meijer, van der Leeden, Stat. Comput. 9 (1999).

    With equal groups it is the root of (G - 1) / G · Σ (value without one - their mean)².
    """
    if value is None or not without or any(other is None for other in without):
        return None
    others = np.array(without, dtype=np.float64) - value
    if period is not None:
        others -= period * np.round(others / period)
    inverse = 1 / shares
    pseudo = -(inverse - 1) * others
    center = float((1 - shares) @ -others)
    return float(np.sqrt(np.mean((pseudo - center) ** 2 / (inverse - 1))))
