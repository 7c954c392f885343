"""What a claim's experiment yields: numbers with errors, judged rows, pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from erfscope_contract.numbers import with_error


class Verdict(StrEnum):
    """How a row came out."""

    CONFIRMED = "confirmed"
    REFUTED = "not confirmed"
    UNDECIDED = "undecided"  # the error is too large to tell
    MEASURED = "measured"  # nothing was published to hold it against
    CRASHED = "crashed"


@dataclass(frozen=True)
class Quantity:
    """A number and its standard error; None where no error was estimated, 0 where it is exact."""

    value: float
    error: float | None = None

    def __sub__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value - other.value, joined(self.error, other.error))

    def __truediv__(self, other: "Quantity") -> "Quantity":
        ratio = self.value / other.value
        shares = [None if q.error is None else q.error / abs(q.value) for q in (self, other) if q.value]
        error = joined(*shares)
        return Quantity(ratio, None if error is None else abs(ratio) * error)


def joined(*errors: float | None) -> float | None:
    """The error of a sum of independent parts; None where one part's is not known."""
    known = [error for error in errors if error is not None]
    return math.hypot(*known) if len(known) == len(errors) else None


def mean_of(values: Sequence[float]) -> Quantity:
    """The mean of independent repeats and its standard error; no error from a single one."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Quantity(mean)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Quantity(mean, math.sqrt(variance / len(values)))


@dataclass(frozen=True)
class Row:
    """One line of the report: a claim, what was published, what was found, and how."""

    id: str
    claim: str
    published: str
    ours: Quantity
    verdict: Verdict
    how: str
    unit: str = ""
    note: str = ""

    @property
    def answer(self) -> str:
        """The number with its error and unit: `22.58 ± 0.34 px`."""
        return f"{with_error(self.ours.value, self.ours.error)} {self.unit}".rstrip()


@dataclass(frozen=True)
class Picture:
    """A PNG of the report; `name` is its file without the ending."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Finding:
    """All that one claim yields; `remark` says what a reader must know, above all what the article leaves open."""

    rows: Sequence[Row]
    pictures: Sequence[Picture] = field(default=())
    remark: str = ""
