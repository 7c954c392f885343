"""What each layer of a network adds to the receptive field."""

from collections.abc import Sequence
from math import prod
from typing import Any

from numpy.typing import NDArray

from erfscope_contract.advice import AdviceLayer
from erfscope_contract.result import LayerProfile
from erfscope_engine.layers import Traced
from erfscope_engine.metrics import Geometry
from erfscope_engine.metrics.luo import pixels_around, sizes
from erfscope_engine.metrics.patch import cut
from erfscope_engine.recording.tape import Tape

IDLE = 0.01  # share of its ERF that a layer must add


def profile_of(
    traced: Traced, rows: Sequence[LayerProfile], maps: Sequence[NDArray[Any]] | NDArray[Any]
) -> list[AdviceLayer]:
    """Each measured layer with what it adds to the largest ERF among the layers that it reads; `maps` are the rows'."""
    values = {layer.name: layer.value for layer in traced.layers}
    known = {values[row.name]: row for row in rows if row.name in values}
    smooth = {values[row.name]: _smooth_size(row, m) for row, m in zip(rows, maps, strict=True) if row.name in values}
    found = []
    for value, row in known.items():
        readable = _read_by(traced.tape, value, set(known))
        before, size = [known[index] for index in readable], smooth[value]
        largest = max((n for index in readable if (n := smooth[index]) is not None), default=1.0)
        adds = None if size is None else size - largest
        grew = all(prod(row.trf_size) > prod(one.trf_size) for one in before)
        idle = grew and adds is not None and adds < IDLE * (row.erf_size or 0.0)
        found.append(
            AdviceLayer(
                name=row.name, operator=row.operator, trf_size=row.trf_size, erf_size=row.erf_size, adds=adds, idle=idle
            )
        )
    return found


def _smooth_size(row: LayerProfile, m: NDArray[Any]) -> float | None:
    """ERF size that grows with every layer: a count of whole pixels would call every second of equal layers idle."""
    assert row.trf is not None  # every measured row has one
    geometry = Geometry(tuple(row.trf.center), tuple(row.trf.box), m.shape, tuple(row.trf.stride))
    return sizes(cut(m, geometry), pixels_around).size


def _read_by(tape: Tape, value: int, named: set[int]) -> set[int]:
    """The nearest named tensors that a value is computed from."""
    found: set[int] = set()
    seen: set[int] = {value}
    stack = [value]
    while stack:
        made = tape.values[stack.pop()].made
        for ref in [] if made is None else tape.calls[made].refs:
            if ref.index in seen:
                continue
            seen.add(ref.index)
            if ref.index in named:
                found.add(ref.index)
            else:
                stack.append(ref.index)
    return found
