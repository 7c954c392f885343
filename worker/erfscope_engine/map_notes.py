"""What a reader must know of a map's numbers: a size that is hardly known, two sizes that differ, gridding. Pure."""

from collections.abc import Sequence

from erfscope_contract.gridding import is_gridded
from erfscope_contract.lengths import pixels_of
from erfscope_contract.numbers import plain
from erfscope_contract.result import Number
from erfscope_engine.metrics import MapMetrics
from erfscope_engine.taking import Errors

APART = 1.25  # how much larger one of the two sizes is from which a note says what that means
UNCERTAIN = 0.1  # relative standard error of the ERF's size from which a note says what to do
WHY_UNCERTAIN = (
    "there are few samples, or the map is nearly flat at the size's level (4.55 % of the centre), so that a little "
    "noise moves its edge far. Take more samples (inputs, or draws of the weights), or a number that needs no level: "
    "the side of the box with half of the mass (mass_50_side), sigma_1, r50"
)
PEAKED = "Peaked"  # how the note on an ERF begins that is smaller than the box with half of the mass
WHY_PEAKED = (
    "the map is a sharp peak on a wide, weak skirt, as behind skips. erf_size (above 4.55 % of the centre) is the "
    "width of the peak, and a box as large as it holds less than half of the influence. For how far the unit sees, and "
    "for what a change of the network does to that, read mass_50_side and r90: the skirt may grow while erf_size stays"
)
WHY_GRIDDED = (
    "it repeats with the period of a stride or a dilation, because the unit sees some {steps} much better than those "
    "between them. erf_size counts the {steps} above its level as if they lay in one square, without the holes. For "
    "how far the unit sees, read mass_50_side and mass_99_side: their boxes have the holes in them. Details that are "
    "finer than the period may be missed. The usual causes are dilations with a common factor, and kernels that are "
    "smaller than their stride. Take dilations by turns (1, 2, 3), or a kernel at least as large as the stride."
)


def notes_on_map(metrics: MapMetrics, errors: Errors, rank: int) -> list[str]:
    """All of them, of a map of `rank` axes."""
    size, peak = metrics.erf.size, metrics.erf.size_peak
    gridding = _gridding(metrics.shape.lattice, rank) if is_gridded(metrics.shape, metrics.gaussian) else []
    # holes make an ERF small as well, and the note on them says so
    skirt = [] if gridding else _skirt(size, metrics.mass["0.50"].side, rank)
    return [
        *_uncertainty(size, errors.get("erf_size")),
        *skirt,
        *_peaks(size, peak, rank),
        *gridding,
    ]


def is_uncertain(size: Number, error: Number) -> bool:
    """Whether a size is hardly known."""
    return bool(size) and error is not None and error > UNCERTAIN * (size or 0.0)


def is_peaked(size: Number, half: Number) -> bool:
    """Whether an ERF is smaller than the side of the box with half of the mass; a Gaussian's is twice as large."""
    return bool(size) and half is not None and (size or 0.0) < half


def _skirt(size: Number, half: Number, rank: int) -> list[str]:
    """What an ERF tells, and what it does not, that is smaller than the box with half of the mass."""
    if not is_peaked(size, half):
        return []
    unit = pixels_of(rank).unit
    return [
        f"{PEAKED} (erf_size {plain(size)} {unit}; mass_50_side, the side of the box with half of the mass, "
        f"{plain(half)} {unit}): {WHY_PEAKED}."
    ]


def peaked_rows(names: Sequence[str]) -> list[str]:
    """The same of rows of a table, by their names; none where no row is peaked."""
    rule = "ERF smaller than mass_50_side, the side of the box with half of the mass"
    return [f"{PEAKED} ({rule}): {', '.join(names)}: {WHY_PEAKED}."] if names else []


def _uncertainty(size: Number, error: Number) -> list[str]:
    """What to do about a size that is hardly known."""
    if not size or error is None or not is_uncertain(size, error):
        return []
    return [f"The ERF's size is known to ± {100 * error / size:.0f} % only: {WHY_UNCERTAIN}."]


def _peaks(size: Number, peak: Number, rank: int) -> list[str]:
    """What two sizes that differ much mean: the map's maximum is far above its value at the projected centre."""
    if not size or not peak or max(size, peak) < APART * min(size, peak):
        return []
    unit = pixels_of(rank).unit
    return [
        f"erf_size is {plain(size)} {unit} (above 4.55 % of the projected centre), erf_size_peak {plain(peak)} {unit} "
        "(above 4.55 % of the maximum): the map has its maximum elsewhere, because it is gridded or has several peaks. "
        "Cite erf_size for a comparison with Luo et al., with mass_50_side, which depends on no level; erf_size_peak "
        "is for a comparison with maps that are scaled to their maximum. `lattice` tells how gridded the map is."
    ]


def _gridding(score: Number, rank: int) -> list[str]:
    """What holes in a map mean, and what to do."""
    why = WHY_GRIDDED.format(steps=pixels_of(rank).long)
    return [f"The map is gridded (lattice {plain(score)}; 0 is even, 1 a strict grid): {why}"]
