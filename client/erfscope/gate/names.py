"""Every name that a configuration may use, and the nearest known one to a name that it may not."""

import difflib
from collections.abc import Iterable
from functools import cache
from typing import Any

from erfscope._request import SHORT
from erfscope_contract.flat import SHARES, flatten
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import (
    Erf,
    ErfResult,
    GaussianFit,
    LayerInfo,
    MassArea,
    Number,
    Radial,
    Samples,
    Shape,
    Trf,
)

# What a check says beside fields of the request and metrics.
CHECK_KEYS = ("model", "name", "images", "drift")
REQUEST_KEYS = tuple(sorted({*SHORT, *ErfRequest.model_fields} - {"model"}))
RANKS = (1, 2, 3)


@cache
def metric_names() -> frozenset[str]:
    """The flat names of all scalars that a result of any number of dimensions may have."""
    return frozenset(name for rank in RANKS for name in flatten(_blank(rank)))


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """`did you mean erf_size?`, or all that is known where nothing is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=count, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(known)}"


def _blank(rank: int) -> ErfResult:
    """A result without numbers: its flat names are what it is for."""
    nothing: list[Number] = [None] * rank
    fields: dict[str, Any] = {
        "layer": LayerInfo(name="", operator="", shape=[], spatial_axes=[]),
        "input_shape": [1] * (1 + rank),
        "trf": Trf(
            size=[1] * rank,
            stride=nothing,
            box=[],
            center=[],
            clipped=False,
            is_global=False,
            widened_by=[],
        ),
        "erf": Erf(size=None, ratio=None, ratio_clipped=None, size_1sigma=None, size_peak=None),
        "mass": {share: MassArea(side=None, ratio=None, pixels=0) for share in SHARES},
        "gaussian": GaussianFit(sigma=nothing),
        "radial": Radial(r50=None, r90=None, r99=None),
        "shape": Shape(
            offset=nothing, anisotropy=None, border_mass=None, participation=None, entropy=None, lattice=None
        ),
        "samples": Samples(used=0, dead=0),
    }
    return ErfResult.model_construct(**fields)
