"""Frames: where a tensor's units lie along the input's axes. Links: which places of an operand an operator reads."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from math import floor, gcd, lcm

from erfscope_engine.geometry.digits import Digit, Run, follows_of, size
from erfscope_engine.geometry.seats import Seat, Seats
from erfscope_engine.geometry.spans import ONE, Span, split, whole

Look = Callable[..., Span | None]  # spans of the output's runs → the operand's span, None where nothing is read
Number = int | Fraction


@dataclass(frozen=True)
class Frame:
    """A tensor: per axis a row of digits, and per input axis a seat. A unit sits at seat.at + Σ stride · digit."""

    axes: tuple[Run, ...]
    seats: Seats

    @cached_property
    def digits(self) -> Run:
        """All digits, in order."""
        return tuple(digit for run in self.axes for digit in run)

    @cached_property
    def follows(self) -> frozenset[int]:
        """The input axes that it runs along."""
        return follows_of(self.digits)

    def tidy(self) -> "Frame":
        """With seats in the steps of the finest digit."""
        finest = dict[int, Fraction]()
        for digit in self.digits:
            if digit.axis is not None and digit.stride:
                finest[digit.axis] = min(abs(digit.stride), finest.get(digit.axis, abs(digit.stride)))
        coarse = {axis: seat.coarser(finest[axis]) if axis in finest else seat for axis, seat in self.seats.items()}
        return Frame(self.axes, coarse)


@dataclass(frozen=True)
class Link:
    """Operand digits `to`, read as one number, are needed at look(spans of the output's runs `of`).

    Digits of an operand that no link names are the output's own. A `to` without digits is a condition: None says that
    the operand is not read. `only` (digit, index): it is read where that digit of the output has that value.
    """

    to: Run
    of: tuple[Run, ...]
    look: Look = lambda: None
    only: tuple[Digit, int] | None = None


def same(span: Span) -> Span:
    """A look that passes a span on."""
    return span


def first_of(run: Run) -> list[Link]:
    """Each digit at its only position."""
    return [Link((digit,), (), lambda: ONE) for digit in run]


def everything(run: Iterable[Digit], operator: str) -> list[Link]:
    """All of each digit, labelled where the digit runs along the input's space."""
    return [Link((digit,), (), partial(whole, digit, operator)) for digit in run]


def fixed(seats: Seats, run: Run, spans: Sequence[Span]) -> dict[int, Seat]:
    """Seats of units whose digits stand at a span: its middle, and all of it in the window."""
    moved = dict(seats)
    for digit, span in zip(run, spans, strict=True):
        if digit.axis in moved:
            moved[digit.axis] = moved[digit.axis].fixed(digit, span.lo, span.hi)
    return moved


def at_index(seats: Seats, run: Run, index: int) -> dict[int, Seat]:
    """Seats of units at one index of an axis."""
    return fixed(seats, run, split(run, Span(index, index + 1)))


def starting(seats: Seats, digit: Digit, start: int) -> dict[int, Seat]:
    """Seats for a digit that counts from `start` on."""
    return fixed(seats, (digit,), (Span(start, start + 1),))


def resting(seats: Seats, digits: Iterable[Digit]) -> dict[int, Seat]:
    """Seats of an operand that stays where it is while the unit moves along `digits`."""
    rested = dict(seats)
    for digit in digits:
        if digit.axis in rested and digit.extent > 1 and digit.stride:
            rested[digit.axis] = rested[digit.axis].resting(digit)
    return rested


def reduced(frame: Frame, run: Run, operator: str) -> dict[int, Seat]:
    """Seats after an operator took all of some digits away; an axis that nothing follows any more is mixed whole."""
    seats = fixed(frame.seats, run, [Span(0, digit.extent) for digit in run])
    return _labelled(frame, run, seats, operator)


def mixed(frame: Frame, run: Run, operator: str) -> dict[int, Seat]:
    """Seats of an operator whose units stay where they are and read all of some digits."""
    seats = dict(frame.seats)
    for digit in run:
        if digit.axis in seats and digit.stride:
            seats[digit.axis] = seats[digit.axis].mixing(digit)
    return _labelled(frame, run, seats, operator)


def _labelled(frame: Frame, run: Run, seats: dict[int, Seat], operator: str) -> dict[int, Seat]:
    return {axis: seat.because(operator) if axis in whole_axes(frame, run) else seat for axis, seat in seats.items()}


def whole_axes(frame: Frame, run: Run) -> set[int]:
    """The input axes of which all is taken with all of `run`: nothing that goes further along them is left."""
    left = [digit for digit in frame.digits if digit not in run and digit.extent > 1]

    def further(axis: int, than: Digit) -> bool:
        own = abs(than.stride) * than.extent
        return any(axis in d.follows and (d.axis != axis or abs(d.stride) * d.extent >= own) for d in left)

    return {axis for d in run if d.extent > 1 for axis in d.follows if not further(axis, d)}


def flat(run: Run, seats: Seats) -> tuple[Digit, dict[int, Seat]]:
    """A row of digits as one, with the seats for it.

    Nested digits of one input axis are one finer digit; plain ones inside are finer steps (phases). What runs along
    several axes, or backward and forward, becomes plain.
    """
    seats = dict(seats)
    if len(run) == 1:
        return run[0], seats
    if not run or run[0].axis is None:
        alone = [digit for digit in run if digit.follows]
        if len(alone) == 1 and size(run) == alone[0].extent:  # the others count to 1
            return alone[0], seats
        return Digit(size(run)), seats
    axis, stride = run[0].axis, run[0].stride
    for digit in run[1:]:
        if digit.axis == axis and digit.stride * digit.extent == stride:
            stride = digit.stride
        elif digit.axis is None and not digit.pieces:
            stride /= digit.extent
            if digit.extent > 1:
                seats[axis] = seats[axis].resting(Digit(digit.extent, axis, stride))
        elif digit.extent > 1:
            return _uneven(run, seats)
    return Digit(size(run), axis, stride), seats


def _uneven(run: Run, seats: dict[int, Seat]) -> tuple[Digit, dict[int, Seat]]:
    """Places of one input axis in no even row are all in the window; of several, they are told apart no more."""
    axes = {digit.axis for digit in run} - {None}
    if len(axes) > 1 or any(digit.pieces for digit in run):
        return Digit(size(run)), seats
    (axis,) = axes
    return Digit(size(run), axis), fixed(seats, run, [Span(0, digit.extent) for digit in run])


@dataclass(frozen=True)
class Window:
    """What a sliding operator does along one axis: output q reads look([q, q + 1)), around scale · q + middle."""

    scale: Number
    middle: Number
    look: Look


def windowed(run: Run, seats: Seats, extent: int, window: Window) -> tuple[Digit, dict[int, Seat], Link]:
    """An axis through a sliding operator: the output's digit, the seats, and the link."""
    digit, moved = flat(run, seats)
    out = Digit(extent, digit.axis, digit.stride * window.scale)
    if digit.axis is not None:
        moved[digit.axis] = _slid(moved[digit.axis], digit, out, window)
    return out, moved, Link(run, ((out,),), window.look)


def _slid(seat: Seat, digit: Digit, out: Digit, window: Window) -> Seat:
    if not digit.stride:  # the operand stays in one place whatever the index is
        return seat
    seat = seat.finer(digit.stride).finer(out.stride)
    pitch, step, scale = int(digit.stride / seat.step), int(out.stride / seat.step), Fraction(window.scale)

    def reads(i: int) -> set[int]:
        q, rest = i // step, i % step
        middle = floor(scale * q + window.middle)
        span = window.look(Span(q, q + 1)) or Span(middle, middle + 1)
        return {pitch * k + rest for k in range(span.lo, span.hi)}

    period = len(seat.windows)
    period = lcm(scale.denominator, period // gcd(period, step))
    moved = seat.remade(min(period, out.extent) * abs(step), reads, digit.stride * window.middle)
    span = window.look(Span(0, 1)) or ONE
    phases = max(abs(digit.stride) - abs(out.stride), Fraction(0))
    return moved.spreading(abs(digit.stride) * (span.hi - span.lo - 1) + phases)
