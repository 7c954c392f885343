"""A spec written out: blocks and repeats become one list of steps with named outputs and resolved inputs.

Names. A layer's segment is its `name`, or `<type>_<index in its list>`; segments are joined by dots, and a
repeated block puts the number of the pass in between: `repeat_0.2.conv_1`, `layer3.shortcut.conv_0`,
`parallel_4.1.conv_0`. A residual, parallel or dense block's own name is its output (`layer3`), a sequential's
or repeat's an alias of its last layer. `inputs` finds a layer by its segment or its whole path; a segment
that is used several times (in repeats, say) means the latest one.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from erfscope_contract.architecture import layers as leaf
from erfscope_contract.architecture import pointwise
from erfscope_contract.architecture.base import InitSpec, Layer, Weighted
from erfscope_contract.architecture.spec import (
    AnyLayer,
    Architecture,
    Dense,
    Parallel,
    Repeat,
    Residual,
    Sequential,
)
from erfscope_contract.problem import ProblemError

INPUT = -1  # the value that stands for the network's input; any other is the index of the step that makes it
MERGES: dict[str, type[leaf.Concat | leaf.Add | leaf.Multiply]] = {
    "concat": leaf.Concat,
    "add": leaf.Add,
    "multiply": leaf.Multiply,
}


@dataclass(frozen=True)
class Step:
    """One layer to run: its unique name, what it takes (step indices or INPUT), its place in the spec."""

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    path: str
    init: InitSpec

    @property
    def operator(self) -> str:
        """The layer's type."""
        return self.layer.type

    @property
    def place(self) -> str:
        """How errors call it: layers[3].layers[1] (conv "skip")."""
        return _place(self.path, self.layer)


@dataclass(frozen=True)
class Plan:
    """All steps in order, and the other names by which people may call their outputs."""

    steps: tuple[Step, ...]
    aliases: dict[str, str]


@dataclass(frozen=True)
class _Place:
    """Where in the spec a layer or a list of layers stands."""

    path: str  # layers[3], or layers[3].layers for a list
    name: str  # block.2.conv_0, or block.2 for a list; empty for the outermost
    init: InitSpec

    def inside(self, part: str, *names: object) -> "_Place":
        """The place of a list inside this layer."""
        return _Place(f"{self.path}.{part}", ".".join(map(str, (self.name, *names))), self.init)

    def item(self, index: int, segment: str) -> "_Place":
        """The place of a layer of this list."""
        return _Place(f"{self.path}[{index}]", f"{self.name}.{segment}" if self.name else segment, self.init)

    def named(self, suffix: str) -> "_Place":
        """The same place under a longer name: a step that a block adds."""
        return replace(self, name=f"{self.name}.{suffix}")


@dataclass
class _Writer:
    """Collects steps; `values` maps every name and path to the value it means at this point."""

    steps: list[Step] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=lambda: {"input": INPUT})
    names: set[str] = field(default_factory=set)

    def emit(self, layer: Layer, inputs: Sequence[int], place: _Place) -> int:
        """Append a step and return the value it makes."""
        if place.name in self.names:
            raise _taken(place.name, place.path, layer)
        self.names.add(place.name)
        self.steps.append(Step(place.name, layer, tuple(inputs), place.path, place.init))
        self.values[place.name] = len(self.steps) - 1
        return self.values[place.name]


def plan(architecture: Architecture) -> Plan:
    """Write the spec out; raises ProblemError invalid-architecture for names that clash or are not known."""
    writer = _Writer()
    _write_list(writer, architecture.layers, INPUT, _Place("layers", "", architecture.init))
    steps = tuple(writer.steps)
    aliases = {
        alias: steps[value].name
        for alias, value in writer.values.items()
        if value != INPUT and alias not in writer.names
    }
    return Plan(steps, aliases)


def _place(path: str, layer: Layer) -> str:
    return f'{path} ({layer.type} "{layer.name}")' if layer.name else f"{path} ({layer.type})"


def _taken(name: str, path: str, layer: Layer) -> ProblemError:
    return ProblemError(
        "invalid-architecture",
        f"{_place(path, layer)}: another layer already has the name {name!r}; names in one list must differ",
        layer=path,
    )


def _write_list(writer: _Writer, layers: Sequence[AnyLayer], value: int, place: _Place) -> int:
    seen: set[str] = set()
    for index, layer in enumerate(layers):
        segment = layer.name or f"{layer.type}_{index}"
        item = place.item(index, segment)
        if segment in seen:
            raise _taken(item.name, item.path, layer)
        seen.add(segment)
        value = _write(writer, layer, value, item)
        writer.values[segment] = writer.values[item.name] = value
    return value


def _write(writer: _Writer, layer: AnyLayer, previous: int, place: _Place) -> int:
    if isinstance(layer, Weighted) and layer.init is not None:
        place = replace(place, init=layer.init)
    taken = [_resolve(writer, reference, previous, place, layer) for reference in layer.inputs or ["previous"]]
    if isinstance(layer, Sequential):
        return _write_list(writer, layer.layers, taken[0], place.inside("layers"))
    if isinstance(layer, Repeat):
        return _write_repeat(writer, layer, taken[0], place)
    if isinstance(layer, Residual):
        return _write_residual(writer, layer, taken[0], place)
    if isinstance(layer, Parallel):
        return _write_parallel(writer, layer, taken[0], place)
    if isinstance(layer, Dense):
        return _write_dense(writer, layer, taken[0], place)
    return writer.emit(layer, taken, place)


def _write_repeat(writer: _Writer, layer: Repeat, value: int, place: _Place) -> int:
    for time in range(layer.times):
        value = _write_list(writer, layer.layers, value, place.inside("layers", time))
    return value


def _write_residual(writer: _Writer, layer: Residual, value: int, place: _Place) -> int:
    body = _write_list(writer, layer.layers, value, place.inside("layers"))
    shortcut = _write_list(writer, layer.shortcut or [], value, place.inside("shortcut", "shortcut"))
    total = _merge("add", 2, layer.name)
    if layer.activation is None:
        return writer.emit(total, (body, shortcut), place)
    value = writer.emit(total, (body, shortcut), place.named("sum"))
    return writer.emit(pointwise.Activation(type=layer.activation, name=layer.name), (value,), place)


def _write_parallel(writer: _Writer, layer: Parallel, value: int, place: _Place) -> int:
    ends = [
        _write_list(writer, branch, value, place.inside(f"branches[{index}]", index))
        for index, branch in enumerate(layer.branches)
    ]
    return writer.emit(_merge(layer.merge, len(ends), layer.name), ends, place)


def _write_dense(writer: _Writer, layer: Dense, value: int, place: _Place) -> int:
    for time in range(layer.times):
        grown = _write_list(writer, layer.layers, value, place.inside("layers", time))
        own = place if time == layer.times - 1 else place.named(str(time))
        value = writer.emit(_merge("concat", 2, layer.name), (value, grown), own)
    return value


def _merge(merge: str, count: int, name: str | None) -> Layer:
    return MERGES[merge](name=name, inputs=["previous"] * count)


def _resolve(writer: _Writer, reference: str, previous: int, place: _Place, layer: AnyLayer) -> int:
    if reference == "previous":
        return previous
    if reference in writer.values:
        return writer.values[reference]
    known = list(writer.values)[-1000:]  # matching all names of a 20,000-layer network takes seconds
    near = difflib.get_close_matches(reference, known, n=3) or known[-5:]
    raise ProblemError(
        "invalid-architecture",
        f"{_place(place.path, layer)}: inputs names {reference!r}, but no layer before it is called so; "
        f"known are 'previous', {', '.join(map(repr, near))}",
        layer=place.path,
    )
