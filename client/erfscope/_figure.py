"""Results as figures for papers: PDF, SVG, PNG of a chosen width, and maps on matplotlib axes.

erfscope_picture draws them, and matplotlib is loaded when the first one is asked for.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import refuse
from erfscope_contract.lengths import Lengths
from erfscope_contract.limits import bounded
from erfscope_contract.numbers import MISSING, with_error
from erfscope_contract.result import ErfResult

if TYPE_CHECKING:
    from erfscope_picture.paper import Page, Panel

VECTOR = (".pdf", ".svg")
_PICTURES = ("scale", "colormap")  # what a picture without matplotlib knows as well


class FigureOptions(TypedDict, total=False):
    """How a figure looks; what is left out is as usual.

    `scale` (linear, sqrt, log; default sqrt) and `colormap` (default viridis) are the colours; `width` is in inches
    (default: 3.5 for one map, 7 for four beside each other), `dpi` the resolution of a PNG (default 300), `font` a
    font's name (default DejaVu Sans), `font_size` in points (default 8); `contours` and `trf` draw the lines around
    50, 90 and 99 % of the mass and the box of the TRF (default True); `lengths` is the unit of the axes.
    """

    scale: str | None
    colormap: str | None
    width: float | None
    dpi: float | None
    font: str | None
    font_size: float | None
    contours: bool
    trf: bool
    lengths: Lengths | None


def needs_matplotlib(path: Path, options: Mapping[str, Any]) -> bool:
    """Whether this file is drawn by matplotlib: a vector form, or a PNG with more than colours asked for."""
    form, beyond = path.suffix.lower(), chosen(options).keys() - set(_PICTURES)
    return form in VECTOR or (form == ".png" and bool(beyond))


def chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; an unknown one is a TypeError, as of any function."""
    if strangers := sorted(options.keys() - FigureOptions.__annotations__.keys()):
        raise TypeError(
            f"figures have no option {strangers[0]!r}; there are {', '.join(FigureOptions.__annotations__)}"
        )
    return {name: value for name, value in options.items() if value is not None}


def picture_options(options: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Scale and colour map, for a picture without matplotlib."""
    return options.get("scale"), options.get("colormap")


def page_of(options: Mapping[str, Any]) -> "Page":
    """The options as the drawing package has them; raises BadRequest for values that cannot be."""
    paper = _paper()
    try:
        return paper.Page(**{name: value for name, value in chosen(options).items() if name != "lengths"})  # type: ignore[no-any-return]
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


def panel_of(map: NDArray[np.floating[Any]], data: ErfResult, title: str, note: str = "") -> "Panel":
    """A result as a panel of a figure."""
    return _paper().Panel(map, as_json(data), title, note)  # type: ignore[no-any-return]


def figure_of(
    rows: Sequence[Sequence["Panel | None"]], path: Path, options: Mapping[str, Any], names: Sequence[str] = ()
) -> bytes:
    """The figure in the form of the path's ending."""
    page = page_of(options)
    try:
        lengths = _steps(options)
        return _paper().render_figure(rows, path.suffix.lower(), page, names=names, lengths=lengths)  # type: ignore[no-any-return]
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


def plot_on(ax: Any, map: NDArray[np.floating[Any]], data: ErfResult, options: Mapping[str, Any]) -> Any:
    """Draw on the caller's axes, or on the current ones of pyplot; returns the axes."""
    page = page_of(options)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.gca()
    _paper().plot_map(ax, map, as_json(data), page, lengths=_steps(options))
    return ax


def layers_figure(rows: Sequence[Mapping[str, Any]], title: str, form: str) -> bytes:
    """TRF and stride of the rows of an inspection, along depth."""
    figure: bytes = _paper().render_layers(rows, form, title=title)
    return figure


def _steps(options: Mapping[str, Any]) -> list[Any] | None:
    """The unit of each axis, as the drawing package has it."""
    lengths: Lengths | None = options.get("lengths")
    return None if lengths is None else [_paper().Lengths(lengths.unit, step) for step in lengths.steps]


def size_note(data: ErfResult) -> str:
    """`ERF 43.3 ± 0.3 px`, below a panel's title; of one that the input limits `ERF ≥ …`; empty where undefined."""
    size = with_error(data.erf.size, data.stderr.get("erf_size"))
    return "" if size == MISSING else f"ERF {bounded(data, 'erf_size', size)} px"


def as_json(data: ErfResult) -> dict[str, Any]:
    """A result as the drawing package reads it."""
    body: dict[str, Any] = json.loads(data.model_dump_json(by_alias=True))
    return body


def _paper() -> Any:
    try:
        from erfscope_picture import paper
    except ModuleNotFoundError as error:
        raise refuse(
            "unsupported-feature",
            f"PDF and SVG, figures with a width, a resolution or a font, and plot() need matplotlib ({error}). "
            "Install it with:  pip install 'erfscope[figures]'",
        ) from None
    return paper
