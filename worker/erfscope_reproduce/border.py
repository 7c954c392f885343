"""S18: units near the border of the input."""

import numpy as np

from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.compare import ratio_row
from erfscope_reproduce.draw import Axis, Series, chart, sheet
from erfscope_reproduce.finding import Finding, Picture, Row
from erfscope_reproduce.judge import above

NET = "preset:plain-10-relu"  # TRF 21 in an input of 41: only the middle units see their whole TRF
LAST = 40  # the last unit on an axis


def border_units(bench: Bench) -> Finding:
    """S18: ERF size by position: a grid of units, and the middle, an edge and a corner by themselves."""
    draws = bench.choose(40, 200)
    places = {"middle": [LAST // 2, LAST // 2], "edge": [0, LAST // 2], "corner": [0, 0]}
    shots = {name: bench.measure(NET, unit=unit, inputs=1, draws=draws) for name, unit in places.items()}
    rows = [
        ratio_row(
            "S18",
            f"a unit {words} has a smaller ERF than the middle one",
            pair,
            "erf_size",
            grows=False,
            published="not treated",
        )
        for words, pair in {
            "at an edge": (shots["edge"], shots["middle"]),
            "in a corner": (shots["corner"], shots["middle"]),
        }.items()
    ]
    rows += [_offset_row(shots["edge"])]
    return Finding(
        rows,
        [_maps(shots), _grid_picture(bench), _line_picture(bench)],
        "Zero padding cuts the map off at the border: what is left stays in place, its centre of mass moves inwards.",
    )


def _offset_row(edge: Shot) -> Row:
    offset = edge.quantity("offset_y")
    return Row(
        id="S18",
        claim="at the upper edge the centre of mass lies below the unit",
        published="not given",
        ours=offset,
        unit="px",
        verdict=above(offset, 0.0),
        how=edge.how,
    )


def _maps(shots: dict[str, Shot]) -> Picture:
    panels = [(shot.map, name) for name, shot in shots.items()]
    return Picture(
        "s18-maps", sheet("A unit in the middle, at an edge, in a corner", panels), "10 layers, TRF 21, input 41×41."
    )


def _grid_picture(bench: Bench) -> Picture:
    side = bench.choose(5, 11)
    shot = bench.measure(NET, unit={"grid": [side, side]}, inputs=1, draws=bench.choose(6, 40))
    sizes = np.array([entry.erf.size or 0.0 for entry in shot.result.units]).reshape(side, side)
    caption = f"ERF {sizes.min():.1f} to {sizes.max():.1f} px"
    axes = ("row of the grid", "column of the grid")
    png = sheet(f"ERF size by position, {side}×{side} units", [(sizes / sizes.max(), caption)], axes=axes)
    return Picture("s18-grid", png, "Each cell is a unit; its colour is the size of its ERF.")


def _line_picture(bench: Bench) -> Picture:
    shot = bench.measure(NET, unit={"grid": [1, bench.choose(11, LAST + 1)]}, inputs=1, draws=bench.choose(12, 100))
    across = [entry.unit[1] for entry in shot.result.units]
    sizes = [entry.erf.size or 0.0 for entry in shot.result.units]
    errors = [entry.stderr.get("erf_size") or 0.0 for entry in shot.result.units]
    series = [Series("ERF size", across, sizes, errors)]
    png = chart("Units of the middle row", Axis("column of the unit (px)"), Axis("ERF size (px)"), series)
    return Picture("s18-row", png, "The TRF of units within 10 px of a border is cut by it.")
