"""Which units a request means: the centre, one index, a grid, or one element by its full index."""

from collections.abc import Sequence
from itertools import product

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import GridUnits, IndexUnit, TargetOptions
from erfscope_engine.layers import Layer, Place, Unit


def places_of(target: TargetOptions, layer: Layer) -> list[Place]:
    """The units of `layer` that target.unit names, row by row. Raises ProblemError("invalid-target")."""
    if isinstance(target.unit, IndexUnit):
        return [_element(target.unit, layer)]
    if not layer.coordinates:
        raise ProblemError("invalid-target", no_coordinates(layer), layer=layer.name)
    return [Place(layer, unit) for unit in _units(target, layer)]


def _units(target: TargetOptions, layer: Layer) -> list[Unit]:
    wanted = target.unit
    if wanted == "center":
        return [layer.center]
    if isinstance(wanted, GridUnits):
        _same_rank(wanted.grid, layer)
        return list(product(*(_spread(count, n) for count, n in zip(wanted.grid, layer.grid, strict=True))))
    assert not isinstance(wanted, str | IndexUnit)
    _same_rank(wanted, layer)
    if any(i >= n for i, n in zip(wanted, layer.grid, strict=True)):
        raise ProblemError(
            "invalid-target",
            f"target.unit is {list(wanted)}, but layer {layer.name!r} has {_grid(layer)} units, counted from 0.",
            layer=layer.name,
        )
    return [tuple(wanted)]


def _element(wanted: IndexUnit, layer: Layer) -> Place:
    shape = layer.own_shape
    if len(wanted.index) != len(shape) or any(i >= n for i, n in zip(wanted.index, shape, strict=True)):
        raise ProblemError(
            "invalid-target",
            f"target.unit.index is {list(wanted.index)}, but layer {layer.name!r} has shape {shape} without the batch: "
            f"give {len(shape)} indices below it, counted from 0.",
            layer=layer.name,
        )
    return Place(layer, tuple(wanted.index), by_index=True)


def no_coordinates(layer: Layer) -> str:
    """What to do about a layer without coordinates."""
    middle = [n // 2 for n in layer.own_shape]
    return (
        f"Layer {layer.name!r} has shape {layer.own_shape}: none of its axes follows the input's space alone. Name one "
        f'element by its full index, for example target.unit {{"index": {middle}}}.'
    )


def _spread(count: int, extent: int) -> list[int]:
    """The middles of `count` equal parts of an axis (fewer where the axis is shorter)."""
    count = min(count, extent)
    return [(2 * i + 1) * extent // (2 * count) for i in range(count)]


def _same_rank(given: Sequence[int], layer: Layer) -> None:
    if len(given) != len(layer.grid):
        raise ProblemError(
            "invalid-target",
            f"target.unit has {len(given)} coordinates, but units of layer {layer.name!r} have {len(layer.grid)} "
            f"(its grid is {_grid(layer)}).",
            layer=layer.name,
        )


def _grid(layer: Layer) -> str:
    return " x ".join(map(str, layer.grid))
