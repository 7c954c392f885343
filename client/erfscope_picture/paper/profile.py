"""The layers of a model along depth as a figure: TRF and stride, and the measured sizes where there are some."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from math import nan
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from erfscope_picture.chart import COLORS
from erfscope_picture.paper.page import LEAST, USUAL_PAGE, Page, as_shares, check_fits, encoded
from erfscope_picture.profile import INPUT, LIMITED, is_bound, mean_side
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
_METRICS = {"erf": "erf_size", **{name: name for name in _SHARES}}  # of measured curves, by flat name
_GREY, _RING = "0.35", 3.5  # of what belongs to no profile alone; points
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
    input_side: float | None = None,
    **line: Any,
) -> list[Any]:
    """Draw curves of the layers on the caller's axes; returns the lines (of measured sizes the error bars).

    `curves` are keys of CURVES: trf, stride, erf, and sides of boxes with a share of the mass, such as mass_99_side.
    Sizes are geometric means over the axes, in pixels (samples, voxels). All curves of a call have one colour, the next
    of the axes' cycle; `line` are options of matplotlib's lines for all of them (color, alpha, linewidth …). `label`
    stands before the names of the curves in the legend. A TRF or stride that is drawn already (of the same network with
    other weights) is drawn once, in grey, and named by the words that both labels have. Measured sizes that a layer's
    `limited` names have hollow markers and no error, and a line is at `input_side`. `normalise`: x makes the depth run
    from 0 to 1, y divides sizes
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
    unit = (input_side or 1.0) if down else 1.0
    places = [n / max(len(layers) - 1, 1) if across else n + 1 for n in range(len(layers))]
    drawn: list[Any] = []
    for curve in (one for one in CURVES if one in curves):
        look = {**_LOOKS[curve], "label": f"{label} {CURVES[curve]}".strip(), **line}
        artists, is_new = _draw(ax, curve, layers, places, unit, look)
        if is_new and "color" not in line and "c" not in line:
            line = {**line, "color": (artists[0] if curve in _EXACT else artists[0][0]).get_color()}
        drawn += artists
    if input_side and any(is_bound(row, _METRICS[curve]) for row in layers for curve in curves if curve in _METRICS):
        _mark_input(ax, input_side / unit)
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
) -> tuple[list[Any], bool]:
    """One curve: a line, or the container of a line with its error bars; and whether it was not there before.

    Nothing where no layer has the number.
    """
    if curve in _EXACT:
        sides = [mean_side(row[_EXACT[curve]]) for row in layers]
        points = [(x, side / unit) for x, side in zip(places, sides, strict=True) if side]
        return _exact(ax, curve, points, look) if points else ([], False)
    sizes = [_measured(row, curve) for row in layers]
    measured = [(x, size / unit, error / unit) for x, (size, error) in zip(places, sizes, strict=True) if size]
    if not measured:
        return [], False
    across, values, errors = zip(*measured, strict=True)
    bars = ax.errorbar(across, values, errors, capsize=1.5, **look)
    limited = [is_bound(row, _METRICS[curve]) for row, (size, _) in zip(layers, sizes, strict=True) if size]
    _hollow(ax, [point[:2] for point, is_limited in zip(measured, limited, strict=True) if is_limited], bars[0])
    return [bars], True


def _exact(ax: Axes, curve: str, points: Sequence[tuple[float, float]], look: dict[str, Any]) -> tuple[list[Any], bool]:
    """A curve that does not depend on weights: drawn once, however often it is asked for."""
    mark, words = f"erfscope {curve}", CURVES[curve]
    for line in ax.get_lines():
        if line.get_gid() == mark and np.array_equal(line.get_xydata(), np.asarray(points)):
            both = _shared(str(line.get_label()).removesuffix(words), look["label"].removesuffix(words))
            line.set(label=f"{both} {words}".strip(), color=_GREY)
            return [line], False
    return ax.plot(*zip(*points, strict=True), **{"gid": mark, **look}), True


def _shared(one: str, other: str) -> str:
    """The words at the beginning and at the end that two labels share: `ResNet-50` of `ResNet-50, random` and so on."""
    begin = list(takewhile(_are_equal, zip(one.split(), other.split(), strict=False)))
    rest = (words.split()[len(begin) :][::-1] for words in (one, other))
    end = list(takewhile(_are_equal, zip(*rest, strict=False)))[::-1]
    return " ".join(word for word, _ in begin + end).strip(" ,;:")


def _are_equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


def _hollow(ax: Axes, points: Sequence[tuple[float, float]], line: Any) -> None:
    """Rings over the points that the input limits; the legend has one entry for all of them."""
    if not points:
        return
    look = {
        "linestyle": "none", "marker": line.get_marker(), "markersize": max(line.get_markersize(), _RING),
        "markerfacecolor": "white", "markeredgewidth": 0.8, "color": line.get_color(),
    }  # fmt: skip
    ax.plot(*zip(*points, strict=True), zorder=line.get_zorder() + 0.1, **look)
    if not any(one.get_gid() == LIMITED for one in ax.get_lines()):
        ax.plot([], [], **{**look, "marker": "o", "color": _GREY, "label": LIMITED, "gid": LIMITED})


def _mark_input(ax: Axes, side: float) -> None:
    """A line at the input's side, once for each side."""
    lines = [line for line in ax.get_lines() if line.get_gid() == INPUT]
    if all(line.get_ydata()[0] != side for line in lines):  # type: ignore[index]  # of two points
        label = "_" if lines else INPUT
        ax.axhline(side, color=_GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), label=label, gid=INPUT)


def _measured(row: Mapping[str, Any], curve: str) -> tuple[float, float]:
    """A measured size of a layer and its standard error; 0 where there is none, NaN (no bar) of what is a bound."""
    name = _METRICS[curve]
    size = row.get("erf_size") if curve == "erf" else row.get("mass", {}).get(_SHARES[curve][0], {}).get("side")
    return size or 0.0, nan if is_bound(row, name) else row.get("stderr", {}).get(name) or 0.0


def _dress(
    ax: Axes, layers: Sequence[Mapping[str, Any]], *, across: bool, down: bool, names: bool | None, was_empty: bool
) -> None:
    """Names of axes and layers, and the legend."""
    unit = unit_of(len(layers[0]["trf_size"]))
    ax.set_ylabel("size / side of the input" if down else f"size ({unit})")
    ax.grid(color="#e8e8eb", linewidth=0.5)
    entries = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] in (LIMITED, INPUT))
    ax.legend(
        *zip(*entries, strict=True),
        framealpha=0.8,
        edgecolor="none",
        handlelength=1.6,
        labelspacing=0.3,
        fontsize=_LEGEND * _points(),
    )
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


def render_layers(
    layers: Sequence[Mapping[str, Any]],
    form: str,
    page: Page = USUAL_PAGE,
    title: str = "",
    input_side: float | None = None,
) -> bytes:
    """The figure as .pdf, .svg or .png bytes; `layers` are rows of a profile or of an inspection, as JSON.

    Sizes and `input_side` as in `plot_layers`. ValueError where there is no layer, or the page is too narrow.
    """
    width = page.width or 5.0
    if width < _NARROWEST:
        raise ValueError(f"a chart along depth does not fit into {width:g} inches; give more width")
    with page.style():
        figure = Figure(figsize=(width, _HEIGHT * width), layout="constrained")
        ax = figure.add_subplot()
        for curve, shade in _SHADES.items():
            plot_layers(ax, layers, curves=[curve], color=as_shares(shade), names=True, input_side=input_side)
        ax.set_title(shortened(title, lambda text: page.length_of(text) <= 0.7 * width), parse_math=False)
        check_fits(figure)
        return encoded(figure, form, page)
