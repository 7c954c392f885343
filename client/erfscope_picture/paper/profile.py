"""The layers of a model along depth as a figure: TRF and stride, and the ERF where it was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from erfscope_picture.chart import COLORS
from erfscope_picture.paper.page import USUAL_PAGE, Page, as_shares, encoded
from erfscope_picture.profile import mean_side
from erfscope_picture.text import inert, shortened
from erfscope_picture.units import unit_of

_HEIGHT = 0.62  # of the width
_NAMED = 32  # layers with a name below the axis; of more layers every second, third … one has it
_LETTERS = 28  # of a name
_NO_LAYER = "a profile needs at least one layer"


def plot_layers(ax: Axes, layers: Sequence[Mapping[str, Any]]) -> None:
    """TRF, stride and ERF of the layers on the caller's axes, with the layers' names along x.

    Sizes are geometric means over the axes, in pixels (samples, voxels). ValueError where there is no layer.
    """
    if not layers:
        raise ValueError(_NO_LAYER)
    for label, key, color, style in (("TRF", "trf_size", 0, "--"), ("stride", "trf_stride", 2, ":")):
        points = [(n, side) for n, row in enumerate(layers, start=1) if (side := mean_side(row[key]))]
        if points:
            ax.plot(*zip(*points, strict=True), style, color=as_shares(COLORS[color]), linewidth=1, label=label)
    measured = [(n, row) for n, row in enumerate(layers, start=1) if row.get("erf_size")]
    if measured:
        ax.errorbar(
            [n for n, _ in measured], [row["erf_size"] for _, row in measured],
            [row["stderr"].get("erf_size") or 0 for _, row in measured], fmt="o-", markersize=2, linewidth=1,
            capsize=1.5, color=as_shares(COLORS[1]), label="ERF",
        )  # fmt: skip
    ax.set_yscale("log")
    _name(ax, layers)
    ax.set_ylabel(f"size ({unit_of(len(layers[0]['trf_size']))})")
    ax.grid(color="#e8e8eb", linewidth=0.5)
    ax.legend(frameon=False)


def _name(ax: Axes, layers: Sequence[Mapping[str, Any]]) -> None:
    step = -(-len(layers) // _NAMED)
    shown = range(0, len(layers), step)
    ax.set_xticks([n + 1 for n in shown])
    names = [inert(str(layers[n].get("name", n + 1))) for n in shown]
    labels = [shortened(name, lambda text: len(text) <= _LETTERS) for name in names]
    ax.set_xticklabels(labels, rotation=90, parse_math=False)


def render_layers(layers: Sequence[Mapping[str, Any]], form: str, page: Page = USUAL_PAGE, title: str = "") -> bytes:
    """The figure as .pdf, .svg or .png bytes; `layers` are rows of a profile or of an inspection, as JSON.

    Sizes as in `plot_layers`. ValueError where there is no layer.
    """
    width = page.width or 5.0
    with page.style():
        figure = Figure(figsize=(width, _HEIGHT * width), layout="constrained")
        ax = figure.add_subplot()
        plot_layers(ax, layers)
        ax.set_title(title, parse_math=False)
        return encoded(figure, form, page)
