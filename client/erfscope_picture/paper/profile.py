"""The layers of a model along depth as a figure: TRF and stride, and the measured sizes where there are some."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from erfscope_picture.chart import COLORS
from erfscope_picture.paper.page import LEAST, USUAL_PAGE, Page, as_shares, check_fits, encoded
from erfscope_picture.profile import mean_side
from erfscope_picture.text import ELLIPSIS, inert, shortened
from erfscope_picture.units import unit_of

_HEIGHT, _NARROWEST = 0.62, 1.5  # of the width; inches
_NAMED = 32  # layers with a name below the axis; of more layers every second, third … one has it
_PITCH = 1.4  # from a name to the next, in font sizes
_LETTERS, _FEWEST_LETTERS = 28, 8  # of a name
_LETTER = 0.6  # width of a letter, in font sizes
_LEGEND = 0.8  # of the legend's letters, of the ticks'
_NAMES_SIZE = 0.7  # of names, of the ticks' letters
_NAMES_SHARE = 0.4  # of the figure's height, for names
_NO_LAYER = "a profile needs at least one layer"
USUAL_CURVES = ("trf", "stride", "erf")
_SHARES: Mapping[str, tuple[str, str]] = {  # of the mass: the key of a profile's row, the marker
    "mass_20_side": ("0.20", "v"), "mass_30_side": ("0.30", "D"), "mass_50_side": ("0.50", "s"),
    "mass_99_side": ("0.99", "^"),
}  # fmt: skip
CURVES: Mapping[str, str] = {
    "trf": "TRF",
    "stride": "stride",
    "erf": "ERF",
    **{name: f"side {name.split('_')[1]} %" for name in _SHARES},
}
_LOOKS: Mapping[str, dict[str, Any]] = {
    "trf": {"linestyle": "--", "linewidth": 1},
    "stride": {"linestyle": ":", "linewidth": 1},
    "erf": {"linestyle": "-", "linewidth": 1, "marker": "o", "markersize": 2},
    **{
        name: {"linestyle": "-.", "linewidth": 1, "marker": marker, "markersize": 2}
        for name, (_, marker) in _SHARES.items()
    },
}
_SHADES = {"trf": COLORS[0], "stride": COLORS[2], "erf": COLORS[1]}
_EXACT = {"trf": "trf_size", "stride": "trf_stride"}
NORMALISED = ("", "x", "y", "both")


def plot_layers(
    ax: Axes,
    layers: Sequence[Mapping[str, Any]],
    *,
    curves: Sequence[str] = USUAL_CURVES,
    label: str = "",
    normalise: str = "",
    log: bool = True,
    names: bool | None = None,
    input_side: float = 1.0,
    **line: Any,
) -> list[Any]:
    """Draw curves of the layers on the caller's axes; returns the lines (of measured sizes the error bars).

    `curves` are keys of CURVES: trf, stride, erf, and sides of boxes with a share of the mass, such as mass_99_side.
    Sizes are geometric means over the axes, in pixels (samples, voxels). All curves of a call have one colour, the next
    of the axes' cycle; `line` are options of matplotlib's lines for all of them (color, alpha, linewidth …). `label`
    stands before the names of the curves in the legend. `normalise`: x makes the depth run from 0 to 1, y divides sizes
    by `input_side`, both does both. `names` writes the layers' names along x (by default, unless the axes have other
    data). ValueError where there is no layer, and for values that are none of these.
    """
    if not layers:
        raise ValueError(_NO_LAYER)
    if strangers := [one for one in curves if one not in CURVES] or [
        one for one in [normalise] if one not in NORMALISED
    ]:
        raise ValueError(f"there is no {strangers[0]!r}; curves are {', '.join(CURVES)}, normalise is x, y or both")
    was_empty, across, down = not ax.has_data(), normalise in ("x", "both"), normalise in ("y", "both")
    places = [n / max(len(layers) - 1, 1) if across else n + 1 for n in range(len(layers))]
    drawn: list[Any] = []
    for curve in (one for one in CURVES if one in curves):
        look = {**_LOOKS[curve], "label": f"{label} {CURVES[curve]}".strip(), **line}
        artists = _draw(ax, curve, layers, places, input_side if down else 1.0, look)
        if artists and "color" not in line and "c" not in line:
            line = {**line, "color": (artists[0] if curve in _EXACT else artists[0][0]).get_color()}
        drawn += artists
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    _dress(ax, layers, across=across, down=down, names=names, was_empty=was_empty)
    return drawn


def _draw(
    ax: Axes,
    curve: str,
    layers: Sequence[Mapping[str, Any]],
    places: Sequence[float],
    unit: float,
    look: dict[str, Any],
) -> list[Any]:
    """One curve: a line, or the container of a line with its error bars; nothing where no layer has the number."""
    if curve in _EXACT:
        sides = [mean_side(row[_EXACT[curve]]) for row in layers]
        points = [(x, side / unit) for x, side in zip(places, sides, strict=True) if side]
        return ax.plot(*zip(*points, strict=True), **look) if points else []
    sizes = [_measured(row, curve) for row in layers]
    measured = [(x, size / unit, error / unit) for x, (size, error) in zip(places, sizes, strict=True) if size]
    if not measured:
        return []
    across, values, errors = zip(*measured, strict=True)
    return [ax.errorbar(across, values, errors, capsize=1.5, **look)]


def _measured(row: Mapping[str, Any], curve: str) -> tuple[float, float]:
    """A measured size of a layer and its standard error; 0 where there is none."""
    if curve == "erf":
        size, name = row.get("erf_size"), "erf_size"
    else:
        size, name = row.get("mass", {}).get(_SHARES[curve][0], {}).get("side"), curve
    return size or 0.0, row.get("stderr", {}).get(name) or 0.0


def _dress(
    ax: Axes, layers: Sequence[Mapping[str, Any]], *, across: bool, down: bool, names: bool | None, was_empty: bool
) -> None:
    """Names of axes and layers, and the legend."""
    unit = unit_of(len(layers[0]["trf_size"]))
    ax.set_ylabel("size / side of the input" if down else f"size ({unit})")
    ax.grid(color="#e8e8eb", linewidth=0.5)
    ax.legend(framealpha=0.8, edgecolor="none", handlelength=1.6, labelspacing=0.3, fontsize=_LEGEND * _points())
    if across:
        ax.set_xlabel("depth, as a share of the layers")
        return
    size = max(_NAMES_SIZE * _points(), LEAST)
    ticks, labels = _named(ax, layers, size)
    same = [text.get_text() for text in ax.get_xticklabels()] == labels
    if names or (names is None and (was_empty or same)):
        ax.set_xticks(ticks)
        ax.set_xticklabels(labels, rotation=90, parse_math=False, fontsize=size)
        ax.set_xlabel("")
        return
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.tick_params(axis="x", labelrotation=0, labelsize=_points())
    ax.set_xlabel("layer, in the order of computation")


def _points() -> float:
    """Size of the ticks' letters; matplotlib's setting may be a word."""
    return FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()


def _named(ax: Axes, layers: Sequence[Mapping[str, Any]], size: float) -> tuple[list[int], list[str]]:
    """As many names as the axes are wide, and as many letters as the figure is high for."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    wide = 72 * ax.get_position().width * figure.get_size_inches()[0]
    step = -(-len(layers) // min(_NAMED, max(int(wide / (_PITCH * size)), 2)))
    letters = int(72 * figure.get_size_inches()[1] * _NAMES_SHARE / (_LETTER * size))
    letters = min(max(letters, _FEWEST_LETTERS), _LETTERS)
    shown = range(0, len(layers), step)
    names = [inert(str(layers[n].get("name", n + 1))) for n in shown]
    labels = [shortened(name, lambda text: len(text) <= letters) for name in names]
    if len(set(labels)) < len(set(names)):
        labels = [name if len(name) <= letters else f"{ELLIPSIS}{name[1 - letters :]}" for name in names]
    return [n + 1 for n in shown], labels


def render_layers(layers: Sequence[Mapping[str, Any]], form: str, page: Page = USUAL_PAGE, title: str = "") -> bytes:
    """The figure as .pdf, .svg or .png bytes; `layers` are rows of a profile or of an inspection, as JSON.

    Sizes as in `plot_layers`. ValueError where there is no layer, or the page is too narrow.
    """
    width = page.width or 5.0
    if width < _NARROWEST:
        raise ValueError(f"a chart along depth does not fit into {width:g} inches; give more width")
    with page.style():
        figure = Figure(figsize=(width, _HEIGHT * width), layout="constrained")
        ax = figure.add_subplot()
        for curve, shade in _SHADES.items():
            plot_layers(ax, layers, curves=[curve], color=as_shares(shade), names=True)
        ax.set_title(shortened(title, lambda text: page.length_of(text) <= 0.7 * width), parse_math=False)
        check_fits(figure)
        return encoded(figure, form, page)
