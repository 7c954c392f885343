"""Every metric of one map, in the contract's own models; and its scalars by flat name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy.typing as npt

from erfscope_contract.flat import flatten_map
from erfscope_contract.result import Erf, GaussianFit, MassArea, Number, Radial, Shape
from erfscope_engine.metrics.blocks import blocks
from erfscope_engine.metrics.fit import describe, fit_gaussian, rank_rivals
from erfscope_engine.metrics.geometry import Geometry
from erfscope_engine.metrics.luo import luo_size
from erfscope_engine.metrics.mass import mass_areas
from erfscope_engine.metrics.moments import moments
from erfscope_engine.metrics.patch import Patch, cut
from erfscope_engine.metrics.radial import RingIndex, radial, radii
from erfscope_engine.metrics.rivals import Ellipse
from erfscope_engine.metrics.shape import shape_of


@dataclass(frozen=True)
class MapMetrics:
    """What is measured on one map."""

    erf: Erf
    mass: Mapping[str, MassArea]
    gaussian: GaussianFit
    radial: Radial
    shape: Shape


def measure_map(m: npt.ArrayLike, geometry: Geometry) -> MapMetrics:
    """Measure a non-negative map of the input's spatial shape (1 to 3 axes); undefined values are None.

    Every metric but `pixels` is defined on the linear map, whatever its scale. Raises ProblemError
    `non-finite-output` for NaN or infinity, ValueError for a wrong shape or negative values.
    """
    patch = cut(m, geometry)
    measured = moments(patch)
    data = blocks(patch, measured) if measured else None
    gaussian = fit_gaussian(patch, measured, data)
    rivals = rank_rivals(data, measured, gaussian) if data and measured else []
    return MapMetrics(
        erf=luo_size(patch),
        mass=mass_areas(patch),
        gaussian=describe(measured, gaussian, rivals),
        radial=radial(patch),
        shape=shape_of(patch, measured, gaussian),
    )


def brief_metrics(m: npt.ArrayLike, geometry: Geometry) -> MapMetrics:
    """Sizes, mass areas and moments, without fits and curves: what tables of many maps need."""
    return brief_scalars_of(cut(m, geometry))


def flat_scalars(m: npt.ArrayLike, geometry: Geometry) -> dict[str, Number]:
    """The scalars of measure_map by flat name, without rival fits and curves."""
    return flatten_map(scalars_of(cut(m, geometry)))


def brief_scalars_of(patch: Patch) -> MapMetrics:
    """Sizes, mass areas and moments of a map that is cut already; the rest is undefined."""
    nowhere: list[Number] = [None] * patch.geometry.rank
    return MapMetrics(
        erf=luo_size(patch),
        mass=mass_areas(patch),
        gaussian=describe(moments(patch), None),
        radial=Radial(r50=None, r90=None, r99=None),
        shape=Shape(offset=nowhere, anisotropy=None, border_mass=None, participation=None, entropy=None, lattice=None),
    )


def scalars_of(patch: Patch, rings: RingIndex | None = None, near: Ellipse | None = None) -> MapMetrics:
    """The metrics that flat names need, of a map that is cut already.

    `rings` are those of its pixels; `near` is the Gaussian of a map that is nearly the same.
    """
    measured = moments(patch)
    gaussian = fit_gaussian(patch, measured, near=near)
    return MapMetrics(
        erf=luo_size(patch),
        mass=mass_areas(patch),
        gaussian=describe(measured, gaussian),
        radial=radii(patch, rings),
        shape=shape_of(patch, measured, gaussian),
    )
