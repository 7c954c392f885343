"""Closed-form maps and the geometry of a unit in the middle of its input."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from erfscope_engine.metrics import Geometry

Centered = Callable[..., Geometry]
Gaussian = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def centered() -> Centered:
    """Geometry whose TRF is the whole input (or `trf`), around its middle (or `center`)."""

    def build(
        shape: Sequence[int],
        center: Sequence[float] | None = None,
        trf: Sequence[tuple[int, int]] | None = None,
        stride: float | None = 1.0,
    ) -> Geometry:
        return Geometry(
            center=tuple(center or [(n - 1) / 2 for n in shape]),
            trf_box=tuple(trf or [(0, n) for n in shape]),
            shape=tuple(shape),
            stride=(stride,) * len(shape),
        )

    return build


@pytest.fixture(scope="session")
def gaussian() -> Gaussian:
    """exp(-r² / 2) on a grid, r the distance from the centre in units of sigma (one, or one per axis)."""

    def build(shape: Sequence[int], sigma: float | Sequence[float], center: Sequence[float] | None = None):
        middle = center or [(n - 1) / 2 for n in shape]
        sigmas = np.broadcast_to(sigma, len(shape))
        axes = np.ogrid[tuple(slice(0, n) for n in shape)]
        squares = [((x - c) / s) ** 2 for x, c, s in zip(axes, middle, sigmas, strict=True)]
        return np.exp(-0.5 * sum(np.broadcast_arrays(*squares)))

    return build
