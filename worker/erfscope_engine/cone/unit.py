"""The cone of one unit, or of several that share their forward runs, and what a cone holds in memory."""

from collections.abc import Sequence
from math import prod

from erfscope_engine.cone.box import lengths
from erfscope_engine.cone.program import Cone, Target
from erfscope_engine.layers import Layer, Traced

Place = tuple[Layer, tuple[int, ...]]  # a layer and a unit of it
WORTH_SHARING = 0.5  # of the common cone: a unit with a much smaller cone of its own is cheaper alone


def cone_of(traced: Traced, places: Sequence[Place]) -> Cone:
    """The cone that holds these units: all samples, all channels."""
    return Cone.of(traced.tape, [_target(layer, unit) for layer, unit in places])


def _target(layer: Layer, unit: tuple[int, ...]) -> Target:
    at = layer.place(unit)
    return layer.value, tuple((at[k], at[k] + 1) if k in at else (0, n) for k, n in enumerate(layer.shape))


def bytes_of(traced: Traced, cone: Cone, values: Sequence[int] | None = None) -> int:
    """Bytes of the tensors of a cone (of some of its values): about what a run keeps for its way back."""
    known, entries = traced.tape.values, traced.tape.entries
    chosen = cone.boxes if values is None else [index for index in values if index in cone.boxes]
    own = [index for index in chosen if (made := known[index].entry) is None or not entries[made].op.is_view]
    return sum(prod(lengths(cone.boxes[index])) * known[index].dtype.itemsize for index in own)


def sharing(traced: Traced, places: Sequence[Place]) -> list[list[int]]:
    """Which units run together: those whose own cone is a good part of the common one; the others alone."""
    if len(places) == 1:
        return [[0]]
    common = cone_of(traced, places)
    together, alone = list[int](), list[list[int]]()
    for n, place in enumerate(places):
        own = cone_of(traced, [place])
        worth = bytes_of(traced, own) >= WORTH_SHARING * bytes_of(traced, common, list(own.boxes))
        together.append(n) if worth else alone.append([n])
    return [*([together] if together else []), *alone]
