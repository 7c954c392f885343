"""How far a metric may be from the baseline: a limit for each direction, and limits of single metrics."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator, model_validator

from erfscope.gate.rules import Finite, Level
from erfscope_contract.request import Strict


class Direction(StrEnum):
    """Which way a change counts."""

    BOTH = "both"
    DOWN = "down"
    UP = "up"


SIGNS = {Direction.BOTH: "±", Direction.DOWN: "−", Direction.UP: "+"}
WORDS = {Direction.BOTH: "", Direction.DOWN: " less", Direction.UP: " more"}
STRENGTH = (Level.OFF, Level.WARN, Level.ERROR)


class Levels(Strict):
    """`{ down = "error", up = "warn" }`: a level for each direction."""

    down: Level = Level.ERROR
    up: Level = Level.ERROR


class Limit(Strict):
    """`{ max, direction, level, message }` of one metric; what it leaves out is that of the check's drift.

    `max` is a share of the baseline's value ("5%"), or a number in the metric's own unit.
    """

    max: str | Finite | None = None
    direction: Direction | None = None
    level: Levels | None = None
    message: str | None = Field(None, max_length=2000)

    @model_validator(mode="before")
    @classmethod
    def _has_one_meaning(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(values.get("level"), Mapping) and "direction" in values:
            raise ValueError("level has both directions, so that direction says nothing; leave one of them out")
        return values

    @field_validator("level", mode="before")
    @classmethod
    def _of_both(cls, value: Any) -> Any:
        return {"down": value, "up": value} if isinstance(value, str) else value

    @field_validator("max")
    @classmethod
    def _is_a_tolerance(cls, value: str | float | None) -> str | float | None:
        share = float(value.rstrip("% ")) if isinstance(value, str) and _is_percent(value) else value
        if isinstance(share, str) or (share is not None and not 0 <= share < float("inf")):
            raise ValueError('give a share such as "5%", or a number in the metric\'s own unit; not below 0')
        return value


class Drift(Limit):
    """`{ max, direction, level, message, metrics }`: the largest change against the baseline."""

    max: str | Finite
    metrics: Mapping[str, Limit] = {}

    def of(self, metric: str) -> "Drift":
        """The drift of one metric: its own limits, and the check's for what they leave out."""
        own = self.metrics.get(metric, Limit())
        changed = {name: value for name in Limit.model_fields if (value := getattr(own, name)) is not None}
        if own.level is not None and own.level.down != own.level.up:
            changed["direction"] = None
        return self.model_copy(update={**changed, "metrics": {}})

    def tolerance(self, base: float) -> float:
        """The largest change in the metric's own unit."""
        if isinstance(self.max, str):
            return float(self.max.rstrip("% ")) / 100 * abs(base)
        return self.max

    @property
    def way(self) -> Direction:
        """Which way a change counts: by `direction`, or because a level is off."""
        down, up = (self.level_of(one) is not Level.OFF for one in (Direction.DOWN, Direction.UP))
        return Direction.BOTH if down == up else Direction.DOWN if down else Direction.UP

    def level_of(self, direction: Direction) -> Level:
        """What a change that way does; of `both` the stronger."""
        if direction is Direction.BOTH:
            return max(map(self.level_of, (Direction.DOWN, Direction.UP)), key=STRENGTH.index)
        if self.direction not in (None, Direction.BOTH, direction):
            return Level.OFF
        levels = self.level or Levels()
        return levels.down if direction is Direction.DOWN else levels.up

    def of_change(self, size: float | None) -> Level:
        """What a change by `size` beyond the limit does; of one that is undefined on one side, the stronger."""
        if size is None:
            return self.level_of(Direction.BOTH)
        return self.level_of(Direction.DOWN if size < 0 else Direction.UP)

    @property
    def is_on(self) -> bool:
        """Whether any change of any metric does something."""
        each = (self, *map(self.of, self.metrics))
        return any(one.level_of(Direction.BOTH) is not Level.OFF for one in each)

    @property
    def sign(self) -> str:
        """`±`, or the sign of the one direction that counts."""
        return SIGNS[self.way]

    @property
    def limit(self) -> str:
        """`5%`, `5% less`: the limit with its direction."""
        return f"{self}{WORDS[self.way]}"

    def __str__(self) -> str:
        return self.max.strip() if isinstance(self.max, str) else f"{self.max:g}"


def _is_percent(text: str) -> bool:
    number = text.strip().removesuffix("%").strip()
    return text.strip().endswith("%") and number.replace(".", "", 1).isdecimal()
