"""What a check asserts of a metric: its bounds and levels, and every name that may be written."""

import difflib
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from erfscope._request import SHORT
from erfscope_contract.flat import SHARES, flatten
from erfscope_contract.request import ErfRequest, Strict
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


class Level(StrEnum):
    """What a broken rule does: fail the run, warn, or nothing."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Bound(Strict):
    """`{ min, max, level, message }` of one metric; neither min nor max only watches it for drift."""

    min: Finite | None = None
    max: Finite | None = None
    level: Level = Level.ERROR
    message: str | None = Field(None, max_length=2000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, so nothing can pass")
        return self

    @property
    def is_bounded(self) -> bool:
        """Whether there is a value that breaks it."""
        return self.min is not None or self.max is not None


# Metrics that lie between 0 and 1: shares of something, and R².
RATIO = re.compile(r"erf_ratio(_clipped)?|mass_\d+_ratio|border_mass|mass_before|dead_fraction|lattice|r2")


def impossible(metric: str, bound: Bound) -> str:
    """Why a bound cannot be meant: a ratio that is written in per cent; empty for any other."""
    for end, value in (("min", bound.min), ("max", bound.max)):
        if value is not None and value > 1 and RATIO.fullmatch(metric):
            return f"{metric}.{end} is {value:g}, but a ratio lies between 0 and 1; {value:g} % is {value / 100:g}"
    return ""


# What a check says beside fields of the request and metrics.
CHECK_KEYS = ("model", "name", "images", "drift")
REQUEST_KEYS = tuple(sorted({*SHORT, *ErfRequest.model_fields} - {"model"}))
RANKS = (1, 2, 3)


@cache
def metric_names() -> frozenset[str]:
    """The flat names of all scalars that a result of any number of dimensions may have."""
    return frozenset(name for rank in RANKS for name in flatten(_blank(rank)))


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean erf_size?`, or all that is known where nothing is near."""
    known = sorted(known)
    near = close(name, known)
    return f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(known)}"


def close(name: str, known: Iterable[str]) -> list[str]:
    """The names that somebody may have meant, the nearest first."""
    return difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.6)


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
