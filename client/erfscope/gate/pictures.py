"""Two heatmaps of a model, before and after a change, side by side: the same part, one scale, the same colours."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from erfscope.gate.cache import Answer
from erfscope_contract.numbers import with_error
from erfscope_contract.result import ErfResult

Map = NDArray[np.floating]
MARGIN = 1.5  # of the part that is shown, around the mass of both
LEAST = 16  # pixels that are shown at least


def compressed(values: Map) -> bytes:
    """A map for the cache, in half precision: enough for a picture."""
    content = BytesIO()
    np.savez_compressed(content, map=np.asarray(values, np.float16))
    return content.getvalue()


def side_by_side(model: str, before: Answer, now: Answer) -> bytes | None:
    """Both maps as PNG; None where the cache lacks one of them."""
    from erfscope_picture.sheet import Panel, render_sheet

    if before.map is None or now.map is None:
        return None
    maps = [_map(one.map) for one in (before, now) if one.map is not None]
    part = _part(maps)
    panels = [
        Panel(values, caption, _sizes(one.result), one.result.trf.center, part)
        for values, caption, one in zip(maps, ("baseline", "now"), (before, now), strict=True)
    ]
    return render_sheet(f"{model}: ERF at {now.result.layer.name}", panels)


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


def _sizes(result: ErfResult) -> str:
    """`ERF 13.1 ± 0.2 px, TRF 19 px`."""
    trf = "×".join(map(str, dict.fromkeys(result.trf.size)))
    erf = with_error(result.erf.size, result.stderr.get("erf_size"))
    return f"ERF {erf} px, TRF {trf} px"
