"""What each scalar of a result is called, its unit and its meaning: one table, for reports, pages and tables.

A row's name may hold `{}`, which stands for an axis (x, y, z), a share in per cent or a number.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple


class Meaning(NamedTuple):
    """One scalar, in words."""

    group: str
    label: str
    unit: str
    words: str


EFFECTIVE, THEORETICAL, MASS = "Effective field", "Theoretical field", "Where the mass is"
SHAPE, SAMPLES = "Shape", "Samples"

TABLE: dict[str, Meaning] = {
    "erf_size": Meaning(EFFECTIVE, "ERF size", "px", "Side of the area above 4.55 % of the centre's value (2σ)."),
    "erf_ratio": Meaning(EFFECTIVE, "ERF / TRF", "", "ERF size over the side of the theoretical field."),
    "erf_ratio_clipped": Meaning(EFFECTIVE, "ERF / TRF in the input", "", "The same, the TRF clipped to the input."),
    "erf_size_1sigma": Meaning(EFFECTIVE, "ERF size, 1σ", "px", "Side of the area above 31.73 % of the centre."),
    "erf_size_peak": Meaning(
        EFFECTIVE, "ERF size from the peak", "px", "Side of the area above 4.55 % of the maximum."
    ),
    "trf_size": Meaning(THEORETICAL, "TRF size", "px", "Side of the box that can reach the unit (geometric mean)."),
    "trf_size_{}": Meaning(THEORETICAL, "TRF along {}", "px", "Exact and unclipped; may stick out of the input."),
    "trf_ratio": Meaning(THEORETICAL, "TRF / input", "", "Side of the TRF over the side of the input."),
    "mass_{}_side": Meaning(MASS, "{} % box, side", "px", "Smallest box around the projected centre with this mass."),
    "mass_{}_ratio": Meaning(MASS, "{} % box, area / input", "", "That box, clipped, as a share of the input."),
    "mass_{}_pixels": Meaning(MASS, "{} % set", "px²", "The smallest set of pixels that holds this share."),
    "r{}": Meaning(MASS, "radius of {} %", "px", "Distance from the projected centre within which this share lies."),
    "border_mass": Meaning(MASS, "mass beyond the border", "", "Share of the fitted Gaussian outside the input."),
    "sigma_{}": Meaning(SHAPE, "σ, {}", "px", "Standard deviation along a principal axis (1, 2, 3) or an input axis."),
    "theta": Meaning(SHAPE, "angle", "rad", "Of the first principal axis from the last input axis."),
    "r2": Meaning(SHAPE, "R² of a Gaussian", "", "Of the least-squares fit; 1 is a perfect Gaussian."),
    "kurtosis_{}": Meaning(
        SHAPE, "excess kurtosis, {}", "", "0 for a Gaussian, below for a box, above for long tails."
    ),
    "offset_{}": Meaning(SHAPE, "offset, {}", "px", "Centre of mass minus projected centre."),
    "anisotropy": Meaning(SHAPE, "anisotropy", "", "Largest over smallest principal σ."),
    "participation": Meaning(SHAPE, "participation", "px²", "Effective number of pixels, (Σm)² / Σm²."),
    "entropy": Meaning(SHAPE, "entropy", "nat", "Of the map as a distribution."),
    "lattice": Meaning(SHAPE, "gridding", "", "Energy at the periods of strides and dilations."),
    "dead_fraction": Meaning(SAMPLES, "dead samples", "", "Share of samples whose gradient is exactly zero."),
}
_PATTERNS = [(re.compile(name.replace("{}", r"([a-z]|\d+)")), row) for name, row in TABLE.items() if "{}" in name]


@cache
def meaning_of(name: str) -> Meaning:
    """The row of a flat name, its `{}` filled in; KeyError for a name that no result has."""
    if name in TABLE:
        return TABLE[name]
    for pattern, row in _PATTERNS:
        if found := pattern.fullmatch(name):
            return row._replace(label=row.label.format(found[1]))
    raise KeyError(name)


def unit_of(name: str) -> str:
    """The unit of a metric by its flat name; empty for plain numbers."""
    return meaning_of(name).unit


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Flat names by group, in the table's order."""
    groups: dict[str, list[str]] = {row.group: [] for row in TABLE.values()}
    for name in names:
        groups[meaning_of(name).group].append(name)
    return {group: held for group, held in groups.items() if held}
