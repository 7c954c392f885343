"""Heads and levels of a network: what its outputs are computed from, and the last layer of each stage.

A stage is a run of layers of one stride. Its level is the last layer that everything which leaves the stage passes:
of a residual stage the last sum, of a U-Net's encoder what goes down and across, of a pyramid the merged map.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from erfscope_engine.geometry.digits import Digit
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.operators.table import is_pointwise
from erfscope_engine.plan import Plan
from erfscope_engine.recording.tape import Call, Drawn, Tape

PLACED = "grid_sampler"  # its constants are places, not weights
COPIES = ("clone", "_unsafe_view", "contiguous")  # moves that are no views to torch
Strides = tuple[Fraction, ...]
Values = frozenset[int]


@dataclass(frozen=True)
class Level:
    """A layer to look at; a head is one that an output is computed from without another layer in between."""

    layer: Layer
    is_head: bool


def levels_of(traced: Traced, outputs: Sequence[str]) -> list[Level]:
    """Heads and levels in the order of computation; without heads (no output is named) the levels alone.

    Weights lie between the input and each of them, where the network has any.
    """
    graph = Graph.of(traced)
    return [level for level in _candidates(graph, outputs) if graph.is_learnt(level.layer.value)]


def passed_over(traced: Traced, outputs: Sequence[str]) -> list[str]:
    """Names of the layers that would be heads or levels if weights lay between the input and them."""
    graph = Graph.of(traced)
    return [one.layer.name for one in _candidates(graph, outputs) if not graph.is_learnt(one.layer.value)]


def _candidates(graph: "Graph", outputs: Sequence[str]) -> list[Level]:
    heads, levels = graph.heads(outputs), graph.levels()
    return [
        Level(layer, value in heads)
        for value, layer in sorted(graph.layers.items())
        if value in heads or value in levels
    ]


def coarsest_before(plan: Plan) -> str | None:
    """The last level of the coarsest grid that the plan's layer is computed from; None where that is its own grid."""
    levels = [one.layer for one in levels_of(plan.traced, ()) if one.layer.value < plan.layer.value]
    if not levels:
        return None
    steps = [max(layer.stride(axis) or Fraction(0) for axis in plan.traced.space) for layer in levels]
    own = max(plan.layer.stride(axis) or Fraction(0) for axis in plan.traced.space)
    return (
        max(zip(steps, levels, strict=True), key=lambda pair: (pair[0], pair[1].value))[1].name
        if max(steps) > own
        else None
    )


def is_even(traced: Traced, layer: Layer) -> bool:
    """Whether its units lie evenly along every axis of the input, and a gradient passes."""
    strides = [layer.stride(axis) for axis in traced.space]
    return (
        layer.frame is not None
        and traced.tape.values[layer.value].live
        and all(stride is not None and stride > 0 for stride in strides)
        and not _is_joined(layer)
    )


def _is_flattened(tape: Tape, layer: Layer, even: Container[int]) -> bool:
    """Whether it is another even layer with its grid flattened into one axis, and nothing computed in between."""
    if all(coordinate.pitch == 1 and not coordinate.lead for coordinate in layer.coordinates):
        return False
    made = tape.values[layer.value].made
    while made is not None and (getattr(tape.calls[made].op, "is_view", False) or tape.calls[made].name in COPIES):
        source = tape.calls[made].refs[0].index
        if source in even:
            return True
        made = tape.values[source].made
    return False


def _is_joined(layer: Layer) -> bool:
    """Whether maps of several strides lie behind one another on an axis, as detectors return them."""
    assert layer.frame is not None  # only recorded layers are asked
    digits = [digit for coordinate in layer.coordinates for digit in layer.frame.axes[coordinate.axis]]
    return any(len(_strides_joined(digit)) > 1 for digit in digits)


def _is_learnt(call: Call) -> bool:
    """Whether it is a linear operator with weights; those of a normalisation have one axis."""
    if is_pointwise(call.op) or call.name.startswith(PLACED):
        return False
    stored = [one.values if isinstance(one, Drawn) else one for one in call.constants if one.dim() > 1]
    return any(one.is_floating_point() for one in stored)


def _strides_joined(digit: Digit) -> set[tuple[Fraction, ...]]:
    pieces = [[one.stride for one in piece.digits if one.axis is not None] for piece in digit.pieces]
    return {tuple(strides) for strides in pieces if strides}


@dataclass(frozen=True)
class Graph:
    """The layers with an even grid, by value of the tape; for every value, the nearest of them that it is made from."""

    traced: Traced
    layers: Mapping[int, Layer]
    strides: Mapping[int, Strides]
    sources: Mapping[int, Values]
    before: Mapping[int, Values]
    learnt: Values

    @classmethod
    def of(cls, traced: Traced) -> "Graph":
        """From the tape, in the order of computation."""
        even = {layer.value: layer for layer in traced.layers if is_even(traced, layer)}
        layers = {value: layer for value, layer in even.items() if not _is_flattened(traced.tape, layer, even)}
        sources, before, learnt = dict[int, Values](), dict[int, Values](), set[int]()
        for index, value in enumerate(traced.tape.values):
            refs = [] if value.made is None else traced.tape.calls[value.made].refs
            nearest = frozenset().union(*(sources[ref.index] for ref in refs)) if refs else frozenset[int]()
            before[index] = nearest
            if value.made is not None and (
                _is_learnt(traced.tape.calls[value.made]) or any(ref.index in learnt for ref in refs)
            ):
                learnt.add(index)
            sources[index] = frozenset({index}) if index in layers else nearest
        strides = {
            value: tuple(layer.stride(axis) or Fraction(0) for axis in traced.space) for value, layer in layers.items()
        }
        return cls(traced, layers, strides, sources, before, frozenset(learnt))

    def heads(self, outputs: Sequence[str]) -> Values:
        """The nearest even layers that the outputs are made from."""
        values = [self.traced.tape.names[name] for name in outputs if name in self.traced.tape.names]
        nearest = frozenset().union(*(self.sources[value] for value in values)) if values else frozenset[int]()
        return self._computed(nearest)

    def is_learnt(self, value: int) -> bool:
        """Whether a linear operator with weights leads to it; true of all in a network that has none."""
        return value in self.learnt or not self.learnt

    def levels(self) -> Values:
        """One layer for each stage: the last on every way out of it."""
        last, first = self._last_on_every_way(), dict[tuple[Strides, Values], int]()
        for value, entries in self._entries().items():
            first.setdefault((self.strides[value], entries), value)
        return self._computed(frozenset(last[value] for value in first.values()))

    def _computed(self, values: Values) -> Values:
        """Those that are not the input itself, moved or scaled."""
        return frozenset(v for v in values if v not in self.traced.rearranged)

    def _entries(self) -> dict[int, Values]:
        """By layer: where the ways to it came into its stride."""
        entries = dict[int, Values]()
        for value in sorted(self.layers):
            same = [one for one in self.before[value] if self.strides[one] == self.strides[value]]
            enters = not same or len(same) < len(self.before[value])
            behind = frozenset().union(*(entries[one] for one in same))
            entries[value] = behind | {value} if enters else behind
        return entries

    def _last_on_every_way(self) -> dict[int, int]:
        """By layer: the last one of its stride that every way from it to another stride or to an end passes."""
        after = dict[int, list[int]]()
        for value in self.layers:
            for one in self.before[value]:
                after.setdefault(one, []).append(value)
        common = dict[int, Values]()
        for value in sorted(self.layers, reverse=True):
            ways = after.get(value, [])
            stays = bool(ways) and all(self.strides[one] == self.strides[value] for one in ways)
            shared = frozenset.intersection(*(common[one] for one in ways)) if stays else frozenset[int]()
            common[value] = shared | {value}
        return {value: max(passed) for value, passed in common.items()}
