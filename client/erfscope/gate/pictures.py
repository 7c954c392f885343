"""Two heatmaps of a model, before and after a change, side by side: the same part, one scale, the same colours."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from erfscope.gate.cache import Answer
from erfscope.gate.judge import Value, shown, values
from erfscope_contract.limits import bounded
from erfscope_contract.result import ErfResult

Map = NDArray[np.floating]
MARGIN = 1.5  # of the part that is shown, around the mass of both
LEAST = 16  # pixels that are shown at least
SIZES = ("erf_size", "trf_size")  # every picture has them
MOST = 1  # further metrics of a picture: a caption has one line
SHORT = {"mass_50_side": "50 % box", "mass_90_side": "90 % box", "mass_99_side": "99 % box"}


def compressed(values: Map) -> bytes:
    """A map for the cache, in half precision: enough for a picture."""
    content = BytesIO()
    np.savez_compressed(content, map=np.asarray(values, np.float16))
    return content.getvalue()


def side_by_side(model: str, sides: Mapping[str, Answer | None], metrics: Sequence[str]) -> bytes | None:
    """The maps of two sides by their captions as PNG, with these metrics; None where the cache lacks one of them."""
    from erfscope_picture.sheet import Panel, render_sheet

    drawn = {
        caption: (_map(one.map), one.result)
        for caption, one in sides.items()
        if one is not None and one.map is not None
    }
    if len(drawn) < len(sides):
        return None
    part = _part([field for field, _ in drawn.values()])
    results = [result for _, result in drawn.values()]
    first = values(results[0])
    panels = [
        Panel(
            field, _caption(caption, result, first, metrics), _sizes(result, first), result.trf.center, part,
            result.trf.box,
        )
        for caption, (field, result) in drawn.items()
    ]  # fmt: skip
    layer = results[-1].layer.name
    return render_sheet(f"{model}: ERF at {layer}", panels)


def _caption(side: str, result: ErfResult, first: Mapping[str, Value], metrics: Sequence[str]) -> str:
    """`now: 50 % box 4.76 ± 0.03 px (-62 %)`: of the metrics the first one that the line below lacks."""
    known = values(result)
    told = [
        f"{SHORT.get(name, name)} {shown(name, known[name])}{_change(known, first, name)}"
        for name in metrics
        if name in known and name not in SIZES
    ][:MOST]
    return f"{side}: {', '.join(told)}" if told else side


def _change(known: Mapping[str, Value], first: Mapping[str, Value], name: str) -> str:
    """` (-62 %)`: how a metric differs from that of the first side; empty where it does not."""
    before, now = (side[name].value if name in side else None for side in (first, known))
    share = 100 * (now - before) / abs(before) if before and now is not None else 0.0
    return f" ({share:+.0f} %)" if abs(share) >= 0.5 else ""


def _map(content: bytes) -> NDArray[np.float64]:
    with np.load(BytesIO(content)) as arrays:
        return np.asarray(arrays["map"], np.float64)


def _part(maps: list[NDArray[np.float64]]) -> "tuple[tuple[int, int], tuple[int, int]] | None":
    """Rows and columns with the mass of both maps; None, which is all, where inputs differ or are no planes."""
    from erfscope_picture.zoom import mass_spans, widened

    if maps[0].shape != maps[1].shape or maps[0].ndim != 2 or not all(values.any() for values in maps):
        return None
    spans = [
        (min(start for start, _ in axis), max(stop for _, stop in axis))
        for axis in zip(*map(mass_spans, maps), strict=True)
    ]
    side = max(LEAST, *(round((stop - start) * MARGIN) for start, stop in spans))
    rows, columns = (widened(span, side, limit) for span, limit in zip(spans, maps[0].shape, strict=True))
    return rows, columns


def _sizes(result: ErfResult, first: Mapping[str, Value]) -> str:
    """`ERF 13.1 ± 0.2 px (+12 %), TRF 19 px (-46 %)`."""
    known = values(result)
    trf = "×".join(map(str, dict.fromkeys(result.trf.size)))
    erf = bounded(result, "erf_size", result.erf.size, result.stderr.get("erf_size"))
    changed = [_change(known, first, name) for name in SIZES]
    return f"ERF {erf} px{changed[0]}, TRF {trf} px{changed[1]}"
