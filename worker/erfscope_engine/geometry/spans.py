"""Spans: what a unit needs of one digit, or of a row of digits read as one number."""

from dataclasses import dataclass, replace

from erfscope_engine.geometry.digits import Digit, Run, size

Labels = frozenset[str]
UNLABELLED: Labels = frozenset()


@dataclass(frozen=True)
class Span:
    """[lo, hi): it may stick out of [0, n) along the input's space, as if the image went on for ever.

    `why`: labels of the operators that mixed a whole extent, beside an exact interval. `piece`: of a joined axis of
    which one operand alone is needed, that operand's start and a span for each of its digits.
    """

    lo: int
    hi: int
    why: Labels = UNLABELLED
    piece: tuple[int, tuple["Span", ...]] | None = None

    def hull(self, other: "Span") -> "Span":
        """The smallest span that holds both."""
        piece = None
        if self.piece and other.piece and self.piece[0] == other.piece[0]:
            piece = self.piece[0], tuple(a.hull(b) for a, b in zip(self.piece[1], other.piece[1], strict=True))
        return Span(min(self.lo, other.lo), max(self.hi, other.hi), self.why | other.why, piece)

    def within(self, extent: int) -> "Span | None":
        """Clipped to [0, extent); None where nothing is left."""
        lo, hi = max(self.lo, 0), min(self.hi, extent)
        return replace(self, lo=lo, hi=hi) if lo < hi else None

    def moved(self, by: int) -> "Span":
        """The same, `by` further on."""
        return Span(self.lo + by, self.hi + by, self.why)


ONE = Span(0, 1)


@dataclass(frozen=True)
class Affine:
    """A look that is affine at both ends: [lo, hi) → [scale · lo + first, scale · (hi − 1) + last + 1), scale ≥ 0.

    Such looks can be composed, and keep hulls: `reaches.py` takes whole chains of them at once.
    """

    scale: int
    first: int
    last: int

    def __call__(self, span: Span) -> Span:
        """What is needed of the operand."""
        return Span(self.scale * span.lo + self.first, self.scale * (span.hi - 1) + self.last + 1, span.why)

    def after(self, other: "Affine") -> "Affine":
        """This look of what `other` gives."""
        return Affine(
            self.scale * other.scale, self.scale * other.first + self.first, self.scale * other.last + self.last
        )


def split(run: Run, span: Span) -> list[Span]:
    """A span of a row of digits, digit by digit; the hull where it crosses the end of an inner digit."""
    if len(run) < 2:
        return [span] * len(run)
    if _ends(run):  # beyond its end such an axis goes on nowhere
        span = span.within(size(run)) or ONE
    spans, pitch, lo, hi = list[Span](), size(run), span.lo, span.hi - 1
    for position, digit in enumerate(run):
        pitch //= digit.extent
        first, last = lo // pitch, hi // pitch
        if position == 0:
            spans.append(Span(first, last + 1, span.why))
        elif first // digit.extent != last // digit.extent:
            spans.append(Span(0, digit.extent, span.why))
        else:
            spans.append(Span(first % digit.extent, last % digit.extent + 1, span.why))
    return spans


def _ends(run: Run) -> bool:
    """Whether the axis has an end: a plain one, or one that was cut into windows."""
    return run[0].axis is None and not run[0].pieces


def fuse(run: Run, spans: list[Span] | tuple[Span, ...]) -> Span | None:
    """The hull of a box of spans read as one number; None where nothing of it is inside.

    Labels of inner digits are dropped: a window is not the whole axis.
    """
    if not run:
        return ONE
    inside = [spans[0], *(span.within(digit.extent) for digit, span in zip(run[1:], spans[1:], strict=True))]
    lo = hi = 0
    for digit, span in zip(run, inside, strict=True):
        if span is None:
            return None
        lo, hi = lo * digit.extent + span.lo, hi * digit.extent + span.hi - 1
    return Span(lo, hi + 1, _outer_labels(run, spans))


def _outer_labels(run: Run, spans: list[Span] | tuple[Span, ...]) -> Labels:
    outermost: dict[int, Labels] = {}
    for digit, span in zip(run, spans, strict=True):
        if digit.extent > 1:
            for axis in digit.follows:
                outermost.setdefault(axis, span.why)
    return UNLABELLED.union(*outermost.values())


def whole(digit: Digit, operator: str) -> Span:
    """All of a digit; labelled with the operator that takes it where the digit runs along the input's space."""
    return Span(0, digit.extent, labels(digit, operator))


def labels(digit: Digit, operator: str) -> Labels:
    """The operator's name where taking all of the digit means taking all of something of the image."""
    return frozenset([operator]) if digit.extent > 1 and digit.follows else UNLABELLED
