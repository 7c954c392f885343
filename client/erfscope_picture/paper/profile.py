"""The layers of a model along depth as a figure: TRF and stride, and the ERF where it was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from erfscope_picture.chart import COLORS
from erfscope_picture.paper.page import USUAL_PAGE, Page, as_shares, encoded
from erfscope_picture.profile import mean_side
from erfscope_picture.units import unit_of

_HEIGHT = 0.62  # of the width


def render_layers(layers: Sequence[Mapping[str, Any]], form: str, page: Page = USUAL_PAGE, title: str = "") -> bytes:
    """The figure as .pdf, .svg or .png bytes; `layers` are rows of a profile or of an inspection, as JSON.

    Sizes are geometric means over the axes, in pixels (samples, voxels). ValueError where there is no layer.
    """
    if not layers:
        raise ValueError("a profile needs at least one layer")
    width = page.width or 5.0
    with page.style():
        figure = Figure(figsize=(width, _HEIGHT * width), layout="constrained")
        ax = figure.add_subplot()
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
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="layer, in the order of computation", ylabel=f"size ({unit_of(len(layers[0]['trf_size']))})")
        ax.set_title(title, parse_math=False)
        ax.grid(color="#e8e8eb", linewidth=0.5)
        ax.legend(frameon=False)
        return encoded(figure, form, page)
