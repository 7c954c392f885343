"""What a network costs up to a layer, and what each of its layers adds to the receptive field."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from erfscope_contract.advice import AdviceLayer
from erfscope_contract.result import LayerProfile
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.metrics import Geometry
from erfscope_engine.metrics.luo import pixels_around, sizes
from erfscope_engine.metrics.patch import cut
from erfscope_engine.recording.tape import Call, Ref, Tape

IDLE = 0.01  # share of its ERF that a layer must add


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one input, and weights, up to a layer."""

    macs: int
    parameters: int


def cost_of(traced: Traced, layer: Layer) -> Cost:
    """Convolutions and matrix products that lead to a layer."""
    tape = traced.tape
    entries = tape.ancestors([layer.value])
    return Cost(sum(_macs(tape, entry) for entry in entries) // tape.batch, sum(map(_parameters, entries)))


def _macs(tape: Tape, entry: Call) -> int:
    name = entry.name
    made = entry.outputs[0]
    if made is None:
        return 0
    out = tape.values[made].shape
    if name == "convolution":
        weight = _shape(tape, entry.args[1])
        transposed = bool(entry.args[6])
        positions = prod(_shape(tape, entry.args[0])[2:] if transposed else out[2:])
        return out[0] * positions * prod(weight)
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        left = entry.args[1] if name.startswith(("add", "badd")) else entry.args[0]
        return prod(out) * _shape(tape, left)[-1]
    return 0


def _shape(tape: Tape, item: Ref | Tensor) -> tuple[int, ...]:
    return tape.values[item.index].shape if isinstance(item, Ref) else tuple(item.shape)


def _parameters(entry: Call) -> int:
    """Weights of layers and of normalisations (statistics are none); a repeated matrix counts once."""
    name = entry.name
    if name not in ("convolution", "mm", "bmm", "addmm", "baddbmm") and "norm" not in name:
        return 0
    given = entry.args[1:3] if name == "convolution" or "norm" in name else entry.args
    held = [item for item in given if isinstance(item, Tensor)]
    return sum(prod(n for n, stride in zip(t.shape, t.stride(), strict=True) if stride != 0 or n == 1) for t in held)


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
