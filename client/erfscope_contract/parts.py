"""Which of a job's maps is meant: the main one, that of one unit of a grid, or of one layer of a profile."""

from collections.abc import Sequence
from dataclasses import dataclass

from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult, LayerProfile, UnitEntry

MAP, UNITS, LAYERS, IMAGE = "map", "units", "layers", "image"
"""Names of stored arrays. `units` and `layers` are stacks of maps, in the order of the result's lists of that name;
`image` is uint8 [H, W, 3]."""
SHARD = {"sums": "<f8", "counts": "<i8", "plan": "<i8"}
"""Names of a shard's arrays, all flat, and their number types."""
NO_IMAGE = "There is no image to draw the map over: the samples were not two-dimensional images (input.source)."
MOST_NAMED = 64  # of what there is, in a 404
_OF_THE_MAIN_UNIT: dict[str, None] = {"verify": None, "replknet": None}  # what is measured of no other


@dataclass(frozen=True)
class Part:
    """A stored array, or one row of a stack; `result` is what a picture of it says."""

    array: str
    index: int | None
    result: ErfResult


def select(result: ErfResult, unit: str | None, layer: str | None) -> Part:
    """The part that a request names; the main unit and the target layer are the main map's.

    Raises:
        ProblemError: `invalid-request` for both at once, `not-found` for what was not measured or not kept.
    """
    if unit is not None and layer is not None:
        raise ProblemError("invalid-request", "Give unit or layer, not both.")
    if unit is not None:
        return _of_unit(result, [int(i) for i in unit.split(",")])
    if layer is not None:
        return _of_layer(result, layer)
    return Part(MAP, None, result)


def _of_unit(result: ErfResult, unit: list[int]) -> Part:
    if unit == result.unit:
        return Part(MAP, None, result)
    rows: Sequence[UnitEntry] = result.units
    for index, row in enumerate(rows):
        if row.unit == unit:
            _require_kept("unit", result.maps.units)
            said = {"unit": row.unit, "trf": row.trf, "erf": row.erf, "mass": row.mass, "samples": row.samples}
            more = {"scale_log2": row.scale_log2, "stderr": row.stderr, **_OF_THE_MAIN_UNIT}
            return Part(UNITS, index, result.model_copy(update={**said, **more}))
    names = [",".join(map(str, one)) for one in [result.unit, *(row.unit for row in rows)]]
    raise _unknown("unit", ",".join(map(str, unit)), names, "a grid (target.unit) measures more")


def _of_layer(result: ErfResult, layer: str) -> Part:
    if layer == result.layer.name:
        return Part(MAP, None, result)
    rows: Sequence[LayerProfile] = result.layers
    for index, row in enumerate(rows):
        if row.name == layer:
            _require_kept("layer", result.maps.layers and row.trf is not None)
            target = {"name": row.name, "operator": row.operator, "shape": row.shape, "passed_over": []}
            said = {"unit": row.unit, "trf": row.trf, "erf": row.erf, "mass": row.mass, "scale_log2": row.scale_log2}
            more = {"samples": row.samples or result.samples, "stderr": row.stderr, **_OF_THE_MAIN_UNIT}
            layer_info = result.layer.model_copy(update=target)
            return Part(LAYERS, index, result.model_copy(update={**said, **more, "layer": layer_info}))
    names = [result.layer.name, *(row.name for row in rows)]
    raise _unknown("layer", layer, names, "layers='all' measures more")


def _require_kept(what: str, is_kept: bool) -> None:
    if not is_kept:
        raise ProblemError(
            "not-found", f"The maps of each {what} were too large together to be kept; measure this {what} alone."
        )


def _unknown(what: str, asked: str, names: Sequence[str], hint: str) -> ProblemError:
    there = list(dict.fromkeys(names))
    more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    listed = f"{'; '.join(name[:200] for name in there[:MOST_NAMED])}{more}"
    return ProblemError(
        "not-found",
        f"This job has no map of {what} {asked[:200]!r}; it has: {listed} ({hint}).",
        available=[name[:200] for name in there[:MOST_NAMED]],
    )
