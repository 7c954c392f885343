"""What each scalar of a result is called, its unit and its meaning: one table, for reports, pages and tables.

A row's name may hold `{}`, which stands for an axis (x, y, z), a share in per cent or a number. Units are px for
lengths and pixels for counts of them, in any number of dimensions.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from erfscope_contract.result import Number


class Meaning(NamedTuple):
    """One scalar, in words."""

    group: str
    label: str
    unit: str
    words: str


EFFECTIVE, THEORETICAL, MASS = "Effective field", "Theoretical field", "Where the mass is"
SHAPE, SAMPLES = "Shape", "Samples"

TABLE: dict[str, Meaning] = {
    "erf_size": Meaning(
        EFFECTIVE,
        "ERF size (4.55 % of the centre)",
        "px",
        "Side of the area above 4.55 % of the centre's value: 1 − 95.45 %, what lies outside 2σ of a Gaussian (Luo et "
        "al.).",
    ),
    "erf_ratio": Meaning(EFFECTIVE, "ERF / TRF", "", "ERF size over the side of the theoretical field."),
    "erf_ratio_clipped": Meaning(
        EFFECTIVE, "ERF / TRF in the input", "", "The same, the theoretical field clipped to the input."
    ),
    "erf_size_1sigma": Meaning(
        EFFECTIVE,
        "ERF size, 1 sigma (31.7 % of the centre)",
        "px",
        "Side of the area above 31.73 % of the centre's value: 1 − 68.27 %, what lies outside 1σ of a Gaussian.",
    ),
    "erf_size_peak": Meaning(
        EFFECTIVE,
        "ERF size (4.55 % of the peak)",
        "px",
        "Side of the area above 4.55 % of the maximum, wherever it is.",
    ),
    "trf_size": Meaning(THEORETICAL, "TRF size", "px", "Side of the box that can reach the unit (geometric mean)."),
    "trf_size_local": Meaning(
        THEORETICAL,
        "TRF size without statistics",
        "px",
        "The TRF size; of a field that is global only through statistics (InstanceNorm, GroupNorm, LayerNorm over "
        "space, squeeze-and-excite), that of the box without those paths. Undefined where it is global through other "
        "layers.",
    ),
    "trf_size_{}": Meaning(THEORETICAL, "TRF along {}", "px", "Exact and unclipped; may stick out of the input."),
    "trf_ratio": Meaning(THEORETICAL, "TRF / input", "", "Side of the TRF over the side of the input."),
    "mass_{}_side": Meaning(
        MASS,
        "side of the box with {} % of the mass",
        "px",
        "Of the smallest box around the projected centre that holds this share.",
    ),
    "mass_{}_ratio": Meaning(
        MASS, "box with {} % of the mass / input", "", "Area of that box, clipped, as a share of the input."
    ),
    "mass_{}_pixels": Meaning(
        MASS, "smallest set with {} % of the mass", "pixels", "How many pixels hold this share at least."
    ),
    "replknet_{}": Meaning(
        MASS,
        "RepLKNet's r, {} % of the mass",
        "",
        "Area of the smallest square around the middle pixel that holds this share, over the input's: by RepLKNet's "
        "script, with --protocol replknet alone (or both). Its squares grow by 2 px a side: r lies on a grid.",
    ),
    "r{}": Meaning(
        MASS,
        "radius of {} % of the mass",
        "px",
        "Distance from the projected centre within which this share lies; not how far tiles overlap, which is a "
        "question of its own.",
    ),
    "border_mass": Meaning(
        MASS, "mass a Gaussian would lose at the border", "", "Share of the fitted Gaussian outside the input."
    ),
    "sigma_1": Meaning(SHAPE, "sigma, first principal axis", "px", "Standard deviation along the longest axis."),
    "sigma_2": Meaning(SHAPE, "sigma, second principal axis", "px", "Standard deviation along the next axis."),
    "sigma_3": Meaning(SHAPE, "sigma, third principal axis", "px", "Standard deviation along the shortest axis."),
    "sigma_{}": Meaning(SHAPE, "sigma along {}", "px", "Standard deviation along an axis of the input."),
    "theta": Meaning(SHAPE, "angle of the first principal axis", "rad", "From the last axis of the input."),
    "r2": Meaning(SHAPE, "R² of a Gaussian fit", "", "Of the least-squares fit; 1 is a perfect Gaussian."),
    "kurtosis_{}": Meaning(
        SHAPE, "excess kurtosis along {}", "", "0 for a Gaussian, below for a box, above for long tails."
    ),
    "offset_{}": Meaning(SHAPE, "offset along {}", "px", "Centre of mass minus projected centre."),
    "anisotropy": Meaning(SHAPE, "anisotropy, largest / smallest sigma", "", "Of the principal axes; 1 is round."),
    "participation": Meaning(
        SHAPE, "effective number of pixels", "pixels", "(Σm)² / Σm²: how many would share the mass evenly."
    ),
    "entropy": Meaning(SHAPE, "entropy", "nat", "Of the map as a distribution."),
    "lattice": Meaning(
        SHAPE,
        "gridding (spectral energy at the stride)",
        "",
        "Also at the periods of dilations: how much of the map repeats with them, as a lattice does; 0 is even.",
    ),
    "mass_before": Meaning(
        MASS,
        "mass at or before the unit's place",
        "",
        "Share of the mass that a causal unit has in its past and present; undefined where a field is not causal.",
    ),
    "dead_fraction": Meaning(
        SAMPLES, "dead samples", "", "Share of samples whose gradient is exactly zero; they count in the average."
    ),
    "verify_difference": Meaning(
        SAMPLES,
        "difference to plain autograd",
        "",
        "Of one sample's gradient, relative (L2); undefined unless verify is true.",
    ),
}
TERMS: dict[str, str] = {
    "unit": "One position of one tensor inside the network, such as the centre of a layer's output. A field is always "
    "that of one unit.",
    "TRF": "Theoretical receptive field: the box of the input that can reach the unit at all. It follows from kernels, "
    "strides and dilations alone, whatever the weights are. Its size is its side.",
    "ERF": "Effective receptive field (Luo et al., 2016): the part of the TRF that really moves the unit. Its size is "
    "the side of a square as large as the part of the map above 4.55 % of the map's value at the centre. The "
    "article chose 4.55 % = 1 − 95.45 %: 95.45 % of a Gaussian lie within two standard deviations (2σ), "
    "and 68.27 % within one (1σ).",
    "map": "For each place in the input, how strongly the unit follows it: the absolute gradient of the unit by that "
    "place (or the statistic that was chosen), averaged over samples and colours.",
    "mass": "The sum of the map, which is all of the unit's influence. A box with 50 % of the mass is where half of "
    "the influence comes from.",
    "sigma": "Standard deviation of the mass: how wide the field is, as for a Gaussian. The first principal axis is "
    "the one along which the map is widest.",
    "R²": "How well a Gaussian fits the map: the share of the map's variance that the fit explains. 1 is a perfect "
    "Gaussian.",
    "ΔAIC": "Akaike's criterion of a fit, minus that of the best one: it weighs how well a shape fits against how many "
    "parameters it has. Lower is better; above about 10 a shape is ruled out.",
    "anisotropy": "The largest sigma of the principal axes over the smallest: 1 is a round field, 2 one that is twice "
    "as long as wide.",
    "kurtosis": "Excess kurtosis of the mass along an axis: 0 as for a Gaussian, below 0 for a flat field with sharp "
    "ends, above 0 for a peak with long tails.",
    "MACs": "Multiply-accumulates: how many products of a weight and a value a network adds up for one input.",
    "r": "A radius: r50, r90 and r99 are the distances from the projected centre within which 50, 90 and 99 % of the "
    "mass lie. The r of RepLKNet is another number: the area of a square with a share of the mass, over the area of "
    "the input.",
    "projected centre": "The place in the input where the unit sits; for a chain of symmetric layers the middle of "
    "its TRF.",
    "stride": "How far two neighbouring units of a layer are apart in the input.",
    "sample": "One input (or one draw of the weights) at which the gradient is taken. ± is the standard error over "
    "samples; more samples make it smaller.",
    "level": "The last layer of a stage of the network. A head is a layer that outputs are computed from alone.",
    "gridding": "How much of the map repeats like a lattice, from 0 (even) to 1: the holes that dilations and strides "
    "leave.",
    "halo": "The margin of a tile whose outputs are wrong, because the tile does not have all that they read.",
    "alignment": "Tiles start at multiples of this, so that strides fall as on the whole input.",
    "reach": "How far from its own place a unit reads, before and after it; the largest over the units of a layer. "
    "Units of one layer may differ (behind upsampling, or at another phase of a stride), so both together may be "
    "more than the TRF of one unit.",
}
"""What the words of labels and tables mean, for a glossary: one sentence or two each."""
_WHERE_MEASURED = frozenset({"mass_before", "verify_difference", "trf_size_local"})
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


# What people without the field's words should know of a size; other metrics have the words of their row.
_PLAIN = [
    (re.compile(r"trf_size"), "side of the part of the input that can reach the unit at all. It follows from kernels, "
     "strides and dilations alone, and is exact."),
    (re.compile(r"mass_(\d+)_side"), "side of the box where {} % of the influence on the unit comes from. It depends "
     "on the weights too."),
    (re.compile(r"erf_size"), "side of the area where the influence is above 4.55 % of that at the centre. Gaps "
     "between the taps of a dilation do not count."),
]  # fmt: skip


def in_plain_words(name: str) -> str:
    """What a metric measures, for people who see its name for the first time."""
    found = ((pattern.fullmatch(name), words) for pattern, words in _PLAIN)
    return next((words.format(*match.groups()) for match, words in found if match), meaning_of(name).words)


def near_names(name: str) -> list[str]:
    """The flat names that somebody may have meant, the nearest first."""
    fillings = {"mass_{}": ("20", "30", "50", "99"), "replknet_{}": ("20", "30", "50", "99"), "r{}": ("50", "90", "99")}
    known = [
        row.format(filling)
        for row in TABLE
        for filling in next((fill for start, fill in fillings.items() if row.startswith(start)), ("x", "y", "z"))
    ]
    return get_close_matches(name, list(dict.fromkeys(known)), n=3)


def is_shown(name: str, metrics: Mapping[str, Number]) -> bool:
    """Whether a table of these metrics has a row of this one: not where few results have it, nor where it is the TRF.

    Few results have `mass_before` and `verify_difference`; `trf_size_local` repeats the TRF where that is not global.
    """
    value = metrics[name]
    if name == "trf_size_local" and value == metrics["trf_size"]:
        return False
    return value is not None or name not in _WHERE_MEASURED


def unit_of(name: str) -> str:
    """The unit of a metric by its flat name; empty for plain numbers."""
    return meaning_of(name).unit


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Flat names by group, in the table's order."""
    groups: dict[str, list[str]] = {row.group: [] for row in TABLE.values()}
    for name in names:
        groups[meaning_of(name).group].append(name)
    return {group: held for group, held in groups.items() if held}
