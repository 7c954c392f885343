"""Maps in rows and columns on one scale of colours and one of pixels, as a figure of a chosen width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from erfscope_picture.paper.layout import COLUMN_GAP, HANDLE, HANDLE_PAD, Layout, arranged
from erfscope_picture.paper.page import USUAL_PAGE, Lengths, Page, encoded
from erfscope_picture.paper.plot import legend_lines, plane_title, plot_map
from erfscope_picture.scale import label as scale_label
from erfscope_picture.scale import ticks
from erfscope_picture.text import shortened

USUAL = {1: 3.5, 2: 5.0, 3: 6.5}  # inches, by columns; 7 for more: a column of a journal, and its whole page
_MOST_TICKS = 4
_LETTER = 0.55  # width of a letter in font sizes, on average
_SMALLEST = 0.5  # font of the words above a panel, of the page's


@dataclass(frozen=True)
class Panel:
    """A map with the ErfResult that it belongs to (as JSON object), words above it and a smaller second line.

    Of a volume the plane across axis `across` through the projected centre is drawn.
    """

    map: NDArray[np.floating]
    result: Mapping[str, Any]
    title: str = ""
    note: str = ""
    across: int = 0


def render_figure(
    rows: Sequence[Sequence[Panel | None]],
    form: str,
    page: Page = USUAL_PAGE,
    *,
    names: Sequence[str] = (),
    lengths: Sequence[Lengths] | None = None,
) -> bytes:
    """The figure as .pdf, .svg or .png bytes, the same for the same arguments.

    `names` are written beside the rows; None leaves a place empty. A single volume is drawn as its three planes.
    ValueError where there is no panel, a map is not one, or the font is unknown.
    """
    if not any(panel for row in rows for panel in row):
        raise ValueError("a figure needs at least one panel")
    rows = _spread(rows)
    with page.style():
        shapes = [[_shape(panel, lengths) for panel in row] for row in rows]
        legend = [str(line.get_label()) for line in legend_lines(page)]
        layout = arranged(shapes, _with_width(page, rows), names, legend)
        figure = Figure(figsize=(layout.width, layout.height))
        _draw(figure, layout, rows, page, names, lengths)
        return encoded(figure, form, page)


def _with_width(page: Page, rows: Sequence[Sequence[object]]) -> Page:
    return page if page.width else replace(page, width=USUAL.get(max(map(len, rows)), 7.0))


def _spread(rows: Sequence[Sequence[Panel | None]]) -> Sequence[Sequence[Panel | None]]:
    """A volume alone becomes a row of its three planes."""
    alone = rows[0][0] if len(rows) == len(rows[0]) == 1 else None
    if alone is None or np.ndim(alone.map) != 3:
        return rows
    return [
        [replace(alone, across=axis, title=plane_title(alone.map, alone.result, axis), note="") for axis in range(3)]
    ]


def _shape(panel: Panel | None, lengths: Sequence[Lengths] | None) -> tuple[float, float] | None:
    """Height and width of the drawn plane in the units of its axes; a line has height 0."""
    if panel is None:
        return None
    steps = [one.step for one in lengths] if lengths else [1.0] * panel.map.ndim
    sides = [n * step for n, step in zip(panel.map.shape, steps, strict=True)]
    if panel.map.ndim == 1:
        return 0.0, sides[0]
    down, right = (side for a, side in enumerate(sides) if panel.map.ndim == 2 or a != panel.across)
    return down, right


def _draw(
    figure: Figure,
    layout: Layout,
    rows: Sequence[Sequence[Panel | None]],
    page: Page,
    names: Sequence[str],
    lengths: Sequence[Lengths] | None,
) -> None:
    planes = False
    for at, row in enumerate(rows):
        for column, panel in enumerate(row):
            if panel is None:
                continue
            ax = figure.add_axes(layout.share(layout.boxes[at][column]))
            ax.set_aspect("auto")  # the box has the map's proportions, or was widened to be seen
            plot_map(ax, panel.map, panel.result, page, lengths=lengths, across=panel.across)
            planes = planes or panel.map.ndim > 1
            last = not any(len(later) > column and later[column] for later in rows[at + 1 :])
            _dress(ax, panel, page, layout, left=column == 0, bottom=last or not layout.aligned)
        if names:
            _name_row(figure, layout, at, names[at], page)
    if planes:
        _draw_bar(figure, layout, page)
        _draw_legend(figure, layout, page)


def _dress(ax: Axes, panel: Panel, page: Page, layout: Layout, *, left: bool, bottom: bool) -> None:
    """Few ticks, names of axes at the edge of the figure only, and the words above."""
    ax.locator_params(axis="x", nbins=_MOST_TICKS)
    if panel.map.ndim > 1:
        ax.locator_params(axis="y", nbins=_MOST_TICKS)
    if layout.aligned and not left:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    if layout.aligned and not bottom:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    room = ax.get_position().width * layout.width + 0.5 * page.font_size / 72
    size, words = _fitted(panel, page, room)
    ax.set_title("\n".join(words), parse_math=False, linespacing=1.25, pad=3, fontsize=size * page.font_size)


def _fitted(panel: Panel, page: Page, room: float) -> tuple[float, list[str]]:
    """The words above a panel that is `room` inches wide, and the size of their letters, of the page's.

    They shrink to half at most. Then a title is shortened, and a note left out: a number without its end is another.
    """
    longest = max((page.length_of(text) for text in (panel.title, panel.note)), default=0.0)
    size = max(min(room / longest, 1.0), _SMALLEST) if longest else 1.0

    def fits(text: str) -> bool:
        return page.length_of(text, size) <= room * (1 + 1e-9)

    title = [shortened(panel.title, fits)] if panel.title else []
    return size, title + ([panel.note] if panel.note and fits(panel.note) else [])


def _name_row(figure: Figure, layout: Layout, row: int, name: str, page: Page) -> None:
    _, bottom, _, height = layout.share(layout.boxes[row][0])
    letters = int(height * layout.height * 72 / (page.font_size * _LETTER)) + 2
    figure.text(
        0.7 * page.font_size / 72 / layout.width, bottom + height / 2,
        shortened(name, lambda text: len(text) <= letters), rotation=90, ha="center", va="center", parse_math=False,
    )  # fmt: skip


def _draw_bar(figure: Figure, layout: Layout, page: Page) -> None:
    """One colour bar for all panels, as high as all rows."""
    ax = figure.add_axes(layout.share(layout.bar))
    bar = figure.colorbar(ScalarMappable(page.norm, page.colours), cax=ax)
    shares = [(share, text) for share, text in ticks(page.scale) if page.scale != "sqrt" or share not in (0.01, 0.05)]
    bar.set_ticks([share for share, _ in shares], labels=[text for _, text in shares])
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)
    bar.set_label(scale_label(page.scale))


def _draw_legend(figure: Figure, layout: Layout, page: Page) -> None:
    """On the page's white, where the white lines are seen by their dark rims."""
    figure.legend(
        handles=legend_lines(page), loc="lower center", ncols=layout.legend_columns,
        bbox_to_anchor=(0.5, 0.04 / layout.height), borderaxespad=0, frameon=False, handlelength=HANDLE,
        handletextpad=HANDLE_PAD, columnspacing=COLUMN_GAP, borderpad=0.35,
    )  # fmt: skip
