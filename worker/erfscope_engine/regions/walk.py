"""The backward walk: from a region of one value to the region of the input (and of every value between)."""

from dataclasses import dataclass

from erfscope_engine.regions.interval import Interval, Region, hull_region
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.tape import Entry, Ref, Tape


@dataclass(frozen=True)
class Reach:
    """What a region of a value needs: a region per value it depends on, and who made an axis whole."""

    regions: dict[int, Region]
    widened: list[tuple[Entry, int, int]]  # entry, argument's value, axis that it made whole


def trace(tape: Tape, value: int, region: Region) -> Reach:
    """Walk `tape` backward from `region` of `value`; regions of several readers are joined by their hull."""
    regions = {value: region}
    widened: list[tuple[Entry, int, int]] = []
    for entry in tape.ancestors([value])[::-1]:
        for out, index in enumerate(entry.outputs):
            if index is None or index not in regions:
                continue
            for ref, found in needs(Call(entry, tape, out), regions[index]):
                widened += [(entry, ref.index, axis) for axis in _new(found, regions[index])]
                _join(regions, ref, found)
    return Reach(regions, widened)


def _join(regions: dict[int, Region], ref: Ref, found: Region) -> None:
    known = regions.get(ref.index)
    regions[ref.index] = found if known is None else hull_region(known, found)


def _new(found: Region, given: Region) -> list[int]:
    """Axes that became whole here, not those that a view or a permutation only moved."""
    if sum(map(_wide_axes, found)) <= sum(map(_wide_axes, given)):
        return []
    if len(found) == len(given):
        return [axis for axis, (f, g) in enumerate(zip(found, given, strict=True)) if f.wide and not g.wide]
    return [axis for axis, f in enumerate(found) if f.wide]


def _wide_axes(i: Interval) -> int:
    return sum(_wide_axes(part) for _, part in i.parts) if i.parts else int(i.wide)
