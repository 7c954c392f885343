"""Charts and sheets: points where they belong, bars, ticks, and the same bytes every time."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from erfscope_picture.chart import COLORS, Axis, Series, linear_ticks, log_ticks, render_chart
from erfscope_picture.sheet import Panel, render_sheet

X, Y = Axis("n (layers)"), Axis("size (px)")
LEFT, TOP, RIGHT, BOTTOM = 92, 62, 932, 482  # the plot on its page


def decoded(png):
    image = Image.open(BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def near(page, color, tolerance=40):
    """(row, column) of the pixels of about that colour within the plot."""
    found = np.abs(page - np.array(color)).max(axis=2) < tolerance
    rows, columns = np.nonzero(found[TOP:BOTTOM, LEFT:RIGHT])
    return rows + TOP, columns + LEFT


@pytest.mark.parametrize("log", [False, True])
def test_points_stand_where_their_values_are(log):
    middle = 10.0 if log else 50.5
    series = [Series("a", [1, middle, 100], [100, middle, 1], line=False)]
    page = decoded(render_chart("t", Axis("x", log), Axis("y", log), series))
    rows, columns = near(page, COLORS[0])
    for column, row in ((LEFT + 14, TOP + 14), ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2), (RIGHT - 14, BOTTOM - 14)):
        assert np.hypot(rows - row, columns - column).min() < 2


def test_an_error_bar_spans_its_error():
    page = decoded(render_chart("t", X, Y, [Series("", [0, 1, 2], [0, 5, 10], [0, 3, 0], line=False)]))
    rows, columns = near(page, COLORS[0], 90)
    middle = rows[np.abs(columns - (LEFT + RIGHT) / 2) < 2]
    assert middle.max() - middle.min() == pytest.approx(6 / 10 * (BOTTOM - TOP - 28), abs=4)


def test_a_bar_below_zero_is_cut_on_a_logarithmic_axis():
    page = decoded(render_chart("t", X, Axis("y", log=True), [Series("", [0, 1], [1, 10], [2, 0], line=False)]))
    assert near(page, COLORS[0], 90)[0].max() >= BOTTOM - 3


def test_every_series_has_its_colour_and_its_legend():
    series = [Series(f"series {k}", [0, 1], [k, k + 0.5]) for k in range(4)]
    page = decoded(render_chart("t", X, Y, series))
    assert all(len(near(page, COLORS[k])[0]) for k in range(4))
    unnamed = [Series("", one.x, one.y) for one in series]
    assert len(decoded(render_chart("t", X, Y, unnamed))) < len(page)


def test_the_same_arguments_give_the_same_bytes():
    series = [Series("a", [1, 2], [3, 4], [0.1, 0.1], dashed=True)]
    assert render_chart("t", X, Y, series) == render_chart("t", X, Y, series)


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ([], "at least one point"),
        ([Series("a", [], [])], "at least one point"),
        ([Series("a", [1], [float("nan")])], "not finite"),
        ([Series("a", [1, 2], [0, 1])], "logarithmic"),
    ],
)
def test_what_cannot_be_drawn_is_refused(series, words):
    with pytest.raises(ValueError, match=words):
        render_chart("t", X, Axis("y", log=True), series)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0.001, 0.0017), (5, 5000), (1e-9, 2e-9)])
def test_linear_ticks_are_round_and_few(low, high):
    ticks = linear_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])
    assert low - 1e-9 <= ticks[0] < ticks[-1] <= high * (1 + 1e-9)


@pytest.mark.parametrize(("low", "high"), [(5, 40), (0.01, 1000), (1e-9, 1e9), (0.2, 0.9)])
def test_logarithmic_ticks_are_few(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 10
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)


def test_names_are_inert():
    render_chart("a\nb\u202e", X, Y, [Series("\x00模型", [1], [1])])


YELLOW = np.array([253, 231, 37])


def runs_of(page, color, *, row):
    """(start, stop) of every run of a colour along a row of the page, the colour bar left out."""
    hit = np.abs(page[row, :-140] - color).max(axis=1) < 6
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hit.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_a_sheet_has_one_scale_of_pixels():
    page = decoded(render_sheet("maps", [Panel(np.ones((20, 10)), "a"), Panel(np.ones((40, 40)), "b")]))
    small, large = runs_of(page, YELLOW, row=62 + 350)
    assert (small[1] - small[0], large[1] - large[0]) == (90, 360)
    high = np.abs(page[:, small[0] + 40] - YELLOW).max(axis=1) < 6
    assert high.sum() == 180


def test_a_line_of_any_length_is_a_band_with_a_scale_of_its_own():
    page = decoded(render_sheet("maps", [Panel(np.ones(6000), "a"), Panel(np.ones((36, 36)), "b")]))
    assert [stop - start for start, stop in runs_of(page, YELLOW, row=62 + 355)] == [360, 360]


@pytest.mark.parametrize(("center", "is_bright"), [((2.0, 0, 0), True), (None, True), ((0.0, 0, 0), False)])
def test_a_volume_is_cut_through_its_centre(center, is_bright):
    volume = np.zeros((4, 8, 8))
    volume[2] = 1.0
    page = decoded(render_sheet("maps", [Panel(volume, "a", center=center)]))
    assert bool(runs_of(page, YELLOW, row=300)) is is_bright


def test_a_sheet_has_axes_a_colour_bar_and_two_lines_of_words():
    bare = decoded(render_sheet("maps", [Panel(np.ones((9, 9)), "")]))
    named = decoded(render_sheet("maps", [Panel(np.ones((9, 9)), "name", "ERF 10.536 ± 0.066 px")]))
    differs = np.flatnonzero((bare != named).any(axis=(1, 2)))
    lines = np.split(differs, np.flatnonzero(np.diff(differs) > 2) + 1)
    assert len(lines) == 2
    assert (bare[62:500, -130:] != 255).any()  # the bar
    assert (bare[62:500, 40:60] != 255).any()  # numbers left of the map


def test_sizes_are_outlined_around_the_middle():
    """A square of 20 of 40 pixels, which are 12 on the page: a line through the middle crosses its two sides."""
    dark = np.zeros((40, 40))
    bare, sized = (decoded(render_sheet("maps", [Panel(dark, "a", sizes=sizes)])) for sizes in ([], [("object", 20)]))
    across = np.flatnonzero((bare[:500] != sized[:500]).any(axis=2)[62 + 240, :-140])
    assert across[-1] - across[0] == pytest.approx(240, abs=6)


@pytest.mark.parametrize(
    "panels", [[], [Panel(np.ones((2, 2, 2, 2)), "four axes")], [Panel(np.full((2, 2), np.nan), "nan")]]
)
def test_a_sheet_of_what_is_no_map_is_refused(panels):
    with pytest.raises(ValueError, match="panel"):
        render_sheet("t", panels)
