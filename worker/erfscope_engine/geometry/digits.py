"""Digits: what the index of a tensor along one axis is made of.

An axis is a row of digits, outermost first, like a mixed-radix number. A feature map's height is one digit that runs
along the input's height; H·W tokens are two digits; a batch that was cut into windows is three. Views only deal digits
out anew, so token grids and attention windows are recognised, not assumed.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erfscope_engine.geometry.seats import Seats

NONE = Fraction(0)


@dataclass(frozen=True, eq=False)
class Piece:
    """One operand of a join along space: at which index it starts, its digits, and its seats."""

    start: int
    digits: "Run"
    seats: "Seats"

    @property
    def stop(self) -> int:
        """The index behind its last one."""
        return self.start + size(self.digits)


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit of an index: `extent` values; two tensors that share the object agree on what each value means.

    `axis` is the input axis that it runs along, by `stride` input pixels per step (exact, may be negative; 0 where its
    places are no even row); None: a plain one (batch, channels, heads, phases). `pieces` are the operands of a join
    along space. `origin` are the digits that a half spectrum is of.
    """

    extent: int
    axis: int | None = None
    stride: Fraction = NONE
    pieces: tuple[Piece, ...] = ()
    origin: "Run" = ()

    @cached_property
    def follows(self) -> frozenset[int]:
        """The input axes that it runs along, those of its pieces included."""
        along = {self.axis} - {None}
        return frozenset(along.union(*(digit.follows for piece in self.pieces for digit in piece.digits)))  # type: ignore[arg-type]


Run = tuple[Digit, ...]  # digits read as one number, outermost first


def size(run: Run) -> int:
    """How many values a row of digits has."""
    return prod(digit.extent for digit in run)


def follows_of(run: Run) -> frozenset[int]:
    """The input axes that a row of digits runs along."""
    return frozenset().union(*(digit.follows for digit in run))


def along_one(run: Run) -> bool:
    """Whether all digits run along the same input axis, or all along none."""
    return len({digit.axis for digit in run}) == 1


def plain(run: Run) -> Run:
    """Digits of the same extents that mean nothing else."""
    return tuple(Digit(digit.extent) for digit in run)


def deal(digits: Run, shape: tuple[int, ...]) -> tuple[list[Run], list[tuple[Run, Run]]]:
    """Digits dealt out to axes of the given extents, in order: what a view does.

    A digit that straddles two axes is cut in two. Returns the axes and the pairs (old digits, new digits) of all cuts;
    where extents do not divide, a whole block is renumbered.
    """
    axes: list[Run] = [()] * len(shape)
    cuts: list[tuple[Run, Run]] = []
    i = j = 0
    while i < len(digits) or j < len(shape):
        if i < len(digits) and j < len(shape) and digits[i].extent == shape[j]:
            axes[j] = (*axes[j], digits[i])
            i, j = i + 1, j + 1
        elif j < len(shape) and shape[j] == 1:
            j += 1
        elif i < len(digits) and digits[i].extent == 1:  # a position of one rides with what comes next
            at = j if j < len(shape) else max(j - 1, 0)
            axes[at] = (*axes[at], digits[i])
            i += 1
        else:
            first, start = i, j
            i, j = _block_end(digits, shape, i, j)
            axes[start:j], block_cuts = _deal_block((*axes[start], *digits[first:i]), shape[start:j])
            cuts += block_cuts
    return axes, cuts


def _block_end(digits: Run, shape: tuple[int, ...], i: int, j: int) -> tuple[int, int]:
    """Behind the smallest block from digit i and axis j on that has the same count of values on both sides."""
    left, right = digits[i].extent, shape[j]
    i, j = i + 1, j + 1
    while left != right:
        if left < right:
            left, i = left * digits[i].extent, i + 1
        else:
            right, j = right * shape[j], j + 1
    return i, j


def _deal_block(digits: Run, shape: tuple[int, ...]) -> tuple[list[Run], list[tuple[Run, Run]]]:
    rest, parts, axes = list(digits), dict[Digit, list[Digit]](), list[Run]()
    for extent in shape:
        taken, room = list[Digit](), extent
        while room > 1 or (rest and rest[0].extent == 1 and extent > 1):
            digit = rest.pop(0)
            if room % digit.extent == 0:
                taken.append(digit)
                room //= digit.extent
            elif digit.extent % room == 0:
                outer, inner = _cut(digit, room)
                whole = next((w for w, cut in parts.items() if cut[-1] is digit), digit)
                parts[whole] = [*parts.get(whole, [digit])[:-1], outer, inner]
                taken.append(outer)
                rest.insert(0, inner)
                room = 1
            else:
                fresh: list[Run] = [(Digit(n),) for n in shape]
                return fresh, [(digits, tuple(d for run in fresh for d in run))]
        axes.append(tuple(taken))
    axes[-1] += tuple(rest)
    return axes, [((whole,), tuple(cut)) for whole, cut in parts.items()]


def _cut(digit: Digit, outer: int) -> tuple[Digit, Digit]:
    inner = digit.extent // outer
    return Digit(outer, digit.axis, digit.stride * inner), Digit(inner, digit.axis, digit.stride)


def blocks(main: Run, other: Run) -> list[tuple[Run, Run]]:
    """Two rows of digits of the same size, in blocks as small as possible that have the same size on both sides.

    Blocks of the very same digits are left out; a position of one of `other` without a partner has an empty main side.
    """
    pairs = list[tuple[Run, Run]]()
    i = j = 0
    while j < len(other):
        if other[j].extent == 1 and (i >= len(main) or main[i].extent != 1):
            pairs.append(((), other[j : j + 1]))
            j += 1
            continue
        if main[i].extent == 1 and other[j].extent != 1:
            i += 1
            continue
        first, start = i, j
        i, j = _block_end(main, tuple(d.extent for d in other), i, j)
        if main[first:i] != other[start:j]:
            pairs.append((main[first:i], other[start:j]))
    return pairs
