"""What a check asserts: bounds of a metric, and how far it may drift from the baseline."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from erfscope_contract.request import Strict


class Level(StrEnum):
    """What a broken rule does: fail the run, warn, or nothing."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Bound(Strict):
    """`{ min, max, level, message }` of one metric; neither min nor max only watches it for drift."""

    min: Finite | None = None
    max: Finite | None = None
    level: Level = Level.ERROR
    message: str | None = Field(None, max_length=2000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, so nothing can pass")
        return self

    @property
    def is_bounded(self) -> bool:
        """Whether there is a value that breaks it."""
        return self.min is not None or self.max is not None


class Drift(Strict):
    """`{ max, level, message }`: the largest change against the baseline.

    `max` is a share of the baseline's value ("5%"), or a number in the metric's own unit.
    """

    max: str | Finite
    level: Level = Level.ERROR
    message: str | None = Field(None, max_length=2000)

    @field_validator("max")
    @classmethod
    def _is_a_tolerance(cls, value: str | float) -> str | float:
        share = float(value.rstrip("% ")) if isinstance(value, str) and _is_percent(value) else value
        if isinstance(share, str) or not 0 <= share < float("inf"):
            raise ValueError('give a share such as "5%", or a number in the metric\'s own unit; not below 0')
        return value

    def tolerance(self, base: float) -> float:
        """The largest change in the metric's own unit."""
        if isinstance(self.max, str):
            return float(self.max.rstrip("% ")) / 100 * abs(base)
        return self.max

    def __str__(self) -> str:
        return self.max.strip() if isinstance(self.max, str) else f"{self.max:g}"


def _is_percent(text: str) -> bool:
    number = text.strip().removesuffix("%").strip()
    return text.strip().endswith("%") and number.replace(".", "", 1).isdecimal()
