"""Results and comparisons as figures and tables for papers, by the SDK and by the command."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from erfscope import Result, compare, errors
from erfscope._figure import size_notes
from erfscope._result import Origin
from erfscope_contract.result import ErfResult
from erfscope_picture import colormap as colormaps
from erfscope_picture.text import inert

from .command_line import SPEC, Run
from .conftest import MAP, PNG, result_json


def measured(size: float = 10.0, error: float = 0.1, name: str = "net.onnx", **more: object) -> Result:
    body = result_json() | more
    body["erf"] = body["erf"] | {"size": size}
    body["stderr"] = {"erf_size": error}
    return Result(
        ErfResult.model_validate(body), Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG), name=name
    )


def inches_wide(pdf: bytes) -> float:
    box = re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)", pdf)
    assert box is not None
    return float(box[1]) / 72


def test_a_result_is_saved_as_a_figure(tmp_path: Path) -> None:
    assert inches_wide(measured().save(tmp_path / "a.pdf", width=3.25).read_bytes()) == pytest.approx(3.25)
    assert inches_wide(measured().save(tmp_path / "a.pdf", width="8.5cm").read_bytes()) == pytest.approx(8.5 / 2.54)
    assert measured().save(tmp_path / "a.svg", colormap="magma").read_text().startswith("<?xml")
    assert measured().save(tmp_path / "a.png").read_bytes() == PNG  # without a width, the usual picture
    assert measured().save(tmp_path / "b.png", dpi=100).read_bytes().startswith(b"\x89PNG\r\n\x1a\n\x00")
    with pytest.raises(errors.BadRequest, match="font 'Nope' is not installed"):
        measured().save(tmp_path / "c.pdf", font="Nope")
    with pytest.raises(errors.BadRequest, match="width='wide' is not a length"):
        measured().save(tmp_path / "c.pdf", width="wide")
    with pytest.raises(errors.BadRequest, match="font_size='8pt' of a figure is not a number"):
        measured().plot(Figure().add_subplot(), font_size="8pt")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="figures have no option 'widht'"):
        measured().save(tmp_path / "c.pdf", widht=3)  # type: ignore[call-arg]


def test_a_map_is_drawn_on_the_axes_of_a_notebook() -> None:
    ax = Figure().add_subplot()
    assert measured().plot(ax) is ax
    assert ax.get_images()[0].get_array().shape == (8, 8)  # type: ignore[union-attr]
    axes = Figure().subplots(1, 2)
    assert compare(measured(), measured(name="other")).plot(axes)[1].get_title() == "other"


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("erfscope_picture.paper")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("erfscope_picture.paper", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(errors.UnsupportedFeature, match=r"pip install 'erfscope\[figures\]'"):
        measured().save(tmp_path / "a.pdf")
    assert measured().save(tmp_path / "a.png").read_bytes() == PNG


def grid() -> list[Result]:
    return [measured(10.0, 0.3), measured(20.0, 0.4), measured(30.0, 0.5), measured(40.0, 0.6)]


NAMES = [("net_1", "random"), ("net_1", "trained"), ("net_2", "random"), ("net_2", "trained")]


def test_models_and_weights_are_columns_and_rows_of_one_figure(tmp_path: Path) -> None:
    both = compare(*grid(), names=NAMES)
    svg = both.save(tmp_path / "a.svg").read_text()
    assert len(re.findall("<image ", svg)) == 5  # four maps and the colour bar
    assert both.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(errors.BadRequest, match="no known ending"):
        both.save(tmp_path / "a.doc")


def test_a_plot_without_axes_is_the_grid_that_is_saved() -> None:
    from matplotlib import pyplot

    both = compare(*grid(), names=[NAMES[0], NAMES[2], NAMES[1], NAMES[3]])
    try:
        axes = both.plot(width=3.0, contours=False)
        figure = pyplot.gcf()
        assert figure.get_size_inches()[0] == 3.0
        places = [ax.get_position() for ax in axes]
        rows, columns = ([round(getattr(place, side), 6) for place in places] for side in ("y0", "x0"))
        assert rows[0] == rows[1] > rows[2] == rows[3]  # random above trained
        assert columns[0] == columns[2] < columns[1] == columns[3]
        sizes = [ax.texts[0].get_text() for ax in axes]
        assert [size[:6] for size in sizes] == ["ERF 10", "ERF 20", "ERF 30", "ERF 40"]  # as the results are given
        for place in places:
            high = place.height * figure.get_size_inches()[1]
            assert place.width * 3.0 == pytest.approx(high)  # square pixels of a square map
    finally:
        pyplot.close("all")


def test_the_size_above_a_map_is_said_ever_shorter() -> None:
    assert size_notes(measured(43.3249, 0.0956).data) == [
        "ERF 43.325 ± 0.096 px", "ERF 43.3 ± 0.1 px", "ERF 43.3 px", "43.3 px", "43.3", "43",
    ]  # fmt: skip
    assert size_notes(measured(1234.5, 34.0).data)[1] == "ERF 1234 ± 30 px"
    assert size_notes(measured(10.0, 0.0).data) == ["ERF 10 px"] * 3 + ["10 px", "10", "10"]
    body = result_json()
    nothing = ErfResult.model_validate(body | {"erf": body["erf"] | {"size": None}})
    assert size_notes(nothing) == ["ERF –"] * 3 + ["–"]


def test_a_bound_above_a_map_is_never_rounded_up() -> None:
    body = result_json()
    more = {"trf": body["trf"] | {"global": True}, "erf": body["erf"] | {"limited": ["erf_size"]}}
    limited = measured(127.883, 0.056, "net.onnx", **more)
    assert size_notes(limited.data) == [
        "ERF ≥ 127.8 px", "ERF ≥ 127.8 px", "ERF ≥ 127.8 px", "≥ 127.8 px", "≥ 127.8", "≥ 127",
    ]  # fmt: skip


def test_the_usual_picture_of_several_maps_marks_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def sheet(title: str, panels: list[Any], **_: object) -> bytes:
        told.extend(inert(panel.note) for panel in panels)
        return PNG

    monkeypatch.setattr("erfscope_picture.sheet.render_sheet", sheet)
    body = result_json()
    more = {"trf": body["trf"] | {"global": True}, "erf": body["erf"] | {"limited": ["erf_size"]}}
    compare(measured(7.9, 0.1), measured(7.9, 0.1, "net.onnx", **more)).png()
    assert told == ["ERF 7.90 ± 0.10 px", "ERF ≥ 7.9 px"]


@pytest.mark.parametrize(
    ("command", "option", "lines", "box"),
    [("measure", "--no-contours", False, True), ("compare", "--no-trf", True, False)],
)
def test_lines_and_box_can_be_left_out_by_the_commands(
    run: Run, tmp_path: Path, command: str, option: str, *, lines: bool, box: bool
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    models = ["a.json"] * (2 if command == "compare" else 1)
    done = run(command, *models, "--inputs", "2", option, "-o", "a.svg")
    assert done.returncode == 0, done.stderr
    strokes = re.findall(r'style="fill: none; ([^"]*)"', (tmp_path / "a.svg").read_text())
    accent = "#{:02x}{:02x}{:02x}".format(*colormaps.accent("viridis"))
    assert any("stroke: #ffffff" in style for style in strokes) == lines
    assert any(f"stroke: {accent}" in style and "dasharray" in style for style in strokes) == box


def test_a_table_for_latex_has_values_with_errors_and_safe_names() -> None:
    text = compare(*grid(), names=NAMES).to_latex(["erf_size", "mass_50_ratio"])
    rows = [line for line in text.splitlines() if "&" in line]
    assert rows == [
        r"model & weights & ERF (px) & area 50 \% \\",
        r"net\_1 & random & 10.00 $\pm$ 0.30 & 0.1 \\",
        r" & trained & 20.00 $\pm$ 0.40 & 0.1 \\",
        r"net\_2 & random & 30.00 $\pm$ 0.50 & 0.1 \\",
        r" & trained & 40.00 $\pm$ 0.60 & 0.1 \\",
    ]
    assert text.startswith("% with \\usepackage{booktabs}")


PAPER = r"""\documentclass[twocolumn]{article}
\usepackage{graphicx}
%s
\begin{document}
\begin{table}\centering\caption{As it is.}\input{erf}\end{table}
\begin{table*}\caption{In a box.}\resizebox{\linewidth}{!}{\input{erf}}\end{table*}
\end{document}
"""


@pytest.mark.parametrize(
    "packages", ["", r"\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{}"], ids=["", "booktabs"]
)
def test_a_table_compiles_with_booktabs_and_without(tmp_path: Path, packages: str) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    names = [("[a] b_c & 50 % ± {x}", "β--1"), ("* ~^#\\", "<\ufffd|>"), ("net_2", "given"), ("net_2", "→ ö")]
    script = [measured(10 + n, 0.3, replknet={"0.20": 0.01, "0.50": 0.25}) for n in range(4)]
    compare(*script, names=names).save(tmp_path / "erf.tex", metrics=["trf_size", "erf_size", "r", "sigma_1", "r2"])
    (tmp_path / "paper.tex").write_text(PAPER % packages)
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"], cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_a_table_for_markdown_and_one_for_spreadsheets() -> None:
    both = compare(*grid()[:2], names=["a|b", "=c"])
    lines = both.to_markdown(["erf_size"]).splitlines()
    assert "; seed 0; " in lines[5]
    assert lines[5].endswith("protocol Luo et al. 2016.")
    assert lines == [
        "| model | ERF (px) |", "| --- | --: |", r"| a\|b | 10.00 ± 0.30 |", "| =c | 20.00 ± 0.40 |", "", *lines[5:],
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(both.to_csv(["erf_size", "trf_size"]))))
    numbers = ("model", "erf_size", "erf_size_stderr", "trf_size", "trf_size_stderr")
    assert [rows[0][name] for name in numbers] == ["a|b", "10.0", "0.3", "5.0", ""]
    facts = ["layer", "unit", "channels", "input", "samples", "seed", "weights", "statistic", "protocol"]
    assert [*rows[0]][5:] == ["limited", *facts]
    assert rows[1]["model"] == "'=c"
    with pytest.raises(errors.BadRequest, match="there is no metric 'erf'"):
        both.to_csv(["erf"])


def test_the_script_s_ratios_are_in_every_output() -> None:
    result = measured(replknet={"0.20": 0.01, "0.50": 0.25})
    assert result.metrics["replknet_50"] == 0.25
    assert "replknet_50,0.25," in result.to_csv()
    assert "RepLKNet's r, 50 % of the mass" in result._repr_html_()
    assert "RepLKNet's r, 50 % of the mass" in result.to_markdown()
    assert r"$r_{50\,\%}$" in compare(result, result).to_latex()
    assert "replknet_50" not in measured().metrics


def test_compare_takes_weights_for_each_model_and_writes_by_ending(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC | {"init": "ones"}))
    done = run(
        "compare", "a.json@given", "a.json@random", "--inputs", "2", "--format", "csv", "--protocol", "replknet",
        "--metrics", "erf_size,replknet_20", "-o", "t.tex", "-o", "m.pdf", "--width", "8.5cm",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["model"], row["weights"]) for row in rows] == [("tiny", "given"), ("tiny", "random")]
    assert rows[0]["erf_size"] != rows[1]["erf_size"]
    assert rows[0]["replknet_20"]
    assert r"$r_{20\,\%}$" in (tmp_path / "t.tex").read_text()
    assert inches_wide((tmp_path / "m.pdf").read_bytes()) == pytest.approx(8.5 / 2.54)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.json@rnd", "a.json"), "there are no weights 'rnd'"),
        (("a.json", "a.json", "--metrics", "size"), "there is no metric 'size'"),
        (("a.json", "a.json", "-o", "x.pdf", "--width", "wide"), "--width 'wide' is not a length"),
        (("a.json", "a.json", "-o", "x.pdf", "--font", "Nope"), "font 'Nope' is not installed"),
        (("a.json", "a.json", "--json", "--format", "csv"), "give one of them"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_measured(
    run: Run,
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    done = run("compare", *arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_compare_measures_on_images(run: Run, tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((3, 1, 16, 16), dtype=np.float32))
    done = run("compare", "a.json", "a.json", "--images", "x.npy", "--json")
    assert done.returncode == 0, done.stderr
    assert next(iter(json.loads(done.stdout).values()))["provenance"]["source"] == "images"
