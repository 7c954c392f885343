"""Whether a level holds an object: its units must see it with its surroundings, and lie close enough. Pure."""

from collections.abc import Sequence

from erfscope_contract.fit import FitLevel, FitObject, ObjectFit, Verdict
from erfscope_contract.holding import HOLD, UNITS_ACROSS, erf_for


def at_level(size: float, erf_size: float | None, stride: Sequence[float | None], extents: Sequence[int]) -> ObjectFit:
    """One object (pixels) at a level of this ERF size and stride, on an input of these extents."""
    return ObjectFit(size=size, verdict=_verdict(size, erf_size, stride, extents))


def _verdict(size: float, erf_size: float | None, stride: Sequence[float | None], extents: Sequence[int]) -> Verdict:
    if size > min(extents):
        return "outside input"
    if erf_size is None or erf_size < erf_for(size):
        return "small field"
    if any(step is None or size < UNITS_ACROSS * step for step in stride):
        return "coarse grid"
    return "holds"


def objects_of(sizes: Sequence[float], levels: Sequence[FitLevel]) -> list[FitObject]:
    """Each object size, with the levels that hold it."""
    return [_object(size, levels) for size in sizes]


def _object(size: float, levels: Sequence[FitLevel]) -> FitObject:
    holding = sorted((one for one in levels if size in one.holds), key=lambda one: one.erf_size or 0.0)
    best = next((one for one in holding if one.role == "head"), holding[0] if holding else None)
    return FitObject(
        size=size,
        held_by=[one.name for one in holding],
        best=best.name if best else None,
        words=_held(size, best) if best else _missing(size, levels),
    )


def _held(size: float, best: FitLevel) -> str:
    return f"{size:g} px: {best.role} {best.name} holds it ({_field(best)}, {_stride(best)})."


def _missing(size: float, levels: Sequence[FitLevel]) -> str:
    """What comes nearest: a field that is large enough on too coarse a grid, or the largest field."""
    verdicts = {fit.verdict for one in levels for fit in one.objects if fit.size == size}
    if verdicts == {"outside input"}:
        return f"{size:g} px: larger than the input; give a larger one (input.shape, --shape)."
    largest = max(levels, key=lambda one: one.erf_size or 0.0)
    if "coarse grid" not in verdicts:
        return (
            f"{size:g} px: no level has an ERF of {HOLD:g} × its size ({erf_for(size):g} px); the largest is that of "
            f"{largest.name} ({_field(largest)})."
        )
    coarse = [one for one in levels if any(f.size == size and f.verdict == "coarse grid" for f in one.objects)]
    finest = min(coarse, key=lambda one: max((step or 0.0) for step in one.stride))
    return (
        f"{size:g} px: no level is fine enough with an ERF of {HOLD:g} × its size ({erf_for(size):g} px); "
        f"{finest.name} has the ERF ({_field(finest)}), but at {_stride(finest)} the object is narrower than "
        f"{UNITS_ACROSS:g} units."
    )


def _field(level: FitLevel) -> str:
    return "no ERF" if level.erf_size is None else f"ERF {level.erf_size:.3g} px"


def _stride(level: FitLevel) -> str:
    return f"stride {'×'.join('?' if step is None else f'{step:g}' for step in dict.fromkeys(level.stride))}"
