"""The legend of what is drawn on the planes of a figure, and what must be said once beside it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from erfscope_picture.paper.page import LEAST, SMALLER, Page
from erfscope_picture.paper.panel import USUAL_STATISTIC, Panel, statistics_of
from erfscope_picture.paper.plot import ARROW, DASHES, LINE, shows_center, shows_contours, trf_marks

_HANDLE, _HANDLE_PAD, _COLUMN_GAP, _ROW_GAP = 2.2, 0.6, 1.2, 0.3  # in its font's sizes
_RIM = 2.0  # points
_LINE_HEIGHT = 1.2  # in its font's sizes


def entries(panels: Sequence[Panel], page: Page) -> list[Line2D]:
    """What some plane has; nothing for lines."""
    planes = [panel for panel in panels if panel.map.ndim > 1]
    handles = []
    if page.contours and any(shows_contours(panel.map, panel.result, panel.across) for panel in planes):
        rim = [Stroke(linewidth=_RIM, foreground="0.25"), Normal()]
        last = list(DASHES)[-1]
        handles += [
            Line2D(
                [], [], color="white", linewidth=LINE, linestyle=dash, path_effects=rim,
                label=f"{100 * share:.0f} %{' of mass' if share == last else ''}",
            )
            for share, dash in DASHES.items()
        ]  # fmt: skip
    if page.trf:
        marks = [trf_marks(panel.map, panel.result, panel.across) for panel in planes]
        if any(sides for sides, _ in marks):
            handles.append(Line2D([], [], color=page.accent, linewidth=LINE, linestyle=(0, (5, 2)), label="TRF"))
        if any(arrows for _, arrows in marks):
            handles.append(
                Line2D(
                    [], [], color=page.accent, linestyle="", marker=">", markersize=ARROW, markeredgewidth=0,
                    label="TRF beyond the input",
                )
            )  # fmt: skip
    if any(shows_center(panel.map, panel.result, panel.across) for panel in planes):
        handles.append(Line2D([], [], color=page.accent, linestyle="", marker="+", markersize=5, label="centre"))
    return handles


def size_of(handles: Sequence[Line2D], page: Page) -> float:
    """Of the legend's letters, of the page's: smaller than usual where the longest word would be cut."""
    usual, room = SMALLER, _room(page)
    if handles and (width := _width(handles, 1, page)) > room:
        return min(usual, max(usual * room / width, LEAST / page.font_size))
    return usual


def _room(page: Page) -> float:
    """Inches for the legend: letters on a grid of pixels may be a little wider than their outlines."""
    return 0.96 * (page.width or 0.0)


def columns_of(handles: Sequence[Line2D], page: Page) -> int:
    """The fewest columns that make as few lines as the page's width allows; 0 without a legend."""
    counts = range(len(handles), 0, -1)
    widest = next((count for count in counts if _width(handles, count, page) <= _room(page)), 1)
    lines = -(-len(handles) // widest)
    return -(-len(handles) // lines) if handles else 0


def _width(handles: Sequence[Line2D], count: int, page: Page) -> float:
    em = SMALLER * page.font_size / 72
    lengths = [page.length_of(str(one.get_label()), SMALLER) + (_HANDLE + _HANDLE_PAD) * em for one in handles]
    columns = [float(column.max()) for column in np.array_split(lengths, count)]  # as matplotlib fills them
    return sum(columns) + (_COLUMN_GAP * (count - 1) + 1.6) * em


def height_of(handles: Sequence[Line2D], page: Page) -> float:
    """Inches that the legend takes; 0 without one."""
    if not handles:
        return 0.0
    lines = -(-len(handles) // columns_of(handles, page))
    return (0.7 + (_LINE_HEIGHT + _ROW_GAP) * lines) * size_of(handles, page) * page.font_size / 72


def draw(figure: Figure, handles: Sequence[Line2D], page: Page, bottom: float, height: float) -> None:
    """On the page's white, where the white lines are seen by their dark rims."""
    figure.legend(
        handles=list(handles), loc="lower center", ncols=columns_of(handles, page),
        bbox_to_anchor=(0.5, bottom / height), borderaxespad=0, frameon=False, handlelength=_HANDLE,
        handletextpad=_HANDLE_PAD, columnspacing=_COLUMN_GAP, labelspacing=_ROW_GAP, borderpad=0.3,
        fontsize=size_of(handles, page) * page.font_size,
    )  # fmt: skip


def remarks(panels: Sequence[Panel], page: Page, note: int) -> list[str]:
    """Lines below the legend: what the numbers above the maps are where those do not say it, and the statistic."""
    said = {panel.short: None for panel in panels if panel.short and note >= panel.short_from}
    statistics = statistics_of(panels)
    if len(statistics) == 1 and statistics != [USUAL_STATISTIC]:
        said[f"Maps of the statistic {statistics[0]}."] = None
    return _wrapped(" ".join(said), page)


def remarks_height(lines: Sequence[str], page: Page) -> float:
    """Inches that they take."""
    return len(lines) * _LINE_HEIGHT * SMALLER * page.font_size / 72


def _wrapped(text: str, page: Page) -> list[str]:
    """On as many lines as the page's width needs."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else ""
        if longer and page.length_of(longer, SMALLER) <= 0.96 * (page.width or 0):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
