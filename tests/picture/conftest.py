"""Results as the service stores them, and maps of known shape."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from erfscope_contract.result import (
    Erf,
    ErfResult,
    GaussianFit,
    LayerInfo,
    MassArea,
    Provenance,
    Radial,
    Samples,
    Shape,
    Trf,
)

Array = NDArray[np.float64]


def _result(
    shape: Sequence[int],
    *,
    size: int = 11,
    layer: str = "layer4.2.conv3",
    is_global: bool = False,
    erf: float | None = 41.234,
) -> dict[str, Any]:
    starts = [n // 2 - (size - 1) // 2 for n in shape]
    box = [(start, start + size) for start in starts]
    result = ErfResult(
        layer=LayerInfo(name=layer, operator="Conv", shape=[8, *shape], spatial_axes=[]),
        unit=[7] * len(shape),
        input_shape=[3, *shape],
        trf=Trf(
            size=[size] * len(shape),
            stride=[1.0] * len(shape),
            box=box,
            center=[(start + stop - 1) / 2 for start, stop in box],
            clipped=any(start < 0 or stop > n for (start, stop), n in zip(box, shape, strict=True)),
            is_global=is_global,
            widened_by=[],
        ),
        erf=Erf(
            size=erf,
            ratio=None if erf is None else 0.1,
            ratio_clipped=None,
            size_1sigma=None,
            size_peak=None,
        ),
        mass={"0.50": MassArea(side=61.0, ratio=0.07, pixels=1234)},
        gaussian=GaussianFit(sigma=[]),
        radial=Radial(r50=None, r90=None, r99=None),
        shape=Shape(offset=[], anisotropy=None, border_mass=None, participation=None, entropy=None, lattice=None),
        samples=Samples(used=32, dead=0),
        scale_log2=0.0,
        provenance=Provenance(
            engine="1",
            torch="2",
            device="cpu",
            dtype="float32",
            threads=1,
            micro_batch=1,
            seed=0,
            layer=layer,
            statistic="abs",
            channels="sum",
            source="normal",
            weights="given",
            samples=32,
            input_shape=[3, *shape],
        ),
    )
    return result.model_dump(mode="json")


def _bell(shape: Sequence[int], sigma: float) -> Array:
    values = np.ones(tuple(shape))
    for axis, n in enumerate(shape):
        along = np.exp(-0.5 * ((np.arange(n) - n // 2) / sigma) ** 2)
        values = values * along.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.asarray(values / values.max())


@pytest.fixture
def result_of() -> Callable[..., dict[str, Any]]:
    """An ErfResult in JSON for an input of a spatial shape; `size` is its TRF's side around the middle."""
    return _result


@pytest.fixture
def bell() -> Callable[[Sequence[int], float], Array]:
    """A Gaussian map around the middle pixel."""
    return _bell
