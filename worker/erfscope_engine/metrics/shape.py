"""Further scalars of a map: offset, anisotropy, what the border cuts off, effective pixels, gridding."""

import numpy as np

from erfscope_contract.result import Shape
from erfscope_engine.metrics.border import border_mass
from erfscope_engine.metrics.lattice import lattice
from erfscope_engine.metrics.moments import Moments
from erfscope_engine.metrics.patch import Patch
from erfscope_engine.metrics.rivals import Ellipse


def shape_of(patch: Patch, measured: Moments | None, gaussian: Ellipse | None) -> Shape:
    """The scalars of Shape; all undefined for a map of zeros."""
    if measured is None:
        offset: list[float | None] = [None] * patch.geometry.rank
        return Shape(offset=offset, anisotropy=None, border_mass=None, participation=None, entropy=None, lattice=None)
    grid = lattice(patch, measured)
    return Shape(
        offset=[float(o) for o in measured.mean - patch.geometry.center],
        anisotropy=anisotropy(measured),
        border_mass=border_mass(gaussian, patch.geometry.shape),
        participation=participation(patch),
        entropy=entropy(patch),
        lattice=grid.score if grid else None,
        lattice_frequency=list(grid.frequency) if grid else None,
    )


def anisotropy(measured: Moments) -> float | None:
    """Largest over smallest principal sigma; undefined in 1-D and for a map without width on some axis."""
    sigma = measured.sigma
    return sigma[0] / sigma[-1] if len(sigma) > 1 and sigma[-1] > 0 else None


def participation(patch: Patch) -> float:
    """(Σm)² / Σm²: the number of pixels of a uniform map that is as concentrated."""
    flat = patch.values.ravel()
    return patch.mass**2 / float(flat @ flat)


def entropy(patch: Patch) -> float:
    """-Σ p ln p of the map as a distribution, nats: ln n for n equal pixels."""
    flat = patch.values.ravel()
    # Σ m ln m / M, so that no normalised copy is needed; 1 stands in for zeros, whose term is 0
    weighted = float(flat @ np.log(np.where(flat > 0, flat, 1.0)))
    return max(float(np.log(patch.mass)) - weighted / patch.mass, 0.0)
