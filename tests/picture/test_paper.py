"""Figures for papers: forms, width, fonts, the same bytes, and what is drawn where."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from erfscope_picture.colormap import table
from erfscope_picture.paper import FORMS, Lengths, Page, Panel, plot_map, render_figure, render_layers

Result = Callable[..., dict[str, Any]]
Bell = Callable[..., NDArray[np.float64]]


@pytest.fixture
def panel(result_of: Result, bell: Bell) -> Panel:
    return Panel(bell((32, 48), 4.0), result_of((32, 48)), "model_1 $x$", "ERF 11 px")


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


def letters(figure: Figure) -> list[str]:
    """The lines above the panels."""
    return [line for ax in figure.axes for line in ax.get_title().splitlines()]


@pytest.mark.parametrize("width", [1.5, 2.0, 3.5, 7.0])
def test_a_number_above_a_panel_is_whole_or_not_there(
    panel: Panel, width: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shortened one would be another number; names may be shortened."""
    drawn: list[Figure] = []

    def kept(figure: Figure, form: str, page: Page) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr("erfscope_picture.paper.figure.encoded", kept)
    note = "ERF ≥ 127.92 ± 0.17 px"
    row = [replace(panel, title="A network with a long name", note=note)] * 2
    render_figure([row], ".png", Page(width=width, font="serif"))
    lines = letters(drawn[0])
    assert all("…" not in line for line in lines if line.startswith("ERF"))
    assert (note in lines) == (width > 2)


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
