"""Which units a request means: the centre, one index, or a grid."""

from collections.abc import Sequence
from itertools import product

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import GridUnits, TargetOptions
from erfscope_engine.layers import Layer

Unit = tuple[int, ...]


def center_of(layer: Layer) -> Unit:
    """The unit at shape // 2 on every axis."""
    return tuple(n // 2 for n in layer.grid)


def units_of(target: TargetOptions, layer: Layer) -> list[Unit]:
    """The units of `layer` that target.unit names, row by row. Raises ProblemError("invalid-target")."""
    wanted = target.unit
    if wanted == "center":
        return [center_of(layer)]
    if isinstance(wanted, GridUnits):
        _same_rank(wanted.grid, layer)
        return list(product(*(_spread(count, n) for count, n in zip(wanted.grid, layer.grid, strict=True))))
    assert not isinstance(wanted, str)
    _same_rank(wanted, layer)
    if any(i >= n for i, n in zip(wanted, layer.grid, strict=True)):
        raise ProblemError(
            "invalid-target",
            f"target.unit is {list(wanted)}, but layer {layer.name!r} has {_grid(layer)} units, counted from 0.",
            layer=layer.name,
        )
    return [tuple(wanted)]


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
