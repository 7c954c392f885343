"""What a picture shows of a result: the marks drawn on the map and the words around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erfscope_picture.text import inert, number, product
from erfscope_picture.units import unit_of


@dataclass(frozen=True)
class Marks:
    """Plain values read from a result; the box is half-open, the centre in pixel-centre coordinates."""

    layer: str
    unit: str
    box: tuple[tuple[int, int], ...]
    center: tuple[float, ...]
    trf: str
    metrics: str


def read(result: Mapping[str, Any], rank: int) -> Marks:
    """The marks of an ErfResult given as JSON object; ValueError where its rank is not the map's."""
    trf = result["trf"]
    if not len(trf["box"]) == len(trf["center"]) == rank:
        raise ValueError(f"the map has {rank} axes, but the result's TRF box has {len(trf['box'])}")
    return Marks(
        layer=inert(str(result["layer"]["name"])) or "(unnamed layer)",
        unit="unit (" + ", ".join(str(i) for i in result["unit"]) + ")",
        box=tuple((int(start), int(stop)) for start, stop in trf["box"]),
        center=tuple(float(c) for c in trf["center"]),
        trf=_trf(trf),
        metrics=_metrics(result),
    )


def _trf(trf: Mapping[str, Any]) -> str:
    if trf["global"]:
        local = trf.get("local_box")  # results of older versions have none
        sizes = [stop - start for start, stop in local or ()]
        return f"TRF: global ({product(sizes)} without statistics)" if local else "TRF: global (whole input)"
    return f"TRF {product(trf['size'])}{' (clipped)' if trf['clipped'] else ''}"


def _metrics(result: Mapping[str, Any]) -> str:
    """One line of figures; what is undefined for this map is left out."""
    trf, erf, mass = result["trf"], result["erf"], result["mass"].get("0.50")
    sizes, used = trf["size"], result["samples"]["used"]
    unit = unit_of(len(sizes))
    side = str(sizes[0]) if len(set(sizes)) == 1 else product(sizes)
    parts = [
        f"ERF {number(erf['size'])} {unit}" if erf["size"] is not None else "",
        "TRF global" if trf["global"] else f"TRF {side} {unit}",
        f"ratio {erf['ratio']:.2f}" if erf["ratio"] is not None else "",
        f"centred box with 50 % of the mass {number(mass['side'])} {unit}" if mass and mass["side"] is not None else "",
        f"{used} sample{'' if used == 1 else 's'}",
        inert(str(result["provenance"]["statistic"])),
    ]
    return " · ".join(part for part in parts if part)
