"""The search for the smallest change of each family that reaches a wanted size: pure."""

from collections.abc import Callable, Iterator, Sequence
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
    """A change that was looked at, and its ERF size; None where only a measurement can tell."""

    change: K
    size: float | None


def nearest(family: Growing[K], want: float, now: float, size_of: Callable[[K], Trial[K] | None]) -> Trial[K] | None:
    """The first member that reaches `want`, else the one of the largest size; None where none is larger than `now`.

    Sizes need not grow along a family: a wide dilation leaves holes in the map, and the border cuts it off. A family is
    left where they no longer grow: of a U-Net's bottom, whose share of the map is small, at its first member. A member
    whose size is not known is taken at once.
    """
    best: Trial[K] | None = None
    for n in range(family.size):
        change = family.make(n)
        trial = None if change is None else size_of(change)
        if trial is None:
            continue
        if trial.size is None:
            return trial
        if trial.size <= max(now, 0.0 if best is None else best.size or 0.0):
            break
        best = trial
        if trial.size >= want:
            break
    return best


def search(
    families: Sequence[Growing[K]],
    want: float,
    now: float,
    size_of: Callable[[K], Trial[K] | None],
    done: Callable[[float], None] = lambda share: None,
) -> Iterator[Trial[K]]:
    """The smallest member of each family that reaches `want`, or its nearest one, each once it is known.

    A change that is no larger than `now`, the size without any, is never among them. `done` hears the share looked at.
    """
    for n, family in enumerate(families):
        done(n / len(families))
        trial = nearest(family, want, now, _told(size_of, n, len(families), family.size, done))
        if trial is not None:
            yield trial


def _told(
    size_of: Callable[[K], Trial[K] | None], n: int, families: int, members: int, done: Callable[[float], None]
) -> Callable[[K], Trial[K] | None]:
    """`size_of`, heard after each member of the n-th family: one of them may take long."""
    looked = 0

    def told(change: K) -> Trial[K] | None:
        nonlocal looked
        trial = size_of(change)
        looked += 1
        done((n + min(looked / members, 1)) / families)
        return trial

    return told
