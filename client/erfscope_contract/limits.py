"""Whether a field ends where it does because the input ends there: then its size says little of the network."""

from erfscope_contract.result import Erf, ErfResult, Trf

FILLED = 0.9  # of the part of the theoretical field that lies in the input
LIMITED = "limited by the input"
AT_LEAST = "≥ "
BOUND = "limited by the input: with a larger input the ERF may be larger"


def is_limited_by_input(result: ErfResult) -> bool:
    """Whether the theoretical field reaches beyond the input or over all of it, and the effective one fills that."""
    return is_limited(result.trf, result.erf)


def is_limited(trf: Trf, erf: Erf) -> bool:
    """The same of a unit of a grid or a layer of a profile."""
    return (trf.clipped or trf.is_global) and erf.ratio_clipped is not None and erf.ratio_clipped >= FILLED


def said(result: ErfResult, metric: str, text: str) -> str:
    """What a table says of a metric: `text`, its value, but of the ratio of a field that the input limits."""
    return LIMITED if metric == "erf_ratio" and is_limited_by_input(result) else text


def bounded(result: ErfResult, metric: str, text: str) -> str:
    """As `said`, in a table that compares: the size of a field that the input limits is a bound, `≥ 28.6`."""
    return marked(metric, said(result, metric, text), is_limited_by_input(result))


def marked(metric: str, text: str, limited: bool) -> str:
    """The size of a field with the mark of a bound, where the input limits it."""
    return f"{AT_LEAST}{text}" if limited and metric == "erf_size" else text


def share_of(result: ErfResult) -> str:
    """` (28.6 %)` behind the sizes, or that the input limits the field; empty where there is no ratio."""
    if is_limited_by_input(result):
        return f" ({LIMITED})"
    return f" ({100 * result.erf.ratio:.3g} %)" if result.erf.ratio is not None else ""
