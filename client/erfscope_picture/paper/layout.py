"""Where panels, colour bar and legend stand on a page of a given width: all in inches, from the bottom left."""

from collections.abc import Sequence
from dataclasses import dataclass

from erfscope_picture.paper.page import PAD, SMALLER, TICK, Page

Rect = tuple[float, float, float, float]  # left, bottom, width, height
Shape = tuple[float, float] | None  # height and width of a plane; height 0 for a line
Names = tuple[str, str] | None  # of a panel's vertical and horizontal axis
_LINE_HEIGHT = 0.9  # inches, of a panel with a line
_FLATTEST = 0.2  # no plane is lower than this share of its width, nor narrower than this share of its height
_MARGIN, _BLANK = 0.3, 0.32  # font sizes without words at the page's edges, and between those of two columns
_LETTERS = 1.2  # height of a line of letters, in font sizes
_DEAREST = 1 / 8  # of the page's width: what a colour bar beside several columns may take at most
PITCH = 1.22  # from a line of words above a panel to the next, in font sizes
BAR_GAP, BAR_WIDTH = 0.6, 0.8  # in font sizes
TITLE_PAD = 3.0  # points


@dataclass(frozen=True)
class Shared:
    """Which numbers and names of axes are written at the edge of the figure alone, because neighbours have the same."""

    numbers_down: Sequence[bool]  # by rows
    names_down: Sequence[bool]
    numbers_across: Sequence[bool]  # by columns
    names_across: Sequence[bool]


def shared(shapes: Sequence[Sequence[Shape]], names: Sequence[Sequence[Names]]) -> Shared:
    """Neighbours in a row share the vertical axis, those in a column the horizontal one."""
    columns = range(max(map(len, shapes)))
    names_down = [len({name[0] for name in row if name}) <= 1 for row in names]
    names_across = [len({name[1] for row in names if len(row) > c and (name := row[c])}) <= 1 for c in columns]
    return Shared(
        [same and len({one[0] for one in row if one}) <= 1 for same, row in zip(names_down, shapes, strict=True)],
        names_down,
        [names_across[c] and len({one[1] for row in shapes if len(row) > c and (one := row[c])}) <= 1 for c in columns],
        names_across,
    )


@dataclass(frozen=True)
class Columns:
    """What stands beside each other: the room left of the first box, between boxes, right of the last one.

    `factor` is the inches of a unit of the input; the bar stands `beside` the boxes or below them.
    """

    left: float
    between: float
    right: float
    widths: Sequence[float]
    factor: float
    beside: bool

    def room(self, column: int, shape: tuple[float, float], page: Page) -> float:
        """Width of words above a panel, which touch neither those above the next column nor the page's edge."""
        left = self.left + sum(self.widths[:column]) + self.between * column
        assert page.width is not None
        em = page.font_size / 72
        margin, apart = _MARGIN * em, (self.between - _BLANK * em) / 2
        middle = left + _wide(shape) * self.factor / 2
        start = left - apart if column else margin
        is_last = column == len(self.widths) - 1
        stop = page.width - margin if is_last else left + self.widths[column] + apart
        return 2 * min(middle - start, stop - middle)


def beside_each_other(
    rows: Sequence[Sequence[Shape]], common: Shared, page: Page, *, has_names: bool, bar: tuple[str, Sequence[str]]
) -> Columns:
    """The widest boxes that the page has room for; `bar` are the words and the numbers of the colour bar."""
    assert page.width is not None
    em = page.font_size / 72
    known = [shape for row in rows for shape in row if shape]
    has_planes = any(shape[0] for shape in known)
    numbers = max(page.length_of(_longest(shape), SMALLER) for shape in known) + (TICK + PAD) / 72
    name = _LETTERS * em + PAD / 72
    left = (1.6 * em if has_names else 0.3 * em) + numbers + name
    between = 1.1 * em
    if not all(common.numbers_down):
        between += numbers
    if not all(common.names_down):
        between += name
    columns = [_widest(rows, column) for column in range(max(map(len, rows)))]
    wide = (BAR_GAP + BAR_WIDTH) * em + max(page.length_of(text, SMALLER) for text in bar[1]) + (TICK + PAD) / 72
    wide += name + 0.3 * em

    def placed(right: float, *, beside: bool) -> Columns:
        free = page.width - left - right - between * (len(columns) - 1)  # type: ignore[operator]
        if free <= 0:
            raise ValueError(
                f"{len(columns)} panels beside each other do not fit into {page.width:g} inches; give more width"
            )
        factor = free / sum(columns)
        return Columns(left, between, right, [column * factor for column in columns], factor, beside)

    if has_planes and (len(columns) == 1 or wide <= _DEAREST * page.width):
        columns_beside = placed(wide, beside=True)
        if sum(heights_of(rows, columns_beside.factor)) >= page.length_of(bar[0]):
            return columns_beside
    return placed(0.9 * em, beside=False)


@dataclass(frozen=True)
class Layout:
    """Positions in inches; `words` are the heights at which the heading's lines and the remarks stand."""

    width: float
    height: float
    boxes: Sequence[Sequence[Rect]]
    bar: Rect
    legend: float  # the bottom of the legend

    def share(self, box: Rect) -> Rect:
        """A box as matplotlib has it: in shares of the page."""
        left, bottom, width, height = box
        return left / self.width, bottom / self.height, width / self.width, height / self.height


@dataclass(frozen=True)
class Heights:
    """Inches that words take: the heading, those above each row, the legend, the remarks below it."""

    heading: float
    rows: Sequence[float]
    legend: float
    remarks: float


def stacked(rows: Sequence[Sequence[Shape]], columns: Columns, common: Shared, page: Page, words: Heights) -> Layout:
    """Boxes of the panels' proportions below each other; one unit of the input is as long in all, but for slivers."""
    assert page.width is not None
    em = page.font_size / 72
    numbers, name = SMALLER * _LETTERS * em + (TICK + PAD) / 72, _LETTERS * em + PAD / 72
    gap = 0.6 * em
    # without words above it, the upper half of the topmost number of the vertical axis is at the page's edge
    top_margin = (0.2 if words.heading or words.rows[0] else 0.65) * em
    if not all(common.numbers_across):
        gap += numbers
    if not all(common.names_across):
        gap += name
    has_planes = any(shape[0] for row in rows for shape in row if shape)
    below_axes = 0.3 * em + words.remarks + words.legend
    bar = 0.0
    if has_planes and not columns.beside:
        bar = (BAR_GAP + BAR_WIDTH) * em + numbers + name
    bottom = below_axes + bar + numbers + name
    high = heights_of(rows, columns.factor)
    height = bottom + sum(high) + sum(words.rows) + gap * (len(rows) - 1) + words.heading + top_margin
    boxes, top = [], height - top_margin - words.heading
    for row, tallest, above in zip(rows, high, words.rows, strict=True):
        top -= above
        line, left = [], columns.left
        for shape, width in zip(row, columns.widths, strict=False):  # the last row may be short
            own = _height(shape, columns.factor) if shape else tallest
            line.append((left, top - own, _wide(shape) * columns.factor if shape else width, own))
            left += width + columns.between
        boxes.append(line)
        top -= tallest + gap
    right = columns.left + sum(columns.widths) + columns.between * (len(columns.widths) - 1)
    highest = height - top_margin - words.heading - words.rows[0]
    place = (
        (right + BAR_GAP * em, bottom, BAR_WIDTH * em, highest - bottom)
        if columns.beside
        else (columns.left, below_axes + numbers + name, right - columns.left, BAR_WIDTH * em)
    )
    return Layout(page.width, height, boxes, place, 0.3 * em + words.remarks)


def heights_of(rows: Sequence[Sequence[Shape]], factor: float) -> list[float]:
    """Inches of the tallest box of each row."""
    return [max((_height(shape, factor) for shape in row if shape), default=0.0) for row in rows]


def _longest(shape: tuple[float, float]) -> str:
    """The longest number at a vertical axis: pixels, parts of a small unit, or shares of the maximum."""
    largest = shape[0] or 1.0
    return f"{largest:.0f}" if largest >= 10 else f"{largest:.2f}"


def _widest(rows: Sequence[Sequence[Shape]], column: int) -> float:
    shapes = [row[column] for row in rows if len(row) > column]
    return max((_wide(shape) for shape in shapes if shape), default=0.0)


def _wide(shape: tuple[float, float]) -> float:
    """Units of the input that a panel's width is counted as: a high sliver is widened."""
    return max(shape[1], _FLATTEST * shape[0])


def _height(shape: tuple[float, float], factor: float) -> float:
    if not shape[0]:
        return _LINE_HEIGHT
    return max(shape[0], _FLATTEST * shape[1]) * factor
