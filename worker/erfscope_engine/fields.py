"""The theoretical receptive field: box, what is seen of it, centre, of any unit of any recorded tensor.

A walk backward over the links gives the region of every tensor that a unit needs, twice: as if the image went on for
ever (the TRF), and cut at every tensor (what is really read on this image; autograd's support equals it).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from heapq import heappop, heappush
from math import lcm
from typing import Any

from erfscope_engine.geometry.digits import Digit
from erfscope_engine.geometry.frame import Frame, Link
from erfscope_engine.geometry.regions import Region, gather, hull, pull, spans_of
from erfscope_engine.geometry.seats import Seat
from erfscope_engine.geometry.spans import Span, split
from erfscope_engine.operators.families import apply
from erfscope_engine.operators.site import Out, Reads, Site
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.recording.tape import Call, Tape

Boxes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Map:
    """The geometry of a whole tape: the frame of every value, and the call and output that it is of."""

    tape: Tape
    space: tuple[int, ...]
    frames: Mapping[int, Frame]
    made: Mapping[int, tuple[Call, Out]]
    latest: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)  # targets → program

    @classmethod
    def of(cls, tape: Tape, space: Iterable[int], *, before: Call | None = None, masked: bool = False) -> "Map":
        """Follow the input axes `space` through a tape (through the calls `before` one of them).

        `masked`: kernels are as wide as their taps that are not 0.
        """
        space = tuple(space)
        axes = tuple(
            (Digit(n, k, Fraction(1)) if k in space else Digit(n),) for k, n in enumerate(tape.values[0].shape)
        )
        here = (Fraction(0), Fraction(0))
        frames = {0: Frame(axes, {k: Seat(Fraction(0), (here,)) for k in space})}
        made = dict[int, tuple[Call, Out]]()
        for call in tape.geometric:
            if call is before:
                break
            for index, result in zip(call.outputs, apply(Site(call, tape, frames, masked)), strict=True):
                if index is not None and result is not None:
                    frames[index] = result.frame.tidy()
                    made[index] = (call, Out(frames[index], result.reads))
                    _check(tape, call, made[index][1], frames)
        return cls(tape, space, frames, made)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Extents of the input's spatial axes."""
        return tuple(self.tape.values[0].shape[k] for k in self.space)

    def walk(
        self, value: int, region: Region, *, inside: bool = False, local: bool = False, every: bool = False
    ) -> dict[int, Region]:
        """Regions of every value that `region` of `value` needs, by the ways that carry a gradient.

        `inside`: cut to each tensor, as it is on this image. `local`: without the ways that only carry statistics.
        `every`: by the ways without a gradient as well.
        """
        regions, waiting = {value: region}, [-value]
        while waiting:  # values are numbered in the order of computation: the latest first
            index = -heappop(waiting)
            if index not in self.made or not (every or self.tape.values[index].live):
                continue
            call, out = self.made[index]
            for operand, links in self.ways(call, out.reads, local=local, every=every):
                back = pull(regions[index], links, self.frames[operand], inside=inside)
                if back is not None:
                    known = regions.get(operand)
                    if known is None:
                        heappush(waiting, -operand)
                    regions[operand] = back if known is None else hull(known, back)
        return regions

    def ways(
        self, call: Call, reads: Reads, *, local: bool = False, every: bool = False
    ) -> Iterable[tuple[int, Sequence[Link]]]:
        """Operands of a call with their links, by the ways that carry a gradient (see `walk`)."""
        record = OPERATORS.get(call.name)
        for operand, links in reads:
            if not (every or self.tape.values[operand].live):
                continue
            if not local or record is None or not record.statistics:
                yield operand, links
            elif record.statistics == "stay":  # a normalisation: the place itself, without its surroundings
                yield operand, [link for link in links if not _takes_space(link)]
            elif not any(map(_takes_space, links)):
                yield operand, links

    def center(self, value: int, region: Region) -> dict[int, float]:
        """Where a unit sits on the input, by input axis, in pixel-centre coordinates."""
        frame = self.frames[value]
        where = {axis: seat.at for axis, seat in frame.seats.items()}
        for digit, span in zip(frame.digits, spans_of(region, frame.digits), strict=True):
            piece = next((p for p in digit.pieces if p.start <= span.lo < p.stop), None)
            if piece is not None:
                inner = split(piece.digits, Span(span.lo - piece.start, span.hi - piece.start))
                for each in (d for d in piece.digits if d.axis is not None):
                    where[each.axis] = piece.seats[each.axis].at  # type: ignore[index]
                for each, part in zip(piece.digits, inner, strict=True):
                    if each.axis is not None:
                        where[each.axis] += each.stride * Fraction(part.lo + part.hi - 1, 2)
            elif digit.axis is not None:
                where[digit.axis] += digit.stride * Fraction(span.lo + span.hi - 1, 2)
        return {axis: float(place) for axis, place in where.items()}

    def pace(self, value: int, axis: int) -> Fraction:
        """The coarsest stride along an input axis up to a value, pixels."""
        return self._paces[value][axis]

    @cached_property
    def _paces(self) -> dict[int, dict[int, Fraction]]:
        coarsest, paces = dict.fromkeys(self.space, Fraction(1)), dict[int, dict[int, Fraction]]()
        for value, frame in sorted(self.frames.items()):
            for digit in frame.digits:
                if digit.axis is not None and digit.extent > 1:
                    coarsest[digit.axis] = max(coarsest[digit.axis], abs(digit.stride))
            paces[value] = dict(coarsest)
        return paces

    def alignment(self, values: Iterable[int]) -> tuple[int, ...]:
        """By how many pixels an input may move so that tensors just move along: tiles start at its multiples."""
        found = dict.fromkeys(self.space, 1)
        for value in values:
            for digit in self.frames[value].digits:
                if digit.axis is not None and digit.stride and digit.extent > 1:
                    found[digit.axis] = lcm(found[digit.axis], abs(digit.stride.numerator))
        return tuple(found[axis] for axis in self.space)


def _takes_space(link: Link) -> bool:
    """Whether a link takes all of something of the image, wherever the unit is."""
    if link.of or not link.to:
        return False
    span = link.look()
    return span is not None and bool(span.why)


def _check(tape: Tape, call: Call, out: Out, frames: Mapping[int, Frame]) -> None:
    """A record answers for every digit of every operand, and gives each digit of its output once."""
    mine = out.frame.digits
    if len(mine) != len(set(mine)):
        raise AssertionError(f"{call.name}: one digit on two axes")
    for operand, links in out.reads:
        lost = set(frames[operand].digits) - set(mine) - {digit for link in links for digit in link.to}
        if lost:
            shape = tape.values[operand].shape
            raise AssertionError(f"{call.name} of {shape}: no link answers for {[digit.extent for digit in lost]}")


@dataclass(frozen=True)
class Field:
    """What the walk of one unit says: per spatial axis, and the regions of every tensor that it needs."""

    box: Boxes
    center: tuple[float, ...]
    labels: frozenset[str]  # operators that made a global axis whole
    is_global: bool
    regions: Mapping[int, Region] = field(repr=False)


def field_of(geometry: Map, value: int, region: Region, *, local: bool = False) -> Field | None:
    """The field of a region of a value; None where it does not depend on the input (with a gradient)."""
    regions = geometry.walk(value, region, local=local)
    if 0 not in regions:
        return None
    spans = [gather(regions[0], geometry.frames[0].axes[k]) for k in geometry.space]
    box, labels, whole = boxed(geometry, value, spans, local=local)
    center = geometry.center(value, region)
    return Field(box, tuple(center[k] for k in geometry.space), labels, whole, regions)


def boxed(
    geometry: Map, value: int, spans: Sequence[Span | None], *, local: bool = False
) -> tuple[Boxes, frozenset[str], bool]:
    """What a unit of a value reads along each spatial axis as a box, who made an axis whole, and whether one is.

    Patches that do not fill the image leave less than one of them over, which a larger image would have read: such an
    axis is whole all the same. `local`: the spans leave statistics out, which the seats do not.
    """
    box, labels, whole = list[tuple[int, int]](), set[str](), False
    for axis, span, n in zip(geometry.space, spans, geometry.spatial_shape, strict=True):
        assert span is not None  # one digit per axis of the input
        mixed = frozenset[str]() if local else {*geometry.frames[value].seats[axis].why}
        why, pace = span.why | mixed, geometry.pace(value, axis)
        covers = bool(why) and span.lo < pace and span.hi > n - pace
        box.append((0, n) if covers else (span.lo, span.hi))
        labels |= why if covers else frozenset()
        whole |= covers
    return tuple(box), frozenset(labels), whole


def seen_of(geometry: Map, value: int, region: Region) -> Boxes | None:
    """The part of the image that a region really reads; None where nothing of its field is on the image."""
    real = geometry.walk(value, region, inside=True).get(0)
    if real is None:
        return None
    spans = [gather(real, geometry.frames[0].axes[k]) for k in geometry.space]
    return tuple((span.lo, span.hi) for span in spans if span is not None)


def reach_of(seat: Seat) -> tuple[Fraction, Fraction] | None:
    """How far units read before and behind where they sit, the largest over the phases; None where mixed whole."""
    if seat.why:
        return None
    return max(seat.at - lo for lo, _ in seat.windows), max(hi - seat.at for _, hi in seat.windows)


Namer = Callable[[Call], str]


def labelled(geometry: Map, chosen: frozenset[str], regions: Mapping[int, Region]) -> tuple[str, ...]:
    """The calls behind labels, nearest to the unit first, by names that a person can find."""
    names = list[str]()
    for index in sorted(regions, reverse=True):
        if index in geometry.made:
            call, _ = geometry.made[index]
            if call.name in chosen or (call.name.startswith("roll") and "roll" in chosen):
                names.append(geometry.tape.label(call))
    return tuple(dict.fromkeys(names))
