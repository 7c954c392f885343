"""Units side by side, taken from several tensors, as digits along the input's axes: told apart by where they sit."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from erfscope_engine.geometry.digits import Digit, Run
from erfscope_engine.geometry.seats import Seat, Seats, meet


def row_of(seats: Sequence[Seat], axis: int, extent: int) -> tuple[Digit, Seat] | None:
    """Single rows side by side as a digit along an input axis, and its seat; None where they do not move along it.

    Most of them must lie in one even row (a border may wrap; rows of a grid do not). The outputs of a recurrent layer
    sit where the sample is that each was the first to read: at the last edge of what they read (at the first edge,
    where time runs backward).
    """
    for places in (_at(seats), _last_edge(seats), _first_edge(seats)):
        steps = Counter(b - a for a, b in pairwise(places))
        step, count = steps.most_common(1)[0] if steps else (Fraction(0), 0)
        origins = Counter(at - step * n for n, at in enumerate(places))
        origin, within = origins.most_common(1)[0] if origins else (Fraction(0), 0)
        if step and 2 * count > len(places) - 1 and 2 * within > len(places):
            k = next(n for n, at in enumerate(places) if at - step * n == origin)
            digit = Digit(extent, axis, step)
            return digit, _labelled(seats[k].fixed(digit, -k, -k + 1), seats)
    return None


def _labelled(seat: Seat, rows: Sequence[Seat]) -> Seat:
    """The seat of rows side by side: mixed where each reads all that the one before (or behind) it reads, and more."""
    widths, way = [row.hi - row.lo for row in rows], abs(rows[-1].at - rows[0].at)
    is_even = widths in (sorted(widths), sorted(widths, reverse=True))
    recurrent = len(rows) > 2 and way and is_even and abs(widths[-1] - widths[0]) >= way
    return seat.because("stack") if recurrent else seat


def rows_of(seats: Sequence[Seats]) -> Iterator[tuple[Run, dict[int, Seat]]]:
    """Parts side by side as digits along input axes, with their seats: phases along several, or a row along one.

    They are told apart by where they sit; those of a recurrence by the last (or first) edge of what they read.
    """
    for where in (_at, _last_edge, _first_edge):
        yield from _phases(seats, where)
    for axis in seats[0]:
        if found := row_of([each[axis] for each in seats], axis, len(seats)):
            yield (found[0],), {axis: found[1]}


def _at(seats: Sequence[Seat]) -> list[Fraction]:
    return [seat.at for seat in seats]


def _last_edge(seats: Sequence[Seat]) -> list[Fraction]:
    """Where a recurrence has come to: all read from the same place on."""
    return [seat.hi for seat in seats] if len({seat.lo for seat in seats}) == 1 else []


def _first_edge(seats: Sequence[Seat]) -> list[Fraction]:
    """The same, where time runs backward."""
    return [seat.lo for seat in seats] if len({seat.hi for seat in seats}) == 1 else []


def _phases(
    seats: Sequence[Seats], where: Callable[[Sequence[Seat]], list[Fraction]]
) -> Iterator[tuple[Run, dict[int, Seat]]]:
    """Parts as a grid of digits, the slowest first; parts in one place are a last digit that moves nowhere."""
    places = {axis: where([each[axis] for each in seats]) for axis in seats[0]}
    lags = {
        axis: next(i for i, at in enumerate(row) if at != row[0]) for axis, row in places.items() if len({*row}) > 1
    }
    outer, run, moved = len(seats), list[Digit](), dict[int, Seat]()
    for axis, lag in sorted(lags.items(), key=lambda each: -each[1]):
        row, extent = places[axis], outer // lag
        step = row[lag] - row[0]
        if outer % lag or row != [row[0] + step * (i // lag % extent) for i in range(len(row))]:
            return
        run.append(Digit(extent, axis, step))
        moved[axis] = _labelled(seats[0][axis].fixed(run[-1], 0, 1), [each[axis] for each in seats])
        outer = lag
    if outer == 1:
        yield tuple(run), moved
    elif len(run) == 1:
        (axis,) = moved
        phases = meet([({axis: each[axis]}, frozenset([axis])) for each in seats[:outer]])[axis]
        yield (*run, Digit(outer)), {axis: _labelled(phases, [each[axis] for each in seats])}


def is_between(row: Digit, others: Sequence[Digit]) -> bool:
    """Whether all of a row lies between two positions of the digits that run along its axis already (phases)."""
    along = [abs(digit.stride) for digit in others if digit.axis == row.axis and digit.extent > 1]
    return all(abs(row.stride) * row.extent <= stride for stride in along)
