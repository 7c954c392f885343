"""Regions: what a unit needs of a whole tensor, and how that is carried from an operator's output to its operands."""

from collections.abc import Sequence

from erfscope_engine.geometry.digits import Digit, Run, along_one, size
from erfscope_engine.geometry.frame import Frame, Link
from erfscope_engine.geometry.spans import Span, fuse, split

Region = dict[
    Run, Span
]  # every digit of a tensor is in exactly one run; a run that was cut stays joint until one is read


def spans_of(region: Region, digits: Sequence[Digit]) -> list[Span]:
    """One span per digit."""
    by_digit = {digit: s for run, span in region.items() for digit, s in zip(run, split(run, span), strict=True)}
    return [by_digit[digit] for digit in digits]


def gather(region: Region, run: Run) -> Span | None:
    """The span of a row of digits read as one number."""
    return region[run] if run in region else fuse(run, spans_of(region, run))


def region_of(frame: Frame, spans: Sequence[Span]) -> Region:
    """The region with a span on every axis of a tensor; axes of several input axes are taken digit by digit."""
    region: Region = {}
    for run, span in zip(frame.axes, spans, strict=True):
        if not run:
            continue
        if along_one(run):
            region[run] = span
        else:
            region |= {(digit,): part for digit, part in zip(run, split(run, span), strict=True)}
    return region


def hull(a: Region, b: Region) -> Region:
    """What two readers need of one tensor. Runs along one input axis stay joint; others are taken digit by digit."""
    if a.keys() == b.keys():
        return {run: a[run].hull(b[run]) for run in a}
    joined: Region = {}
    taken = set[Digit]()
    for run in sorted({*a, *b}, key=len, reverse=True):
        if len(run) > 1 and along_one(run) and not taken & set(run):
            x, y = gather(a, run), gather(b, run)
            if x and y:
                joined[run] = x.hull(y)
                taken |= set(run)
    rest = list(dict.fromkeys(digit for run in a for digit in run if digit not in taken))
    pairs = zip(rest, spans_of(a, rest), spans_of(b, rest), strict=True)
    return joined | {(digit,): x.hull(y) for digit, x, y in pairs}


def restrict(region: Region, digit: Digit, index: int) -> Region | None:
    """The region where one digit has one value; None where it never has. Exact for the last digit of a joint run."""
    run = next(r for r in region if digit in r)
    if len(run) == 1 or run[-1] is not digit:
        (span,) = spans_of(region, (digit,))
        return region if span.lo <= index < span.hi else None
    span, extent = region[run], digit.extent
    lo, hi = -((index - span.lo) // extent), (span.hi - 1 - index) // extent + 1
    if lo >= hi:
        return None
    others = {r: s for r, s in region.items() if r != run}
    return {**others, run[:-1]: Span(lo, hi, span.why), (digit,): Span(index, index + 1)}


def pull(
    region: Region, links: Sequence[Link], operand: Frame, *, inside: bool = False, padded: bool = False
) -> Region | None:
    """The region of `operand` that gives `region` of the output; None where it is not read.

    `inside`: only what is really there, cut to the tensor. `padded`: with what sticks out of plain axes as well.
    """
    for link in links:
        if link.only is not None:
            restricted = restrict(region, *link.only)
            if restricted is None:
                return None
            region = restricted
    back: Region = {}
    for link in links:
        if link.only is None:
            span = _looked(region, link, inside=inside, padded=padded)
            if span is None:
                return None
            if link.to:
                back[link.to] = span
    return _passed(region, links, operand, back)


def _looked(region: Region, link: Link, *, inside: bool, padded: bool) -> Span | None:
    spans = [gather(region, run) for run in link.of]
    span = None if None in spans else link.look(*spans)
    if span is not None and link.to and (inside or not (padded or link.to[0].follows)):
        span = span.within(size(link.to))  # what sticks out of a plain axis is padding
    return span


def _passed(region: Region, links: Sequence[Link], operand: Frame, back: Region) -> Region:
    """The digits that the operand shares with the output, as they are."""
    rest = set(operand.digits) - {digit for link in links for digit in link.to}
    for run, span in region.items():
        shared = [digit for digit in run if digit in rest]
        if len(shared) == len(run):
            back[run] = span
        else:
            back |= {(d,): s for d, s in zip(run, split(run, span), strict=True) if d in rest}
        rest -= set(shared)
    if rest:
        raise AssertionError(f"no link answers for digits of extents {[digit.extent for digit in rest]}")
    return back
