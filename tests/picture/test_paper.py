"""Figures for papers: forms, width, fonts, the same bytes, and what is drawn where."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from erfscope_picture.colormap import table
from erfscope_picture.paper import (
    FORMS,
    Lengths,
    Page,
    Panel,
    draw_figure,
    plot_layers,
    plot_map,
    render_figure,
    render_layers,
)
from erfscope_picture.paper.panel import Rows

Result = Callable[..., dict[str, Any]]
Bell = Callable[..., NDArray[np.float64]]


@pytest.fixture
def panel(result_of: Result, bell: Bell) -> Panel:
    return Panel(bell((32, 48), 4.0), result_of((32, 48)), "model_1 $x$", ["ERF 11 px"])


def points_wide(pdf: bytes) -> float:
    """Width of the first page, in points."""
    box = re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)", pdf)
    assert box is not None
    return float(box[1])


@pytest.mark.parametrize("form", FORMS)
def test_the_same_figure_has_the_same_bytes(panel: Panel, form: str) -> None:
    first = render_figure([[panel, panel]], form)
    assert first == render_figure([[panel, panel]], form)
    assert first != render_figure([[panel, panel]], form, Page(colormap="magma"))


def test_the_width_is_what_was_asked_for(panel: Panel) -> None:
    assert points_wide(render_figure([[panel]], ".pdf", Page(width=3.25))) == pytest.approx(3.25 * 72)
    png = Image.open(BytesIO(render_figure([[panel]], ".png", Page(width=3, dpi=200))))
    assert png.width == 600
    svg = render_figure([[panel]], ".svg", Page(width=5)).decode()
    assert 'width="360pt"' in svg


def test_letters_of_a_pdf_are_truetype_and_in_the_font_that_was_asked_for(panel: Panel) -> None:
    pdf = render_figure([[panel]], ".pdf", Page(font="serif"))
    assert b"DejaVuSerif" in pdf
    assert b"/Type3" not in pdf
    assert b"DejaVuSerif" not in render_figure([[panel]], ".pdf")


def test_what_cannot_be_drawn_is_refused_in_words(panel: Panel) -> None:
    with pytest.raises(ValueError, match="font 'No Such Font' is not installed"):
        Page(font="No Such Font")
    with pytest.raises(ValueError, match=r"width 0.2 of a figure must be from 1 to 100"):
        Page(width=0.2)
    with pytest.raises(ValueError, match="do not fit into 1 inches"):
        render_figure([[panel] * 8], ".pdf", Page(width=1))
    with pytest.raises(ValueError, match="at least one panel"):
        render_figure([[None]], ".pdf")


def test_a_map_is_drawn_with_its_marks_where_they_lie(result_of: Result, bell: Bell) -> None:
    values, result = bell((32, 48), 4.0), result_of((32, 48))
    ax = Figure().add_subplot()
    image = plot_map(ax, values, result)
    assert image is not None
    assert np.array_equal(np.asarray(image.get_array()), values)
    sides = [line for line in ax.lines if line.get_color() == Page().accent and line.is_dashed()]
    across = np.concatenate([np.asarray(line.get_xdata(), float) for line in sides])
    down = np.concatenate([np.asarray(line.get_ydata(), float) for line in sides])
    assert [len(sides), across.min(), across.max(), down.min(), down.max()] == [4, 18.5, 29.5, 10.5, 21.5]
    cross = ax.lines[-1]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (24.0, 16.0)  # type: ignore[index]


def test_a_side_of_the_trf_beyond_the_input_is_an_arrow(result_of: Result, bell: Bell) -> None:
    inside, beyond = ((10, 31), (10, 31)), ((-5, 31), (10, 60))
    for box, arrows in ((inside, []), (beyond, ["^", ">"])):
        ax = Figure().add_subplot()
        values = bell((41, 41), 4.0)
        result = result_of((41, 41))
        result["trf"]["box"] = [list(span) for span in box]
        plot_map(ax, values, result)
        assert [line.get_marker() for line in ax.lines if line.get_marker() in ("^", "v", "<", ">")] == arrows
        dashed = [line for line in ax.lines if line.get_color() == Page().accent and line.is_dashed()]
        assert len(dashed) == 4 - len(arrows)


def test_lengths_have_the_unit_that_was_asked_for(result_of: Result, bell: Bell) -> None:
    ax = Figure().add_subplot()
    plot_map(ax, bell((32, 48), 4.0), result_of((32, 48)), lengths=[Lengths("mm", 2.0), Lengths("mm", 0.5)])
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("y (mm)", "x (mm)")
    assert ax.get_xlim() == (-0.25, 23.75)
    assert ax.get_ylim() == (63.0, -1.0)


@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
def test_colours_are_those_of_every_other_picture(result_of: Result, bell: Bell, scale: str) -> None:
    from erfscope_picture.scale import placed

    ax = Figure().add_subplot()
    values = bell((32, 48), 4.0)
    image = plot_map(ax, values, result_of((32, 48)), Page(scale=scale))
    assert image is not None
    index = np.clip(np.rint(placed(values, scale) * 255), 0, 255).astype(int)
    drawn = np.rint(image.to_rgba(values)[..., :3] * 255)
    assert np.abs(drawn - table("viridis")[index]).max() <= 6  # neighbours among 256 colours


@pytest.mark.parametrize("shape", [(64,), (9000,), (8, 12, 16), (4, 400)])
def test_lines_volumes_and_slivers_are_drawn(result_of: Result, bell: Bell, shape: tuple[int, ...]) -> None:
    png = render_figure([[Panel(bell(shape, 3.0), result_of(shape))]], ".png", Page(dpi=50))
    assert Image.open(BytesIO(png)).height >= 50


def test_names_are_text_and_not_formulas(panel: Panel) -> None:
    broken = r"$\frac{$"  # as a formula it is an error
    assert render_figure([[replace(panel, title=broken)]], ".pdf", names=[broken]).startswith(b"%PDF")


def drawn(rows: Rows, page: Page, **more: Any) -> tuple[Figure, list[list[Axes | None]]]:
    figure = Figure()
    return figure, draw_figure(figure, rows, page, **more)


def words(ax: Axes | None) -> list[str]:
    """The lines above a panel, the lowest first."""
    assert ax is not None
    return [text.get_text() for text in ax.texts]


NOTES = ["ERF ≥ 127.883 ± 0.056 px", "ERF ≥ 127.88 ± 0.06 px", "ERF ≥ 127.88 px", "≥ 127.88 px", "≥ 127.88", "≥ 127"]
BRIEF = ["ERF 30.0 ± 1.0 px", "ERF 30 ± 1 px", "ERF 30 px", "30 px", "30"]


@pytest.fixture
def models(panel: Panel) -> list[list[Panel | None]]:
    """Two rows of three models, whose sizes need unlike room."""
    told = {"short": "Numbers are sizes of the ERF.", "short_from": 3}
    row = [
        replace(panel, title=name, notes=notes, **told)
        for name, notes in (("resnet50", BRIEF), ("convnext_tiny_22k_224", BRIEF), ("replknet31b", NOTES))
    ]
    return [row, [replace(one, title="") for one in row]]


@pytest.mark.parametrize(("width", "note"), [(7, 0), (3.5, 1), (2.8, 2), (2.3, 3), (1.9, 4), (1.6, 5)])
def test_numbers_above_the_maps_are_whole_of_one_length_and_of_one_size(
    models: list[list[Panel | None]], width: float, note: int
) -> None:
    figure, axes = drawn(models, Page(width=width), names=["random", "trained"])
    for row in axes:
        assert [words(ax)[0] for ax in row] == [BRIEF[min(note, 4)]] * 2 + [NOTES[note]]
    (size,) = {text.get_fontsize() for row in axes for ax in row if ax for text in ax.texts}
    assert 0.7 * 8 <= size <= 8
    assert any("sizes of the ERF" in text.get_text().replace("\n", " ") for text in figure.texts) == (note >= 3)


@pytest.mark.parametrize(("font_size", "smallest"), [(6.0, 5.0), (4.0, 4.0), (12.0, 8.4)])
def test_letters_are_never_smaller_than_can_be_read(panel: Panel, font_size: float, smallest: float) -> None:
    row = [replace(panel, title="a_network_" + 9 * "long" + "_name", notes=["1"])] * 3
    _, ((first, *_),) = drawn([row], Page(width=3, font_size=font_size))
    assert first is not None
    assert [text.get_fontsize() for text in first.texts] == [pytest.approx(smallest)] * len(first.texts)
    assert any("…" in line for line in words(first))  # a name may lose its middle


def test_a_number_that_has_no_room_is_refused_and_not_left_out(models: list[list[Panel | None]]) -> None:
    with pytest.raises(ValueError, match=r"too few for '≥ 127'; give more width, or a smaller font size"):
        drawn(models, Page(width=1.25), names=["random", "trained"])


def inside(figure: Figure, axes: list[list[Axes | None]]) -> list[list[Any]]:
    """Boxes of the words above the panels, by rows, in pixels; all must be on the page."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [[text.get_window_extent(renderer) for text in ax.texts] for row in axes for ax in row if ax]
    for box in [box for panel in boxes for box in panel]:
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1
        assert box.y1 <= figure.bbox.height + 1
    return boxes


@pytest.mark.parametrize("width", [1.6, 2.3, 3.5, 7])
def test_words_touch_neither_each_other_nor_the_edge(models: list[list[Panel | None]], width: float) -> None:
    small = replace(models[0][0], map=models[0][0].map[8:24, 16:32])  # type: ignore[arg-type, union-attr]
    small.result["trf"]["box"] = [[5, 9], [5, 9]]
    for rows in (models, [[*models[0][:2], small]], [[small, *models[0][1:]]]):
        figure, axes = drawn(rows, Page(width=width, dpi=72))
        boxes = [box for panel in inside(figure, axes) for box in panel]
        for at, one in enumerate(boxes):
            for other in boxes[at + 1 :]:
                apart = (
                    one.x1 <= other.x0
                    or other.x1 <= one.x0
                    or abs(one.y0 - other.y0) >= 0.9 * min(one.height, other.height)
                )
                assert apart


def test_names_and_numbers_of_axes_stand_at_the_edge(models: list[list[Panel | None]], result_of: Result) -> None:
    _, axes = drawn(models, Page(width=3.5))
    named = [[(ax.yaxis.label.get_visible(), ax.xaxis.label.get_visible()) for ax in row if ax] for row in axes]
    assert named == [[(True, False), (False, False), (False, False)], [(True, True), (False, True), (False, True)]]
    other = replace(models[0][1], map=np.ones((16, 16)), result=result_of((16, 16), size=5))  # type: ignore[type-var]
    _, ((first, second),) = drawn([[models[0][0], other]], Page(width=3.5))
    assert first is not None
    assert second is not None
    assert second.yaxis.get_tick_params()["labelleft"]  # its own numbers
    assert not second.yaxis.label.get_visible()


def test_planes_of_a_cube_name_their_own_axes_and_the_size_is_above_them(result_of: Result, bell: Bell) -> None:
    cube = Panel(bell((12, 12, 12), 3.0), result_of((12, 12, 12), size=5), "net", ["ERF 4 px"])
    figure, (row,) = drawn([[cube]], Page())
    shown = [ax.get_ylabel() for ax in row if ax and ax.yaxis.label.get_visible()]
    assert shown == ["y (voxels)", "z (voxels)", "z (voxels)"]
    assert [text.get_text() for text in figure.texts] == ["net\nERF 4 px"]


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_the_legend_has_what_is_drawn(panel: Panel) -> None:
    lines, box, centre = ["50 %", "90 %", "99 % of mass"], ["TRF"], ["centre"]
    for contours, trf, wanted in (
        (True, True, lines + box + centre), (False, True, box + centre), (True, False, lines + centre),
        (False, False, centre),
    ):  # fmt: skip
        assert labels(drawn([[panel]], Page(contours=contours, trf=trf))[0]) == wanted
    panel.result["trf"]["box"][0] = [-5, 20]
    assert labels(drawn([[panel]], Page())[0]) == [*lines, *box, "TRF beyond the input", *centre]
    panel.result["trf"]["center"] = [90.0, 7.0]  # beyond the input
    assert not drawn([[panel]], Page(contours=False, trf=False))[0].legends


def test_maps_are_as_wide_as_the_page_allows(models: list[list[Panel | None]]) -> None:
    figure, axes = drawn(models, Page(width=3.5), names=["random", "trained"])
    wide = sum(ax.get_position().width for ax in axes[0] if ax) * 3.5
    assert wide >= 2.6
    assert len(figure.legends[0].get_texts()) == 5
    heights = {round(text.get_window_extent().y0) for text in figure.legends[0].get_texts()}
    assert len(heights) <= 2


def test_another_statistic_than_the_usual_one_is_said_once(panel: Panel) -> None:
    def said(rows: Rows) -> list[str]:
        figure, axes = drawn(rows, Page(width=5))
        above = [line for row in axes for ax in row if ax for line in words(ax)]
        return [*(text.get_text() for text in figure.texts), *(line for line in above if "map" in line)]

    relu = replace(panel, result={**panel.result, "provenance": {**panel.result["provenance"], "statistic": "relu"}})
    assert said([[panel, panel]]) == []
    assert said([[relu, relu]]) == ["Maps of the statistic relu."]
    assert said([[panel, relu]]) == ["abs map", "relu map"]


@pytest.mark.parametrize("size", [(2, 6), (6, 2)])
def test_pixels_are_square_on_axes_of_any_shape(result_of: Result, bell: Bell, size: tuple[float, float]) -> None:
    figure = Figure(figsize=size)
    ax = figure.add_axes((0, 0, 1, 1))
    plot_map(ax, bell((32, 48), 4.0), result_of((32, 48)))
    ax.apply_aspect()
    box = ax.get_window_extent()
    assert box.width / box.height == pytest.approx(48 / 32)
    line = Figure(figsize=size).add_axes((0, 0, 1, 1))
    plot_map(line, bell((64,), 3.0), result_of((64,)))
    assert line.get_aspect() == "auto"


@pytest.mark.parametrize("font", ["serif", "sans-serif", "monospace"])
@pytest.mark.parametrize("width", [2.5, 3.5, 5.0])
def test_the_legend_is_on_the_page(panel: Panel, width: float, font: str) -> None:
    png = Image.open(BytesIO(render_figure([[panel]], ".png", Page(width=width, font=font, font_size=9, dpi=100))))
    pixels = np.asarray(png.convert("L"))
    below = pixels[-pixels.shape[0] // 5 :]
    assert (below < 250).any()
    assert (below[:, [0, 1, -2, -1]] >= 250).all()


def test_layers_along_depth(result_of: Result) -> None:
    row = {"trf_size": [3, 3], "trf_stride": [1.0, 1.0]}
    both = [row, {**row, "trf_size": [7, 7], "erf_size": 4.0, "stderr": {"erf_size": 0.1}}]
    assert points_wide(render_layers(both, ".pdf", Page(width=4))) == pytest.approx(288)
    assert render_layers(both, ".svg") != render_layers(both[:1], ".svg")
    with pytest.raises(ValueError, match="at least one layer"):
        render_layers([], ".pdf")


@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
@pytest.mark.parametrize("width", [1.6, 1.9, 2.2, 3.0, 7.0])
def test_the_words_of_the_colour_bar_are_on_the_page_and_its_numbers_do_not_touch(
    panel: Panel, scale: str, width: float
) -> None:
    figure = Figure()
    draw_figure(figure, [[panel, panel]], Page(width=width, scale=scale))
    figure.draw_without_rendering()
    (bar,) = (ax for ax in figure.axes if "share of maximum" in ax.get_xlabel() + ax.get_ylabel())
    page = figure.bbox.padded(1)
    named = bar.xaxis if bar.get_xlabel() else bar.yaxis
    boxes = [one.get_window_extent() for one in named.get_ticklabels()]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 for box in (named.label.get_window_extent(), *boxes))
    assert not [1 for one, other in pairwise(boxes) if one.overlaps(other)]
    assert named.get_ticklabels()[-1].get_text() == "1"


ROWS = [
    {"name": f"stage.{n}.conv", "trf_size": [2 * n + 3] * 2, "trf_stride": [1.0, 1.0], "erf_size": n + 2.0,
     "stderr": {"erf_size": 0.1}}
    for n in range(40)
]  # fmt: skip


def test_a_second_profile_has_the_next_colour_and_its_own_names_in_the_legend() -> None:
    ax = Figure(figsize=(3.3, 2.5)).add_subplot()
    first = plot_layers(ax, ROWS, label="A", curves=["trf", "erf"])
    second = plot_layers(ax, ROWS[:20], label="B", curves=["trf", "erf"], linewidth=2)
    assert [first[0].get_color(), second[0].get_color()] == ["C0", "C1"] or (
        first[0].get_color() != second[0].get_color() == second[1][0].get_color()
    )
    assert second[0].get_linewidth() == 2
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["A TRF", "B TRF", "A ERF", "B ERF"]
    assert ax.get_xlabel() == "layer, in the order of computation"
    (red,) = plot_layers(ax, ROWS, curves=["stride"], color="red", label="C")
    assert red.get_color() == "red"


def texts(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_a_trf_is_drawn_once_for_all_weights_of_a_network() -> None:
    ax = Figure().add_subplot()
    other = [row | {"erf_size": row["erf_size"] * 2} for row in ROWS]
    first = plot_layers(ax, ROWS, label="Mine, random", curves=["trf", "erf"])
    second = plot_layers(ax, other, label="Mine, trained-like", curves=["trf", "erf"])
    assert second[0] is first[0]
    assert first[1][0].get_color() != second[1][0].get_color()
    assert texts(ax) == ["Mine TRF", "Mine, random ERF", "Mine, trained-like ERF"]
    plain = Figure().add_subplot()
    for label, rows in (("random", ROWS), ("trained-like", other)):
        plot_layers(plain, rows, label=label, curves=["trf"])
    assert texts(plain) == ["TRF"]


def test_a_size_that_the_input_limits_has_a_hollow_marker_below_the_side_of_the_input() -> None:
    ax = Figure().add_subplot()
    rows = [*ROWS[:30], *(row | {"limited": ["erf_size"]} for row in ROWS[30:])]
    for label in ("A", "B"):
        plot_layers(ax, rows, label=label, curves=["erf"], input_side=48.0)
    assert texts(ax) == ["A ERF", "B ERF", "limited by the input", "side of the input"]
    rings = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white" and len(line.get_xydata())]
    cycle = [look["color"] for look in rcParams["axes.prop_cycle"]]
    assert [(len(line.get_xydata()), line.get_color()) for line in rings] == [(10, cycle[0]), (10, cycle[1])]
    (side,) = (line for line in ax.get_lines() if line.get_label() == "side of the input")
    assert set(side.get_ydata()) == {48.0}
    free = Figure().add_subplot()
    plot_layers(free, ROWS, curves=["erf"], input_side=48.0)
    assert texts(free) == ["ERF"]


def test_a_profile_on_small_axes_has_fewer_and_shorter_names() -> None:
    small, large = (Figure(figsize=size).add_subplot() for size in ((3.3, 2.5), (12, 6)))
    for ax in (small, large):
        plot_layers(ax, ROWS)
    assert len(small.get_xticklabels()) < len(large.get_xticklabels()) <= 32
    canvas = FigureCanvasAgg(small.figure)  # type: ignore[arg-type]
    canvas.draw()
    extents = [label.get_window_extent() for label in small.get_xticklabels()]
    assert all(before.x1 <= after.x0 + 1 for before, after in pairwise(extents))


def test_a_profile_by_shares() -> None:
    ax = Figure().add_subplot()
    (trf,) = plot_layers(ax, ROWS, curves=["trf"], normalise="both", input_side=10.0, log=False)
    assert (trf.get_xdata()[0], trf.get_xdata()[-1], trf.get_ydata()[0]) == (0, 1, pytest.approx(0.3))
    assert ax.get_yscale() == "linear"
    for wrong in ({"curves": ["size"]}, {"normalise": "z"}):
        with pytest.raises(ValueError, match="there is no"):
            plot_layers(ax, ROWS, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [1.0, 1.2, 1.5, 2.0, 3.5])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("font_size", [5, 8, 14])
def test_no_word_is_cut_at_any_width(result_of: Result, bell: Bell, width: float, count: int, font_size: float) -> None:
    result = result_of((32, 48)) | {"trf": result_of((32, 48))["trf"] | {"box": [[-4, 40], [4, 60]]}}
    panels = [Panel(bell((32, 48), 4.0), result, "model", ["ERF 11.25 px", "11 px"])] * count
    figure = Figure()
    page = Page(width=width, font_size=font_size)
    try:
        render_figure([panels], ".png", page)
    except ValueError:
        assert (count, font_size) != (1, 8) or width < 2
        return
    draw_figure(figure, [panels], page)
    with page.style():
        extent = figure.get_tightbbox()
    assert min(extent.x0, extent.y0, width - extent.x1, figure.get_size_inches()[1] - extent.y1) > -1.5 / 72


@pytest.mark.parametrize("width", [1.0, 1.5, 2.0, 3.3, 7.0])
def test_no_word_of_a_profile_is_cut_at_any_width(width: float) -> None:
    if width < 1.5:
        with pytest.raises(ValueError, match="give more width"):
            render_layers(ROWS, ".pdf", Page(width=width), "a long name of a model")
    else:
        assert points_wide(render_layers(ROWS, ".pdf", Page(width=width), "a long name of a model")) > 0
