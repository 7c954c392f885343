"""The search for the smallest change that reaches a wanted size: pure, over families of growing changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

C_co = TypeVar("C_co", covariant=True)
K = TypeVar("K")


class Growing(Protocol[C_co]):
    """Changes of one kind at one place, smallest first."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def make(self) -> Callable[[int], C_co | None]:
        """The n-th, None where it is not valid."""


@dataclass(frozen=True)
class Trial(Generic[K]):
    """A change that was looked at, and its ERF size."""

    change: K
    size: float


def smallest(family: Growing[K], want: float, size_of: Callable[[K], float | None]) -> Trial[K] | None:
    """The first member of a family that reaches `want`, by bisection: sizes grow along a family.

    Where none does, the largest valid one; None where none is valid.
    """
    low, high, best = 0, family.size - 1, None
    top = _largest(family, high, size_of)
    if top is None:
        return None
    best, high = top
    if best.size < want:
        return best
    while low < high:
        middle = (low + high) // 2
        trial = _trial(family, middle, size_of)
        if trial is not None and trial.size >= want:
            best, high = trial, middle
        else:
            low = middle + 1
    return best


def _largest(family: Growing[K], high: int, size_of: Callable[[K], float | None]) -> tuple[Trial[K], int] | None:
    for n in range(high, -1, -1):
        trial = _trial(family, n, size_of)
        if trial is not None:
            return trial, n
    return None


def _trial(family: Growing[K], n: int, size_of: Callable[[K], float | None]) -> Trial[K] | None:
    change = family.make(n)
    size = None if change is None else size_of(change)
    return None if change is None or size is None else Trial(change, size)


def nearest(family: Growing[K], want: float, size_of: Callable[[K], float | None]) -> Trial[K] | None:
    """The first member that reaches `want`, else the one of the largest size, by looking at all of them.

    Sizes need not grow along a family: a wide dilation leaves holes in the map, and the border cuts it off.
    """
    best: Trial[K] | None = None
    for n in range(family.size):
        trial = _trial(family, n, size_of)
        if trial is not None and (best is None or trial.size > best.size):
            best = trial
        if best is not None and best.size >= want:
            break
    return best


def search(
    families: Sequence[Growing[K]],
    want: float,
    now: float,
    size_of: Callable[[K], float | None],
    enough: int,
    done: Callable[[float], None] = lambda share: None,
) -> list[Trial[K]]:
    """The smallest member of each family that reaches `want`; where none does, the `enough` nearest to it.

    A change that is no larger than `now`, the size without any, is never among them. `done` hears the share looked at.
    """
    for look in (smallest, nearest):  # quick; then thorough, where that finds few
        found = list[Trial[K]]()
        for n, family in enumerate(families):
            done(n / len(families))
            trial = look(family, want, size_of)
            found += [] if trial is None or trial.size <= now else [trial]
        reaching = [trial for trial in found if trial.size >= want]
        if len(reaching) >= enough:
            break
    return reaching or sorted(found, key=lambda trial: -trial.size)[:enough]


def one_of_each(ranked: Sequence[K], kind_of: Callable[[K], str], most: int) -> list[K]:
    """The first of each kind, then the rest in order: what is worth verifying."""
    seen: set[str] = set()
    firsts, rest = list[K](), list[K]()
    for one in ranked:
        (rest if kind_of(one) in seen else firsts).append(one)
        seen.add(kind_of(one))
    return [*firsts, *rest][:most]
