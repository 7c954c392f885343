"""Whether a field ends where it does because the input ends there: then its size says little of the network."""

from collections.abc import Sequence

from erfscope_contract import replknet
from erfscope_contract.flat import mass_name
from erfscope_contract.numbers import MISSING
from erfscope_contract.result import Erf, ErfResult, Number, Trf

FILLED = 0.9  # of the part of the theoretical field that lies in the input
LIMITED = "limited by the input"
GLOBAL = "global"
AT_LEAST = "≥ "
CUT = "†"
BOUNDS = {
    AT_LEAST.strip(): "limited by the input: with a larger input the value may be larger",
    CUT: "a share of an input that cuts the field: not comparable between input sizes",
}
"""What the marks of numbers mean that the input limits."""
SURE = 2.0  # standard errors


def is_limited_by_input(result: ErfResult) -> bool:
    """Whether the theoretical field reaches beyond the input or over all of it, and the effective one fills that.

    Within two standard errors: a size of 200 ± 13 px on 224 may well be one that the input ends.
    """
    return is_limited(result.trf, result.erf, result.stderr.get("erf_size"))


def is_limited(trf: Trf, erf: Erf, error: Number = None) -> bool:
    """The same of a unit of a grid or a layer of a profile; `error` is that of the ERF's size."""
    if not (trf.clipped or trf.is_global) or erf.ratio_clipped is None:
        return False
    return erf.ratio_clipped * (1 + SURE * (error or 0.0) / (erf.size or 1.0)) >= FILLED


def bounds_of(result: ErfResult) -> frozenset[str]:
    """Flat names of the metrics that the input limits, because the field ends where the input ends.

    The ERF's size of a field that fills the input; area and side of a box that takes 0.9 of the input, or of the
    largest square that RepLKNet's script tries, where the theoretical field reaches beyond the input or over all of it.
    """
    size = {"erf_size"} if is_limited_by_input(result) else set()
    if not (result.trf.clipped or result.trf.is_global):
        return frozenset(size)
    boxes = {
        f"{mass_name(share)}_{what}"
        for share, area in result.mass.items()
        if (area.ratio or 0.0) >= FILLED
        for what in ("ratio", "side")
    }
    return frozenset(size | boxes | set(replknet.at_largest(result.replknet or {}, result.input_shape[-2:], FILLED)))


def said(result: ErfResult, metric: str, text: str) -> str:
    """What a table says of a metric: `text`, its value, but of the ratio to a field that is global or limited."""
    if metric != "erf_ratio":
        return text
    if is_limited_by_input(result):
        return LIMITED
    return GLOBAL if result.trf.is_global else text


def bounded(result: ErfResult, metric: str, text: str) -> str:
    """As `said`, and a number that the input limits has its mark, `≥ 28.6` or `0.97 †`."""
    return marked(said(result, metric, text), metric, is_bound=metric in bounds_of(result))


def mark_of(metric: str) -> str:
    """How a number of this metric is marked where the input limits it: a length is at least that, a share is not."""
    return CUT if metric.endswith("_ratio") or metric.startswith("replknet_") else AT_LEAST.strip()


def count_of(notes: Sequence[str]) -> str:
    """What the short form of a result tells of its notes; empty without any."""
    return f"; {len(notes)} note{'s' * (len(notes) != 1)} in .notes" if notes else ""


def legends(*results: ErfResult) -> list[str]:
    """A line for each mark that these results need, with what it means."""
    marks = {mark_of(metric) for result in results for metric in bounds_of(result)}
    return [f"{mark} {words}" for mark, words in BOUNDS.items() if mark in marks]


def legend_of(result: ErfResult, metric: str) -> str:
    """What the mark of one metric means; empty where it has none."""
    if metric not in bounds_of(result):
        return ""
    return f" {mark_of(metric)}: {BOUNDS[mark_of(metric)]}."


def marked(text: str, metric: str, *, is_bound: bool) -> str:
    """A number with the mark of what the input limits, where it does; what has no value for that reason says so."""
    if not is_bound:
        return text
    if text == MISSING:
        return LIMITED
    return f"{text} {CUT}" if mark_of(metric) == CUT else f"{AT_LEAST}{text}"


def share_of(result: ErfResult) -> str:
    """` (28.6 %)` behind the sizes, or that the input limits the field; empty where there is no ratio."""
    if is_limited_by_input(result):
        return f" ({LIMITED})"
    if result.trf.is_global:
        return ""
    return f" ({100 * result.erf.ratio:.3g} %)" if result.erf.ratio is not None else ""


def trf_words(result: ErfResult) -> str:
    """`43x43 px` in a short form of a result, or that the unit sees all of the input."""
    return "global" if result.trf.is_global else f"{'x'.join(map(str, result.trf.size))} px"


def limited_areas(result: ErfResult) -> str:
    """`, r 99 % limited by the input` behind a short form of a result by RepLKNet's script; empty for others."""
    names = bounds_of(result) & set(replknet.ratios(result.replknet or {}))
    shares = ", ".join(f"r {name.rpartition('_')[2]} %" for name in sorted(names))
    return f", {shares} {LIMITED}" if names else ""
