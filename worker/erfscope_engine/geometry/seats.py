"""Seats: along one input axis, where the units of a tensor sit and what they read, all units at once.

One pass forward over the tape gives the seats of every tensor, and with them the centre, stride and TRF of all layers.
They do not know channel subsets, the seams of joins or the image's borders; the walk of one unit (`regions.py`) does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

from erfscope_engine.geometry.digits import Digit

Window = tuple[Fraction, Fraction]
LONGEST_PERIOD = 4096
EVERYTHING = 10**6  # pixels: a window that stands for more than can be told


@dataclass(frozen=True)
class Seat:
    """The seat of a tensor along one input axis.

    The unit whose digits are all 0 sits at `at`; units are `step` apart, and unit i (a whole number: the sum of
    stride · digit over all digits, in steps) sits at at + step·i and reads the hull [lo + step·i, hi + step·i], with
    (lo, hi) = windows[i % period]. `why` names the operators that mixed the axis' whole extent. `core` is how much the
    shallowest path alone, the one that says where the unit sits, spreads over.
    """

    at: Fraction
    windows: tuple[Window, ...]
    step: Fraction = Fraction(1)
    why: tuple[str, ...] = ()
    core: Fraction = Fraction(0)

    @property
    def lo(self) -> Fraction:
        """The lowest edge over all phases."""
        return min(lo for lo, _ in self.windows)

    @property
    def hi(self) -> Fraction:
        """The highest edge over all phases."""
        return max(hi for _, hi in self.windows)

    def window(self, i: int) -> Window:
        """What unit i reads."""
        lo, hi = self.windows[i % len(self.windows)]
        return lo + self.step * i, hi + self.step * i

    def remade(
        self,
        period: int,
        reads: Callable[[int], Iterable[int]],
        shift: Fraction = Fraction(0),
        step: Fraction | None = None,
    ) -> "Seat":
        """The seat of a tensor whose unit i reads the units `reads(i)` of this one, its middle moved by `shift`."""
        step = step or self.step
        period = max(period, 1)  # an axis of no positions
        if period > LONGEST_PERIOD:
            return replace(self, windows=((self.lo - EVERYTHING, self.hi + EVERYTHING),), step=step)
        windows = []
        for i in range(period):
            read = [self.window(j) for j in reads(i)]
            windows.append((min(lo for lo, _ in read) - step * i, max(hi for _, hi in read) - step * i))
        return replace(self, at=self.at + shift, windows=_shortest(windows), step=step)

    def fixed(self, digit: Digit, lo: int, hi: int) -> "Seat":
        """With a digit set to [lo, hi): all of it is read, and the middle is its middle."""
        if hi <= lo:  # an axis of no positions
            return self
        fine = self.finer(digit.stride)
        pitch = int(digit.stride / fine.step)
        middle = digit.stride * Fraction(lo + hi - 1, 2)
        moved = fine.remade(len(fine.windows), lambda i: {i + pitch * k for k in range(lo, hi)}, middle)
        return moved.spreading(digit.stride * (hi - lo - 1))

    def finer(self, stride: Fraction) -> "Seat":
        """The same in steps of which `stride` is a multiple."""
        parts = (stride / self.step).denominator
        if parts == 1:
            return self
        return self.remade(len(self.windows) * parts, lambda i: {i // parts}, step=self.step / parts)

    def coarser(self, step: Fraction) -> "Seat":
        """The same where units stand only at multiples of `step`."""
        ratio = step / self.step
        if ratio == 1 or ratio.denominator > 1:
            return self
        every = int(ratio)
        return self.remade(lcm(len(self.windows), every) // every, lambda i: {i * every}, step=step)

    def resting(self, digit: Digit) -> "Seat":
        """As seen from a unit that moves along `digit` while what it reads stays where it is."""
        if not digit.stride:  # its places are no even row: all of them are in the window
            return self
        fine = self.finer(digit.stride)
        pitch, extent = int(digit.stride / fine.step), digit.extent
        period = lcm(len(fine.windows), abs(pitch) * extent)
        middle = -digit.stride * Fraction(extent - 1, 2)
        rested = fine.remade(period, lambda i: {i - pitch * (i // pitch % extent)}, middle)
        return rested.spreading(digit.stride * (extent - 1))

    def mixing(self, digit: Digit) -> "Seat":
        """Of units that stay where they are and read all of a digit."""
        if not digit.stride or not digit.extent:
            return self
        return replace(self.fixed(digit, 0, digit.extent).resting(digit), at=self.at)

    def spreading(self, by: Fraction) -> "Seat":
        """The same behind a step of the path that spreads over `by` more pixels."""
        return replace(self, core=self.core + abs(by))

    def because(self, operator: str) -> "Seat":
        """The same, mixed by an operator."""
        return replace(self, why=(*self.why, operator))


Seats = Mapping[int, Seat]  # by input axis


def _shortest(windows: list[Window]) -> tuple[Window, ...]:
    count = len(windows)
    for period in range(1, count + 1):
        if count % period == 0 and windows[:period] * (count // period) == windows:
            return tuple(windows[:period])
    return tuple(windows)


def depth_of(seat: Seat) -> tuple[bool, Fraction, Fraction]:
    """A key that sorts operands from shallow to deep. A window that covers the whole axis is not compared first."""
    width = seat.hi - seat.lo
    return (True, seat.core, width) if seat.why else (False, width, seat.core)


def meet(operands: list[tuple[Seats, frozenset[int]]]) -> dict[int, Seat]:
    """The seats of a join: each operand with its seats and the input axes along which it goes with the unit.

    The unit sits where the operand with the smallest window sits, among those that go with it and are not mixed; of
    such as are all mixed, or as large, where the shallowest path leads; between several of those, in the middle.
    """
    return {axis: _meet_along(axis, operands) for axis in operands[0][0]}


def _meet_along(axis: int, operands: list[tuple[Seats, frozenset[int]]]) -> Seat:
    every = [seats[axis] for seats, _ in operands]
    moving = [seats[axis] for seats, along in operands if axis in along] or every
    least = min(map(depth_of, moving))
    places = [seat.at for seat in moving if depth_of(seat) == least]
    core = min(seat.core for seat in moving if depth_of(seat) == least)
    why = tuple(dict.fromkeys(name for seat in every for name in seat.why))
    windows, step = _joined(moving)
    return Seat((min(places) + max(places)) / 2, windows, step, why, core)


def _joined(seats: list[Seat]) -> tuple[tuple[Window, ...], Fraction]:
    """The hull of several seats' windows, phase by phase, in their common step."""
    for other in list(seats):
        seats = [seat.finer(other.step) for seat in seats]
    step = min(seat.step for seat in seats)
    seats = [seat.finer(step) for seat in seats]
    period = lcm(*(len(seat.windows) for seat in seats))
    if period > LONGEST_PERIOD:
        return ((min(seat.lo for seat in seats), max(seat.hi for seat in seats)),), step
    lows = [[seat.windows[k % len(seat.windows)][0] for seat in seats] for k in range(period)]
    highs = [[seat.windows[k % len(seat.windows)][1] for seat in seats] for k in range(period)]
    return tuple((min(lo), max(hi)) for lo, hi in zip(lows, highs, strict=True)), step
