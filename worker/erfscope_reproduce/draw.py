"""Charts and sheets of maps: the drawing package, loaded when the first picture is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from erfscope._result import Map

if TYPE_CHECKING:
    from erfscope_picture.chart import Axis as DrawnAxis


class Axis(NamedTuple):
    """An axis's name with its unit, and whether it is logarithmic."""

    label: str
    log: bool = False


class Series(NamedTuple):
    """Points with standard errors; without a label it does not stand in the legend."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    line: bool = True
    marks: bool = True
    dashed: bool = False
    color: int | None = None


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> bytes:
    """A chart as PNG bytes."""
    from erfscope_picture import chart as drawing

    def axis(given: Axis) -> "DrawnAxis":
        return drawing.Axis(*given)

    return drawing.render_chart(title, axis(x), axis(y), [drawing.Series(*one) for one in series])


def sheet(
    title: str,
    panels: Sequence[tuple[Map, str]],
    *,
    columns: int = 4,
    axes: tuple[str, str] = ("y (px)", "x (px)"),
) -> bytes:
    """Maps side by side, each with its caption, as PNG bytes."""
    from erfscope_picture import sheet as drawing

    return drawing.render_sheet(title, [drawing.Panel(*panel) for panel in panels], columns=columns, axes=axes)
