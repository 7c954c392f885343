"""Whether a level holds an object: its units must see it with its surroundings, and lie close enough. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from erfscope_contract.fit import ObjectFit, Verdict
from erfscope_contract.holding import CONFIDENT, UNITS_ACROSS
from erfscope_contract.judging import By, need_of

Side = float | Fraction


@dataclass(frozen=True)
class Size:
    """A size that judges a level, with its standard error, pixels; None where there is none."""

    value: float | None
    error: float = 0.0
    is_bound: bool = False  # it fills the input, and may be larger on a larger one


def at_level(
    size: float, field: Size, stride: Sequence[float | None], extents: Sequence[int], by: By = "erf_size"
) -> ObjectFit:
    """One object (pixels) at a level of this ERF (or what it is judged by) and stride, on an input of these extents."""
    need = need_of(size, by, len(extents))
    return ObjectFit(size=size, verdict=_verdict(size, need, field, stride, extents))


def _verdict(size: float, need: float, field: Size, stride: Sequence[float | None], extents: Sequence[int]) -> Verdict:
    if size > min(extents):
        return "outside input"
    margin = CONFIDENT * field.error
    if field.value is None or (field.value + margin < need and not field.is_bound):
        return "small field"
    if any(step is None or size < UNITS_ACROSS * step for step in stride):
        return "coarse grid"
    # On the bound itself nothing is open where there is no error.
    return "holds" if field.value - margin >= need else "unsure"


def do_heads_decide(heads: Sequence[Side], levels: Sequence[Side]) -> bool:
    """Whether what a network says is read from its heads alone, by the strides of its heads and of all its levels.

    So it is with several heads (a detector's), and with one that is finer than the coarsest level (behind a decoder) or
    on the only grid there is. The only head on the coarsest grid is a backbone's or classifier's: heads that are put
    on it may read any level.
    """
    if len(heads) != 1:
        return len(heads) > 1
    return heads[0] < max(levels) or min(levels) == max(levels)
