"""Which inputs carry a state from one run to the next: initial states of recurrent layers, caches that come back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, ValueInfoProto

from erfscope_intake.onnx_layout import Extent, Uses, hint_for

MOVES = {"Identity", "Cast", "Slice", "Split", "Gather", "Squeeze", "Unsqueeze", "Reshape", "Transpose"}
# What a cache passes through on its way back: the newest values are joined to it and the oldest are cut off.
CARRIES = MOVES | {"Concat", "Pad", "ScatterND", "ScatterElements", "Expand"}
INITIAL_STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,), "DynamicQuantizeLSTM": (5, 6)}
# Parts of a name that tell the way in from the way back; without them the two names of a state are equal.
DIRECTIONS = {
    "in", "out", "i", "o", "n", "inp", "input", "inputs", "output", "outputs", "new", "next", "old", "prev", "previous",
    "past", "present", "update", "updated", "init", "initial", "last", "cur", "current", "final",
}  # fmt: skip
STATE_WORDS = {
    "state",
    "states",
    "cache",
    "caches",
    "hidden",
    "memory",
    "mem",
    "buffer",
    "buf",
    "h",
    "c",
    "key",
    "value",
}

BY_SHAPE, BY_WAY, BY_NAME = 1, 2, 3
MOST_PAIRS = 1 << 15  # of an input and an output: 180 states; in files with more, none is looked for


@dataclass(frozen=True)
class _Return:
    """An input that may come back as an output, and the strongest sign of it."""

    input: str
    output: str
    sign: int
    joined: int = 0  # in how many joins it comes behind another value: the older one stands in front


@dataclass(frozen=True)
class State:
    """Why an input is a state, in words, and the output as which it comes back (None for an initial state)."""

    why: str
    output: str | None = None
    carried: frozenset[str] = frozenset()  # the values on its way back: itself joined with new values, or in part


def states_of(
    graph: GraphProto, uses: Uses, candidates: Sequence[str], originals: Mapping[str, str]
) -> dict[str, State]:
    """The inputs among `candidates` that are states, by name.

    `candidates` are inputs with real numbers along an axis; `originals` the file's names. At least one candidate and
    one output are left that are not states: what a network takes and answers beside them.
    """
    recurrent = any(node.op_type in INITIAL_STATES for readers in uses.readers.values() for node in readers)
    initial = [name for name in candidates if is_initial_state(uses, name)] if recurrent else []
    states = {name: State("recurrent layers start from it") for name in initial}
    left = [name for name in candidates if name not in states]
    looked_for = left if len(left) * len(graph.output) <= MOST_PAIRS else []
    for back in _returns(graph, uses, looked_for, originals):
        carried = frozenset(_carried(uses, back.input))
        states[back.input] = State(f"it comes back as output {originals[back.output]!r}", back.output, carried)
    return states


def is_initial_state(uses: Uses, name: str) -> bool:
    """Whether an input is moved into the initial states of recurrent layers, and nothing else reads its values."""
    pending, seen, found = [name], {name}, False
    for value in pending:  # grows while it is walked; every value comes once
        following = list(uses.ends.get(value, ()))
        for node in uses.readers.get(value, ()):
            places = {k for k, read in enumerate(node.input) if read == value and node.op_type != "Shape"}
            if places == {0} and node.op_type in MOVES:
                following += node.output
            elif not places <= set(INITIAL_STATES.get(node.op_type, ())):
                return False
            found = found or bool(places and node.op_type in INITIAL_STATES)
        pending += [value for value in following if value not in seen]
        seen.update(following)
    return found


def _returns(graph: GraphProto, uses: Uses, candidates: Sequence[str], originals: Mapping[str, str]) -> list[_Return]:
    """Each returning input with its output, the surest first; equal shapes alone count beside an input without one."""
    pairs = sorted(_pairs(graph, uses, candidates, originals), key=lambda pair: (-pair.sign, pair.joined))
    shaped = {pair.input for pair in pairs}
    roomy = {value.name for value in graph.input if value.name in candidates and _has_room(_extents(value))}
    some_unpaired = not roomy <= shaped
    taken, outputs, left = dict[str, _Return](), set[str](), set(roomy)
    for pair in pairs:
        if pair.input in taken or pair.output in outputs or (pair.sign == BY_SHAPE and not some_unpaired):
            continue
        if len(outputs) + 1 < len(graph.output) and left - {pair.input}:
            taken[pair.input] = pair
            outputs.add(pair.output)
            left.discard(pair.input)
    return list(taken.values())


def _pairs(graph: GraphProto, uses: Uses, candidates: Sequence[str], originals: Mapping[str, str]) -> Iterator[_Return]:
    stems = {output.name: _stem(originals[output.name]) for output in graph.output}
    for value in (value for value in graph.input if value.name in candidates):
        convolved, carried = hint_for(uses, value.name) is not None, _carried(uses, value.name)
        stem = _stem(originals[value.name])
        for output in graph.output:
            called = bool(stem) and stem == stems[output.name]
            if not _alike(value, output, loosely=called):
                continue
            if called and (not convolved or not STATE_WORDS.isdisjoint(stem)):
                yield _Return(value.name, output.name, BY_NAME)
            elif not convolved:
                joined = carried.get(output.name)
                yield _Return(value.name, output.name, BY_SHAPE if joined is None else BY_WAY, joined or 0)


def _alike(one: ValueInfoProto, other: ValueInfoProto, *, loosely: bool) -> bool:
    """Equal types and shapes; `loosely`: free axes may have other names (a cache that grows)."""
    mine, its = one.type.tensor_type, other.type.tensor_type
    if mine.elem_type != its.elem_type or len(mine.shape.dim) != len(its.shape.dim):
        return False
    pairs = list(zip(mine.shape.dim, its.shape.dim, strict=True))
    if loosely:
        return all(a.dim_value == b.dim_value or a.dim_value < 1 or b.dim_value < 1 for a, b in pairs)
    return all((a.dim_value, a.dim_param) == (b.dim_value, b.dim_param) for a, b in pairs)


def _stem(name: str) -> tuple[str, ...]:
    """The parts of a name that do not tell a direction; empty where nothing but numbers is left."""
    parts = (part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name))
    stem = tuple(part for part in parts if part not in DIRECTIONS)
    return stem if any(part.isalpha() for part in stem) else ()


def _carried(uses: Uses, name: str) -> dict[str, int]:
    """The values that hold numbers of an input as they are, with how many joins they come behind another value in."""
    carried, pending = {name: 0}, [name]
    for value in pending:  # grows while it is walked; every value comes once
        following = dict.fromkeys(uses.ends.get(value, ()), carried[value])
        for node in uses.readers.get(value, ()):
            if node.op_type in CARRIES:
                behind = node.op_type == "Concat" and node.input[0] != value
                following |= dict.fromkeys(filter(None, node.output), carried[value] + behind)
        new = {other: joins for other, joins in following.items() if other not in carried}
        carried |= new
        pending += new
    return carried


def _extents(value: ValueInfoProto) -> list[Extent]:
    return [d.dim_value if d.dim_value > 0 else None for d in value.type.tensor_type.shape.dim]


def _has_room(extents: Sequence[Extent]) -> bool:
    """Whether an axis beside the batch has more than one place."""
    return any(n is None or n > 1 for n in (extents[1:] if len(extents) > 1 else extents))
