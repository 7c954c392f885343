"""The cone of a unit of a layer, and what it holds in memory."""

from math import prod

from erfscope_engine.cone.box import lengths
from erfscope_engine.cone.program import Cone
from erfscope_engine.layers import Layer, Traced


def cone_of(traced: Traced, layer: Layer, unit: tuple[int, ...]) -> Cone:
    """The cone of a unit: all samples, all channels, one place."""
    at = layer.place(unit)
    box = tuple((at[k], at[k] + 1) if k in at else (0, n) for k, n in enumerate(layer.shape))
    return Cone.of(traced.tape, layer.value, box)


def bytes_of(traced: Traced, cone: Cone) -> int:
    """Bytes of all tensors of a cone: about what a run keeps for its way back."""
    values, entries = traced.tape.values, traced.tape.entries
    own = [index for index in cone.boxes if (made := values[index].entry) is None or not entries[made].op.is_view]
    return sum(prod(lengths(cone.boxes[index])) * values[index].dtype.itemsize for index in own)
