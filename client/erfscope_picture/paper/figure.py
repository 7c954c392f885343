"""Maps in rows and columns on one scale of colours and one of pixels, as a figure of a chosen width."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from erfscope_picture.paper import legend
from erfscope_picture.paper.layout import (
    PITCH,
    TITLE_PAD,
    Columns,
    Heights,
    Layout,
    Rect,
    Shared,
    beside_each_other,
    shared,
    stacked,
)
from erfscope_picture.paper.page import LEAST, PAD, SMALLER, TICK, USUAL_PAGE, Lengths, Page, check_fits, encoded
from erfscope_picture.paper.panel import Panel, Rows, panels_of, planes_of, statistics_of
from erfscope_picture.paper.plot import plot_map
from erfscope_picture.paper.words import Fitted, Words, fitted
from erfscope_picture.scale import label as scale_label
from erfscope_picture.scale import ticks
from erfscope_picture.text import shortened

USUAL = {1: 3.5, 2: 5.0, 3: 6.5}  # inches, by columns; 7 for more: a column of a journal, and its whole page
_MOST_TICKS = 4


def render_figure(
    rows: Rows,
    form: str,
    page: Page = USUAL_PAGE,
    *,
    names: Sequence[str] = (),
    lengths: Sequence[Lengths] | None = None,
) -> bytes:
    """The figure as .pdf, .svg or .png bytes, the same for the same arguments.

    `names` are written beside the rows; None leaves a place empty. A single volume is drawn as its three planes.
    ValueError where there is no panel, a map is not one, the font is unknown, or the page is too narrow.
    """
    figure = Figure()
    draw_figure(figure, rows, page, names=names, lengths=lengths)
    with page.style():
        check_fits(figure)
        return encoded(figure, form, page)


def draw_figure(
    figure: Figure, rows: Rows, page: Page = USUAL_PAGE, *, names: Sequence[str] = (),
    lengths: Sequence[Lengths] | None = None,
) -> list[list[Axes | None]]:  # fmt: skip
    """The same on an empty figure, which gets its size; returns the axes by rows, None where there is no panel."""
    if not panels_of(rows):
        raise ValueError("a figure needs at least one panel")
    with page.style():
        plan = _planned(rows, page, names, lengths)
        figure.set_layout_engine("none")
        figure.set_facecolor("white")
        figure.set_size_inches(plan.layout.width, plan.layout.height)
        return _draw(figure, plan)


@dataclass(frozen=True)
class _Plan:
    """All that is decided before anything is drawn."""

    rows: Rows
    page: Page
    names: Sequence[str]
    lengths: Sequence[Lengths] | None
    layout: Layout
    columns: Columns
    common: Shared
    words: Sequence[Sequence[Sequence[str]]]  # by rows and columns
    heading: Sequence[str]
    points: float  # of the words' letters
    remarks: Sequence[str]


def _planned(rows: Rows, page: Page, names: Sequence[str], lengths: Sequence[Lengths] | None) -> _Plan:
    volume = rows[0][0] if len(rows) == len(rows[0]) == 1 and rows[0][0] and rows[0][0].map.ndim == 3 else None
    if volume:
        rows = [planes_of(volume)]
    page = page if page.width else replace(page, width=USUAL.get(max(map(len, rows)), 7.0))
    assert page.width is not None
    shapes = [[panel.sides(lengths) if panel else None for panel in row] for row in rows]
    common = shared(shapes, [[panel.names(lengths) if panel else None for panel in row] for row in rows])
    bar = (scale_label(page.scale), [text for _, text in _bar_ticks(page)])
    columns = beside_each_other(shapes, common, page, has_names=bool(names), bar=bar)
    words = _words(rows, columns, page, lengths)
    if volume:
        words.append(Words(0.98 * page.width, volume.title, volume.notes))
    fit = fitted(words, page)
    heading = fit.lines[-1] if volume else []
    remarks = legend.remarks(panels_of(rows), page, fit.note)
    placed = _by_rows(rows, fit)
    heights = Heights(
        _height(heading, fit, page),
        [_height(max(row, key=len), fit, page) for row in placed],
        legend.height_of(legend.entries(panels_of(rows), page), page),
        legend.remarks_height(remarks, page),
    )
    layout = stacked(shapes, columns, common, page, heights)
    return _Plan(rows, page, names, lengths, layout, columns, common, placed, heading, fit.points(page), remarks)


def _words(rows: Rows, columns: Columns, page: Page, lengths: Sequence[Lengths] | None) -> list[Words]:
    """Of each panel; where maps are of several statistics each names its own."""
    several = len(statistics_of(panels_of(rows))) > 1
    return [
        Words(
            columns.room(at, panel.sides(lengths), page), panel.title, panel.notes,
            f"{panel.statistic} map" if several else "",
        )
        for row in rows
        for at, panel in enumerate(row)
        if panel
    ]  # fmt: skip


def _by_rows(rows: Rows, fit: Fitted) -> list[list[Sequence[str]]]:
    lines = iter(fit.lines)
    return [[next(lines) if panel else [] for panel in row] for row in rows]


def _height(lines: Sequence[str], fit: Fitted, page: Page) -> float:
    """Inches that lines of words take."""
    return (len(lines) * PITCH * fit.points(page) + TITLE_PAD) / 72 if lines else 0.0


def _draw(figure: Figure, plan: _Plan) -> list[list[Axes | None]]:
    drawn: list[list[Axes | None]] = []
    for at, row in enumerate(plan.rows):
        drawn.append([_draw_panel(figure, plan, at, column) if panel else None for column, panel in enumerate(row)])
        if plan.names:
            _name_row(figure, plan, at)
    layout, page = plan.layout, plan.page
    if any(panel.map.ndim > 1 for panel in panels_of(plan.rows)):
        _draw_bar(figure, plan)
    if handles := legend.entries(panels_of(plan.rows), page):
        legend.draw(figure, handles, page, layout.legend, layout.height)
    if plan.heading:
        figure.text(
            0.5, 1 - TITLE_PAD / 72 / layout.height, "\n".join(plan.heading), ha="center", va="top", parse_math=False,
            fontsize=plan.points,
        )  # fmt: skip
    if plan.remarks:
        figure.text(
            0.5, 0.25 * page.font_size / 72 / layout.height, "\n".join(plan.remarks), ha="center", va="bottom",
            parse_math=False, fontsize=SMALLER * page.font_size,
        )  # fmt: skip
    return drawn


def _draw_panel(figure: Figure, plan: _Plan, row: int, column: int) -> Axes:
    panel = plan.rows[row][column]
    assert panel is not None
    ax = figure.add_axes(plan.layout.share(plan.layout.boxes[row][column]))
    plot_map(ax, panel.map, panel.result, plan.page, lengths=plan.lengths, across=panel.across)
    ax.set_aspect("auto")  # the box has the map's proportions, or was widened to be seen
    is_first = not any(plan.rows[row][:column])
    is_last = not any(len(later) > column and later[column] for later in plan.rows[row + 1 :])
    _dress(ax, panel, plan.page, plan.layout.boxes[row][column])
    if not is_first:
        ax.tick_params(labelleft=not plan.common.numbers_down[row])
        ax.yaxis.label.set_visible(not plan.common.names_down[row])
    if not is_last:
        ax.tick_params(labelbottom=not plan.common.numbers_across[column])
        ax.xaxis.label.set_visible(not plan.common.names_across[column])
    for above, line in enumerate(reversed(plan.words[row][column])):  # each on its own: as one text, letters that go
        ax.annotate(  # below the line would lift the lines above it
            line, (0.5, 1), (0, TITLE_PAD + above * PITCH * plan.points), xycoords="axes fraction",
            textcoords="offset points", ha="center", va="baseline", parse_math=False, fontsize=plan.points,
            annotation_clip=False,
        )  # fmt: skip
    return ax


def _dress(ax: Axes, panel: Panel, page: Page, box: Rect) -> None:
    """As many ticks as there is room for, of the page's size also where they are made later; names within the box."""
    size = SMALLER * page.font_size
    for name, room in ((ax.xaxis.label, box[2]), (ax.yaxis.label, box[3])):
        if (length := page.length_of(name.get_text())) > room:
            name.set_fontsize(max(page.font_size * room / length, min(LEAST, page.font_size)))
    ax.tick_params(labelsize=size, length=TICK, pad=PAD, width=0.5)
    ax.locator_params(axis="x", nbins=max(min(_MOST_TICKS, int(72 * box[2] / (2.6 * size))), 1))
    if panel.map.ndim > 1:
        ax.locator_params(axis="y", nbins=max(min(_MOST_TICKS, int(72 * box[3] / (1.5 * size))), 1))


def _name_row(figure: Figure, plan: _Plan, row: int) -> None:
    layout, page = plan.layout, plan.page
    _, bottom, _, height = layout.boxes[row][0]
    room = height + 1.5 * page.font_size / 72

    def fits(text: str) -> bool:
        return page.length_of(text, plan.points / page.font_size) <= room

    figure.text(
        0.8 * page.font_size / 72 / layout.width, (bottom + height / 2) / layout.height,
        shortened(plan.names[row], fits), rotation=90, ha="center", va="center", parse_math=False,
        fontsize=plan.points,
    )  # fmt: skip


def _bar_ticks(page: Page) -> list[tuple[float, str]]:
    return [(share, text) for share, text in ticks(page.scale) if page.scale != "sqrt" or share not in (0.01, 0.05)]


def _with_room(marks: list[tuple[float, str]], page: Page, length: float, is_upright: bool) -> list[tuple[float, str]]:
    """The numbers beside a colour bar that do not touch: the last one, and of the others those with room before it."""
    apart = SMALLER * page.font_size / 72

    def edges(share: float, text: str) -> tuple[float, float]:
        half = apart / 2 if is_upright else page.length_of(text, SMALLER) / 2
        return float(page.norm(share)) * length - half, float(page.norm(share)) * length + half

    shown, last = list[tuple[float, str]](), marks[-1]
    for mark in marks[:-1]:
        start, stop = edges(*mark)
        before = edges(*shown[-1])[1] if shown else float("-inf")
        if start - before >= apart / 4 and edges(*last)[0] - stop >= apart / 4:
            shown.append(mark)
    return [*shown, last]


def _draw_bar(figure: Figure, plan: _Plan) -> None:
    """One colour bar for all panels, as high as all rows or as wide as all columns."""
    page = plan.page
    ax = figure.add_axes(plan.layout.share(plan.layout.bar))
    bar = figure.colorbar(
        ScalarMappable(page.norm, page.colours), cax=ax,
        orientation="vertical" if plan.columns.beside else "horizontal",
    )  # fmt: skip
    shown = _with_room(_bar_ticks(page), page, plan.layout.bar[3 if plan.columns.beside else 2], plan.columns.beside)
    bar.set_ticks([share for share, _ in shown], labels=[text for _, text in shown])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALLER * page.font_size, length=TICK, pad=PAD, width=0.5)
    bar.outline.set_linewidth(0.5)
    bar.set_label(scale_label(page.scale))
    if not plan.columns.beside:
        _keep_on_page(bar.ax, plan)


def _keep_on_page(bar: Axes, plan: _Plan) -> None:
    """The words below a colour bar, moved and made smaller as far as the page's width asks for."""
    page, (left, _, width, _) = plan.page, plan.layout.bar
    length, room = page.length_of(bar.get_xlabel()), plan.layout.width - page.font_size / 72
    size = min(1.0, 0.97 * room / length)  # letters on a grid of pixels may be a little wider than their outlines
    half = size * length / 2 + page.font_size / 144
    middle = min(max(left + width / 2, half), plan.layout.width - half)
    bar.xaxis.label.set(x=(middle - left) / width, fontsize=size * page.font_size)
