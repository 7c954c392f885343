"""The TRF of many layers at once: what each tensor reads of the input, composed call by call from the looks of links.

A walk answers for one unit and costs the network's depth, so the walks of all layers cost its square. Most calls are
affine along space (windows, padding, element-wise work) or take all of an axis. Such calls compose into one formula per
tensor, from its own digits straight to those of a *base*: the input, or the nearest tensor before it whose call is no
such formula (upsampling, slices, joins along space). A field then takes one step per base, and is exactly the walk's:
affine maps keep hulls. A formula holds where a region takes all channels; other regions are walked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain

from erfscope_engine.fields import Boxes, Map, boxed
from erfscope_engine.geometry.digits import Digit, size
from erfscope_engine.geometry.frame import Link, same
from erfscope_engine.geometry.regions import Region, gather, hull, pull
from erfscope_engine.geometry.spans import UNLABELLED, Affine, Labels, Span

IDENTITY = Affine(1, 0, 0)


@dataclass(frozen=True)
class Term:
    """A span of a base's digit: a look at a digit of the tensor, or, without `digit`, the same wherever the unit is."""

    digit: Digit | None
    look: Affine
    why: Labels = UNLABELLED

    def at(self, spans: Mapping[Digit, Span]) -> Span:
        """The span for spans of the tensor's digits."""
        if self.digit is None:
            return Span(self.look.first, self.look.last + 1, self.why)
        return self.look(spans[self.digit])


Terms = Mapping[Digit, Sequence[Term]]  # by digit of a base; the span of it is their hull
Reach = Mapping[int, Terms]  # by base


@dataclass(frozen=True)
class Extent:
    """What a unit needs of the input along each spatial axis; `is_global`: an operator made an axis whole."""

    box: Boxes
    is_global: bool


class Reaches:
    """Formulas of all tensors of a network, found as they are asked for."""

    def __init__(self, geometry: Map) -> None:
        self.geometry = geometry
        self.batch = geometry.frames[0].axes[0]
        self._known: dict[int, Reach] = {}

    def extent(self, value: int, region: Region) -> Extent | None:
        """The TRF of a region of a value; None where it has no gradient with respect to the input."""
        read = self._at_input(value, region)
        if read is None:
            return None
        spans = [gather(read, self.geometry.frames[0].axes[axis]) for axis in self.geometry.space]
        box, _, whole = boxed(self.geometry, value, spans)
        return Extent(box, whole)

    def _at_input(self, value: int, region: Region) -> Region | None:
        """A walk that goes by formulas from base to base where they hold, and call by call elsewhere."""
        regions, waiting = {value: region}, [-value]
        while waiting:
            index = -heappop(waiting)
            if index == 0 or not self._is_computed(index):
                continue
            for before, back in self._before(index, regions[index]):
                known = regions.get(before)
                if known is None:
                    heappush(waiting, -before)
                regions[before] = back if known is None else hull(known, back)
        return regions.get(0)

    def _is_computed(self, index: int) -> bool:
        return index in self.geometry.made and self.geometry.tape.values[index].live

    def _before(self, index: int, region: Region) -> Iterable[tuple[int, Region]]:
        reach = self._reach(index)
        if index not in reach and self._is_whole(region):
            return [(base, self._of_base(terms, region)) for base, terms in reach.items()]
        call, out = self.geometry.made[index]
        pulled = (
            (operand, pull(region, links, self.geometry.frames[operand]))
            for operand, links in self.geometry.ways(call, out.reads)
        )
        return [(operand, back) for operand, back in pulled if back is not None]

    def _is_whole(self, region: Region) -> bool:
        """Whether a region has one span per digit along space, and all of every other digit but the batch's."""
        return all(
            run == self.batch
            or (len(run) == 1 and span.piece is None and (bool(run[0].follows) or _covers(span, run[0].extent)))
            for run, span in region.items()
        )

    def _of_base(self, terms: Terms, region: Region) -> Region:
        spans = {digit: span for (digit, *_), span in region.items()}
        return {
            (digit,): _hull(term.at(spans) for term in each) if each else self._untouched(digit, spans)
            for digit, each in terms.items()
        }

    def _untouched(self, digit: Digit, spans: Mapping[Digit, Span]) -> Span:
        """Of a digit that is not along space: the unit's sample, all channels."""
        return spans[digit] if digit in spans and (digit,) == self.batch else Span(0, digit.extent)

    def _reach(self, index: int) -> Reach:
        """The formula of a value, those of the values before it first."""
        waiting = [index]
        while waiting:
            top = waiting[-1]
            missing = [] if top in self._known else self._missing(top)
            if not missing:
                self._known.setdefault(top, self._composed(top))
                waiting.pop()
            waiting += missing
        return self._known[index]

    def _missing(self, index: int) -> list[int]:
        if index == 0 or not self._is_computed(index):
            return []
        call, out = self.geometry.made[index]
        return [operand for operand, _ in self.geometry.ways(call, out.reads) if operand not in self._known]

    def _composed(self, index: int) -> Reach:
        if index == 0 or not self._is_computed(index):
            return self._itself(index)
        call, out = self.geometry.made[index]
        merged: dict[int, dict[Digit, dict[tuple[Digit | None, int], Term]]] = {}
        for operand, links in self.geometry.ways(call, out.reads):
            steps = self._steps(operand, links)
            if steps is None:
                return self._itself(index)
            for base, terms in self._known[operand].items():
                into = merged.setdefault(base, {digit: {} for digit in terms})
                for digit, each in terms.items():
                    for term in each:
                        mine = _after(term, steps)
                        key = mine.digit, mine.look.scale
                        into[digit][key] = _joined(into[digit].get(key), mine)
        return {base: {d: tuple(each.values()) for d, each in terms.items()} for base, terms in merged.items()}

    def _itself(self, index: int) -> Reach:
        """A base: its digits are what they are."""
        digits = self.geometry.frames[index].digits
        return {index: {d: (Term(d, IDENTITY),) if d.follows else () for d in digits}}

    def _steps(self, operand: int, links: Sequence[Link]) -> dict[Digit, Term] | None:
        """What is needed of an operand's digits along space, by those of the output; None where no formula tells.

        All of the operand's other digits must be needed where all of the output's are.
        """
        steps = {digit: Term(digit, IDENTITY) for digit in self.geometry.frames[operand].digits if digit.follows}
        for link in links:
            if link.only is not None:
                return None
            if not any(digit.follows for digit in (*link.to, *chain(*link.of))):
                if not self._takes_all(link):
                    return None
            elif (term := _term(link)) is not None:
                steps[link.to[0]] = term
            else:
                return None
        return steps

    def _takes_all(self, link: Link) -> bool:
        """Whether a link between digits that are not along space needs all where all of the output is asked for."""
        if any(digit in self.batch and digit.extent > 1 for digit in (*link.to, *chain(*link.of))):
            return False  # samples that stay apart pass without a link
        span = link.look(*(Span(0, size(run)) for run in link.of))
        return span is not None and (not link.to or _covers(span, size(link.to)))


def _term(link: Link) -> Term | None:
    """A link to one digit along space as a formula."""
    if len(link.to) != 1 or not link.to[0].follows:
        return None
    if not link.of:
        span = link.look()
        return None if span is None else Term(None, Affine(0, span.lo, span.hi - 1), span.why)
    look = IDENTITY if link.look is same else link.look
    if len(link.of) != 1 or len(link.of[0]) != 1 or not isinstance(look, Affine) or link.of[0][0].pieces:
        return None
    return Term(link.of[0][0], look) if link.of[0][0].follows else None


def _covers(span: Span, extent: int) -> bool:
    return span.lo <= 0 and span.hi >= extent


def _after(term: Term, steps: Mapping[Digit, Term]) -> Term:
    """A term of an operand's digit as one of the output's."""
    if term.digit is None:
        return term
    step = steps[term.digit]
    return Term(step.digit, term.look.after(step.look), step.why)


def _joined(known: Term | None, term: Term) -> Term:
    """Two looks at one digit by one scale are one look."""
    if known is None:
        return term
    look = Affine(term.look.scale, min(known.look.first, term.look.first), max(known.look.last, term.look.last))
    return Term(term.digit, look, known.why | term.why)


def _hull(spans: Iterable[Span]) -> Span:
    first, *others = spans
    for other in others:
        first = first.hull(other)
    return first
