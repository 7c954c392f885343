"""The flat names of a result's scalars (gate, tables, CSV, standard errors): one ordered table.

Axes are named from the last: x, then y, then z. Shares are named by their per cent: mass_50_side.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn, Protocol

from erfscope_contract.replknet import ratios
from erfscope_contract.result import Erf, ErfResult, GaussianFit, MassArea, Number, Radial, Shape, Trf
from erfscope_contract.roots import geometric_mean

SHARES = ("0.20", "0.30", "0.50", "0.99")
AXES = "zyx"


class Measured(Protocol):
    """The metrics of one map: an ErfResult, or what the engine measured before it became one."""

    @property
    def erf(self) -> Erf:
        """Luo's sizes."""

    @property
    def mass(self) -> Mapping[str, MassArea]:
        """Areas by share."""

    @property
    def gaussian(self) -> GaussianFit:
        """Moments and fits."""

    @property
    def radial(self) -> Radial:
        """Mass by distance."""

    @property
    def shape(self) -> Shape:
        """Further scalars."""


class ByName(dict[str, Number]):
    """Numbers by flat name; a name that no metric of the result has raises a KeyError with the names near it."""

    def __missing__(self, name: str) -> NoReturn:
        near = get_close_matches(str(name), self, n=3) or [one for one in self if one.startswith(str(name))][:3]
        more = f"did you mean {', '.join(map(repr, near))}?" if near else f"there are {', '.join(self)}"
        asked = "; r is measured with protocol='both' or 'replknet'" if str(name).startswith("replknet_") else ""
        raise KeyError(f"this result has no metric {name!r}{asked}; {more}")


def errors_by_name(result: ErfResult) -> ByName:
    """The standard error of every metric by flat name; None where the number is exact, undefined, or of one sample."""
    return ByName({name: result.stderr.get(name) for name in flatten(result)})


def flatten(result: ErfResult) -> dict[str, Number]:
    """Every scalar of a result by its flat name, in one order; undefined ones are None."""
    return {
        **_trf(result),
        **flatten_map(result),
        **ratios(result.replknet or {}),
        "mass_before": result.shape.mass_before,
        "dead_fraction": _dead_fraction(result),
        "verify_difference": result.verify.relative_difference if result.verify else None,
    }


def flatten_map(measured: Measured) -> dict[str, Number]:
    """The part that follows from the map alone; the engine reads its standard errors by the same names."""
    erf, gaussian, radial, shape = measured.erf, measured.gaussian, measured.radial, measured.shape
    rank = len(shape.offset)
    return {
        "erf_size": erf.size,
        "erf_ratio": erf.ratio,
        "erf_ratio_clipped": erf.ratio_clipped,
        "erf_size_1sigma": erf.size_1sigma,
        "erf_size_peak": erf.size_peak,
        **_mass(measured.mass),
        **_numbered("sigma", gaussian.sigma, rank),
        **_by_axis("sigma", gaussian.sigma_axis, rank),
        "theta": gaussian.theta,
        "r2": gaussian.r2,
        **_by_axis("kurtosis", gaussian.excess_kurtosis, rank),
        "r50": radial.r50,
        "r90": radial.r90,
        "r99": radial.r99,
        **_by_axis("offset", shape.offset, rank),
        "anisotropy": shape.anisotropy,
        "border_mass": shape.border_mass,
        "participation": shape.participation,
        "entropy": shape.entropy,
        "lattice": shape.lattice,
    }


def mass_name(share: str) -> str:
    """Flat prefix of a share: mass_50 for "0.50"."""
    return f"mass_{round(100 * float(share))}"


def _trf(result: ErfResult) -> dict[str, Number]:
    side = geometric_mean(result.trf.size)
    input_side = geometric_mean(result.input_shape[1:])
    return {
        "trf_size": side,
        **_by_axis("trf_size", result.trf.size, len(result.trf.size)),
        "trf_size_local": _local(result.trf),
        "trf_ratio": side / input_side if input_side else None,
    }


def _local(trf: Trf) -> Number:
    """Of a field that is global through statistics alone, the side without them; None of others that are global."""
    if trf.local_box is not None:
        return geometric_mean([stop - start for start, stop in trf.local_box])
    return None if trf.is_global else geometric_mean(trf.size)


def _mass(areas: Mapping[str, MassArea]) -> dict[str, Number]:
    flat: dict[str, Number] = {}
    for share, area in areas.items():
        name = mass_name(share)
        flat |= {f"{name}_side": area.side, f"{name}_ratio": area.ratio, f"{name}_pixels": area.pixels}
    return flat


def _dead_fraction(result: ErfResult) -> Number:
    return result.samples.dead / result.samples.used if result.samples.used else None


def _by_axis(name: str, values: Sequence[Number], rank: int) -> dict[str, Number]:
    """One entry per axis, first axis first; a list that is empty because nothing was measured gives None."""
    return {f"{name}_{axis}": v for axis, v in zip(AXES[-rank:], values or [None] * rank, strict=True)}


def _numbered(name: str, values: Sequence[Number], rank: int) -> dict[str, Number]:
    return {f"{name}_{i}": v for i, v in enumerate(values or [None] * rank, start=1)}
