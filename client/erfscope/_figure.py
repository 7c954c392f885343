"""Results as figures for papers: PDF, SVG, PNG of a chosen width, and maps on matplotlib axes.

erfscope_picture draws them, and matplotlib is loaded when the first one is asked for.
"""

import json
import re
from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import refuse
from erfscope_contract.lengths import Lengths, Spacing, lengths_of, measured_in, pixels_of, rank_of
from erfscope_contract.limits import AT_LEAST, bounded, bounds_of_layer, is_limited_by_input
from erfscope_contract.numbers import MOST_DIGITS, plain, with_error
from erfscope_contract.result import ErfResult, Number
from erfscope_contract.roots import geometric_mean

if TYPE_CHECKING:
    from erfscope_picture.paper import Page, Panel

VECTOR = (".pdf", ".svg")
_NAMED = 3  # of the forms of a size above a map, those that say ERF
_STEPS = ("rate", "spacing")  # the unit of lengths
_PER_INCH = {"in": 1.0, "cm": 2.54, "mm": 25.4}
_NUMBERS = ("dpi", "font_size", "rate")
_PICTURES = ("scale", "colormap")  # what a picture without matplotlib knows as well


class FigureOptions(TypedDict, total=False):
    """How a figure looks; what is left out is as usual.

    `scale` (linear, sqrt, log; default sqrt) and `colormap` (default viridis) are the colours; `width` is in inches, or
    a text with a unit such as "8.5cm" (default: 3.5 for one map, 7 for four beside each other), `dpi` the resolution of
    a PNG (default 300), `font` a font's name (default DejaVu Sans; STIXGeneral looks like Times), `font_size` in points
    (default 8); `contours` and `trf` draw the lines around 50, 90 and 99 % of the mass and the box of the TRF (default
    True). Lengths are in the input's own steps; with `rate`, the samples per second of a sound, they are in seconds,
    and with `spacing`, the millimetres of a step along each axis (or one number for all), in millimetres.
    """

    scale: str | None
    colormap: str | None
    width: float | str | None
    dpi: float | None
    font: str | None
    font_size: float | None
    contours: bool
    trf: bool
    rate: float | None
    spacing: Spacing | None


def needs_matplotlib(path: Path, options: Mapping[str, Any]) -> bool:
    """Whether this file is drawn by matplotlib: a vector form, or a PNG with more than colours asked for."""
    form, beyond = path.suffix.lower(), chosen(options).keys() - set(_PICTURES)
    return form in VECTOR or (form == ".png" and bool(beyond))


def inches_of(width: float | str, name: str = "width=") -> float:
    """A length in inches: 3.25, `3.25`, `3.25in`, `8.5cm`, `85mm`; `name` stands before it in the error."""
    if _is_number(width):
        return float(width)
    matched = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(in|cm|mm)?\s*", str(width))
    if matched is None:
        raise refuse("bad-request", f"{name}{width!r} is not a length such as 3.25in or 8.5cm")
    return float(matched[1]) / _PER_INCH[matched[2] or "in"]


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, width in inches; an unknown one is a TypeError, as of any function.

    Raises BadRequest for a width that is not a length, and for what has to be a number and is not.
    """
    if strangers := sorted(options.keys() - FigureOptions.__annotations__.keys()):
        raise TypeError(
            f"figures have no option {strangers[0]!r}; there are {', '.join(FigureOptions.__annotations__)}"
        )
    named = {name: value for name, value in options.items() if value is not None}
    for name in _NUMBERS:
        if name in named and not _is_number(named[name]):
            raise refuse("bad-request", f"{name}={named[name]!r} of a figure is not a number")
    return named | ({"width": inches_of(named["width"])} if "width" in named else {})


def picture_options(options: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Scale and colour map, for a picture without matplotlib."""
    return options.get("scale"), options.get("colormap")


def page_of(options: Mapping[str, Any]) -> "Page":
    """The options as the drawing package has them; raises BadRequest for values that cannot be."""
    paper = _paper()
    try:
        return paper.Page(**{name: value for name, value in chosen(options).items() if name not in _STEPS})  # type: ignore[no-any-return]
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


def panel_of(map: NDArray[np.floating[Any]], data: ErfResult, title: str, options: Mapping[str, Any]) -> "Panel":
    """A result as a panel of a figure, with its ERF above."""
    notes = size_notes(data, lengths_in(options, rank_of(data)))
    return _paper().Panel(  # type: ignore[no-any-return]
        map, as_json(data), title, notes, short="Numbers above the maps: size of the ERF in pixels.", short_from=_NAMED
    )


def figure_of(
    rows: Sequence[Sequence["Panel | None"]], path: Path, options: Mapping[str, Any], names: Sequence[str] = ()
) -> bytes:
    """The figure in the form of the path's ending."""
    page = page_of(options)
    try:
        lengths = _steps(options, rows)
        return _paper().render_figure(rows, path.suffix.lower(), page, names=names, lengths=lengths)  # type: ignore[no-any-return]
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


def drawn_rows(
    rows: Sequence[Sequence["Panel | None"]], options: Mapping[str, Any], names: Sequence[str] = ()
) -> list[list[Any]]:
    """The figure as pyplot's current one, as notebooks show it; returns the axes by rows."""
    page, paper = page_of(options), _paper()
    from matplotlib import pyplot

    try:
        return paper.draw_figure(pyplot.figure(), rows, page, names=names, lengths=_steps(options, rows))  # type: ignore[no-any-return]
    except ValueError as error:
        pyplot.close()
        raise refuse("bad-request", str(error)) from None


def plot_on(ax: Any, map: NDArray[np.floating[Any]], data: ErfResult, options: Mapping[str, Any]) -> Any:
    """Draw on the caller's axes, or on the current ones of pyplot; returns the axes."""
    page = page_of(options)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.gca()
    _paper().plot_map(ax, map, as_json(data), page, lengths=_drawn(lengths_in(options, rank_of(data))))
    return ax


def plot_profile_on(ax: Any, data: ErfResult, options: Mapping[str, Any]) -> list[Any]:
    """Draw the profile along depth on the caller's axes, or on the current ones of pyplot; returns the artists."""
    if not data.layers:
        raise refuse("bad-request", 'the result has no profile along depth; measure it with layers="all"')
    paper = _paper()
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.gca()
    try:
        return list(paper.plot_layers(ax, profile_rows(data), input_side=side_of(data), **options))
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


def profile_rows(data: ErfResult) -> list[dict[str, Any]]:
    """The layers of the profile as charts read them: `limited` names the sizes that the input limits."""
    return [
        layer.model_dump(mode="json", by_alias=True) | {"limited": sorted(bounds_of_layer(layer, data.input_shape))}
        for layer in data.layers
    ]


def side_of(data: ErfResult) -> float:
    """The side of the input: the geometric mean over its axes."""
    return geometric_mean(data.input_shape[1:]) or 1.0


def layers_figure(rows: Sequence[Mapping[str, Any]], title: str, form: str, input_side: float | None = None) -> bytes:
    """TRF and stride of the rows of an inspection along depth, or those of `profile_rows` with their ERF."""
    figure: bytes = _paper().render_layers(rows, form, title=title, input_side=input_side)
    return figure


def lengths_in(options: Mapping[str, Any], rank: int) -> Lengths | None:
    """The unit of lengths that `rate` or `spacing` choose; None for the input's own. Raises BadRequest."""
    try:
        return lengths_of(options.get("rate"), options.get("spacing"), rank)
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


def _steps(options: Mapping[str, Any], rows: Sequence[Sequence["Panel | None"]]) -> list[Any] | None:
    """The unit of each axis of the panels, which are alike."""
    return _drawn(lengths_in(options, next(panel.map.ndim for row in rows for panel in row if panel)))


def _drawn(lengths: Lengths | None) -> list[Any] | None:
    """The unit of each axis, as the drawing package has it."""
    return None if lengths is None else [_paper().Lengths(lengths.unit, step) for step in lengths.steps]


def size_notes(data: ErfResult, lengths: Lengths | None = None) -> list[str]:
    """`ERF 43.325 ± 0.096 px` and ever shorter: one digit of the error, no error, no `ERF`, no unit, whole pixels.

    Each stands at its place, also where two are the same: a figure takes those of one place. One that the input limits
    has `≥` and no error, and is rounded down, as a bound must be. `lengths` is the unit, by default the input's own.
    """
    own = pixels_of(rank_of(data))
    value, unit = measured_in("erf_size", data.erf.size, lengths or own)
    error, _ = measured_in("erf_size", data.stderr.get("erf_size"), lengths or own)

    if value is None or not isfinite(value):
        missing = bounded(data, "erf_size", None)
        return [f"ERF {missing}"] * _NAMED + [missing]
    if is_limited_by_input(data):
        size = bounded(data, "erf_size", value)
        sizes, least = [size] * _NAMED, size if lengths else f"{AT_LEAST}{floor(value)}"
    else:
        brief = rounded(value, error)
        sizes, least = (
            [with_error(value, error), " ± ".join(brief), brief[0]],
            brief[0] if lengths else str(round(value)),
        )
    return [*(f"ERF {size} {unit}" for size in sizes), f"{sizes[-1]} {unit}", sizes[-1], least]


def rounded(value: float, error: Number) -> tuple[str, ...]:
    """Value and error to the error's first digit; the value alone where there is no error."""
    if error is None or not error or not isfinite(error) or not isfinite(value):
        return (plain(value),)
    error = float(f"{error:.0e}")  # 0.096 becomes 0.1, which has one digit less
    digits = min(max(-floor(log10(error)), 0), MOST_DIGITS)
    return f"{value:.{digits}f}", f"{error:.{digits}f}"


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
