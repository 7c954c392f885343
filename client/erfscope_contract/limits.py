"""Whether a field ends where it does because the input ends there: then its size says little of the network."""

from collections.abc import Mapping, Sequence

from erfscope_contract import replknet
from erfscope_contract.flat import mass_name
from erfscope_contract.numbers import at_least, plain, with_error
from erfscope_contract.result import Erf, ErfResult, LayerProfile, MassArea, Number, Trf
from erfscope_contract.roots import geometric_mean

LIMITED = "limited by the input"
GLOBAL = "global"
AT_LEAST = "≥ "
CUT = "†"
BOUNDS = {
    AT_LEAST.strip(): "limited by the input: with a larger input the value may be larger",
    CUT: "a share of an input that cuts the field: not comparable between input sizes",
}
"""What the marks of numbers mean that the input limits; none of these numbers has an error beside it."""
FIRST = 0.5  # where the outermost pixel of an axis ends, in the coordinates of pixel centres
TAIL = 0.9  # a box with more of the mass ends where the field ends


def is_limited_by_input(result: ErfResult) -> bool:
    """Whether the effective field reaches a border of the input behind which the theoretical one continues."""
    return is_limited(result.erf)


def is_limited(erf: Erf) -> bool:
    """The same of a unit of a grid or a layer of a profile."""
    return "erf_size" in erf.limited


def bounds_of(result: ErfResult) -> frozenset[str]:
    """Flat names of the metrics that the input limits, because the field ends where the input ends.

    Sizes whose pixels reach such a border; area and side of a box that reaches one, or that holds nearly all of the
    mass of a limited field; the r of RepLKNet's script that take the largest square that it tries.
    """
    is_open = result.trf.clipped or result.trf.is_global
    at_largest = replknet.at_largest(result.replknet or {}, result.input_shape[-2:]) if is_open else []
    sizes = _limited_sizes(result.erf, result.trf, result.mass, result.input_shape[1:])
    return frozenset({*sizes, *at_largest})


def bounds_of_layer(layer: LayerProfile, input_shape: Sequence[int]) -> frozenset[str]:
    """The same of one layer of a profile; `input_shape` is the result's. A limited ERF leaves no ratio either."""
    if layer.erf is None or layer.trf is None:
        return frozenset()
    sizes = _limited_sizes(layer.erf, layer.trf, layer.mass, input_shape[1:])
    return frozenset({*sizes, *(["erf_ratio"] if is_limited(layer.erf) else [])})


def _limited_sizes(erf: Erf, trf: Trf, mass: Mapping[str, MassArea], shape: Sequence[int]) -> set[str]:
    """Sizes of the field and of its boxes that the input limits."""
    boxes = {
        f"{mass_name(share)}_{what}"
        for share, area in mass.items()
        if (float(share) > TAIL and is_limited(erf)) or _reaches_border(trf, shape, area.side)
        for what in ("ratio", "side")
    }
    return {*erf.limited, *boxes}


def _reaches_border(trf: Trf, shape: Sequence[int], side: Number) -> bool:
    """Whether a box of the input's proportions around the unit covers pixels at a border that the TRF crosses."""
    if not side:
        return False
    half = side / (2 * geometric_mean(shape))
    return any(
        (center - half * n < FIRST and (low < 0 or trf.is_global))
        or (center + half * n > n - 1 - FIRST and (high > n or (trf.is_global and not trf.causal)))
        for center, (low, high), n in zip(trf.center, trf.box, shape, strict=True)
    )


def bounded(result: ErfResult, metric: str, value: Number, error: Number = None) -> str:
    """A metric of a result as people read it: `43.3 ± 0.3`, `≥ 28.6` or `0.97 †` where the input limits it.

    A ratio to a field that is global or limited has no number. `error` is the standard error; that of RepLKNet's r is
    printed as one step of its grid at least.
    """
    if metric == "erf_ratio" and is_limited_by_input(result):
        return LIMITED
    if metric == "erf_ratio" and result.trf.is_global:
        return GLOBAL
    error = printed_error(error, replknet.step_in(result, metric))
    return marked(value, error, metric, is_bound=metric in bounds_of(result))


def printed_error(error: Number, step: float) -> Number:
    """What stands behind ±: a number that lies on a grid is not known better than one step of it."""
    return max(error or 0.0, step) if step else error


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


def marked(value: Number, error: Number, metric: str, *, is_bound: bool) -> str:
    """A number with its error; one that the input limits with its mark instead, as its error is not the network's."""
    if not is_bound:
        return with_error(value, error)
    if value is None:
        return LIMITED
    return f"{plain(value)} {CUT}" if mark_of(metric) == CUT else f"{AT_LEAST}{at_least(value)}"


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
