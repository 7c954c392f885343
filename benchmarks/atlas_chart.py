"""Scatter charts as small SVG files, without a drawing package: points, logarithmic axes, a legend of two sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 400, 64, 34, 14, 48  # pixels
COLORS = ("#3f51b5", "#e67700", "#2b8a3e")  # by group, in their order
GREY = "#888"  # legible on a white and on a dark page


@dataclass(frozen=True)
class Point:
    """A mark of a group at (x, y), both positive; `name` shows when the pointer rests on it."""

    group: str
    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis between whole parts of a decade, from `start` to `end` pixels of the picture."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float) -> "Scale":
        """An axis that holds all values, with a margin of a twentieth of a decade."""
        low, high = log10(min(values)) - 0.05, log10(max(values)) + 0.05
        return cls(low, high, start, end)

    def at(self, value: float) -> float:
        """Where a value lies."""
        return self.start + (log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """1, 2 and 5 of each decade, as far as they are on the axis."""
        decades = range(floor(self.low), ceil(self.high) + 1)
        every = [part * 10.0**decade for decade in decades for part in (1, 2, 5)]
        return [value for value in every if self.low <= log10(value) <= self.high]


def scatter(title: str, x: str, y: str, points: Sequence[Point]) -> str:
    """A chart with logarithmic axes named `x` and `y`. Raises ValueError without points or for one that is not > 0."""
    if not points or any(min(point.x, point.y) <= 0 for point in points):
        raise ValueError(f"the chart {title!r} needs points with positive coordinates")
    across = Scale.of([point.x for point in points], LEFT, WIDTH - RIGHT)
    up = Scale.of([point.y for point in points], HEIGHT - BOTTOM, TOP)
    groups = list(dict.fromkeys(point.group for point in points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{GREY}">',
        f'<text x="{LEFT}" y="16" font-size="14">{escape(title)}</text>',
        *(_column(across, value) for value in across.ticks()),
        *(_row(up, value) for value in up.ticks()),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(y)}</text>",
        *(_mark(point, across, up, COLORS[groups.index(point.group)]) for point in points),
        *(_key(group, COLORS[k], k) for k, group in enumerate(groups)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _column(across: Scale, value: float) -> str:
    at = across.at(value)
    line = f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GREY}" stroke-opacity=".25"/>'
    return f'{line}<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>'


def _row(up: Scale, value: float) -> str:
    at = up.at(value)
    line = f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity=".25"/>'
    return f'{line}<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>'


def _mark(point: Point, across: Scale, up: Scale, color: str) -> str:
    circle = (
        f'<circle cx="{across.at(point.x):.1f}" cy="{up.at(point.y):.1f}" r="3.5" fill="{color}" fill-opacity=".7">'
    )
    return f"{circle}<title>{escape(point.name)}: {point.x:.4g}, {point.y:.4g}</title></circle>"


def _key(group: str, color: str, k: int) -> str:
    x = WIDTH - RIGHT - 110 * (k + 1)
    return f'<circle cx="{x}" cy="12" r="4" fill="{color}"/><text x="{x + 8}" y="16">{escape(group)}</text>'
