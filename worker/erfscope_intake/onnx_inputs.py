"""The measured input, its shape, and what the other inputs are fed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from onnx import GraphProto, TensorProto, ValueInfoProto
from torch import Tensor

from erfscope_contract.lengths import NAMES
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_contract.result import InputTaken, PassedOver
from erfscope_intake.bounds import MAX_INPUT
from erfscope_intake.onnx_layout import SMALL, Extent, Hint, Layout, Uses, hint_for, layout_of
from erfscope_intake.onnx_names import Names
from erfscope_intake.onnx_states import State, states_of
from erfscope_intake.onnx_tensors import FLOATS, torch_type

SPACE_DEFAULTS = {1: 16_000, 2: 224, 3: 32}
# Where a free axis is not as free as the file says (a fixed position embedding, a grid of anchors, many halvings).
SPACE_ALTERNATIVES: dict[int, tuple[int, ...]] = {
    1: (16_384, 8_192, 1_024, 512, 256, 128, 64, 32),
    2: (256, 640, 512, 384, 320, 128, 96, 64, 32, 28),
    3: (64, 96, 128, 16),
}
CHANNEL_DEFAULTS = {1: 1, 2: 3, 3: 1}
OTHERS_SEED = 0
MAX_SPACE = 3
MOST_TOLD = 8
FREE = "The file does not fix the size of the input"
USED = "Fields end at the border of the input, so give the size that you use (input.shape, --shape)."
NAMED = "it was asked for by name"
ONLY = "it is the only one"


@dataclass(frozen=True)
class Declared:
    """One graph input as the file declares it; `axes` are the neutral names of its free axes."""

    name: str
    element: int
    extents: tuple[Extent, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """The measured input: channel-first `shape` without the batch, and how it becomes the model's own tensor."""

    declared: Declared
    layout: Layout
    shape: tuple[int, ...]
    batch: int | None
    choice: InputTaken
    notes: tuple[str, ...] = ()
    returned: frozenset[str] = frozenset()  # outputs as which states come back
    carried: frozenset[str] = frozenset()  # what states are on their way there, joined with new values or in part

    @property
    def free(self) -> list[int]:
        """Which spatial axes the file leaves free, counted from the first one."""
        return [k for k, axis in enumerate(self.layout.space) if self.declared.extents[axis] is None]

    def alternatives(self) -> list[list[int]]:
        """Shapes to try, where the free axes take no default."""
        sizes = SPACE_ALTERNATIVES[len(self.layout.space)] if self.free else ()
        return [
            [self.shape[0], *(size if k in self.free else n for k, n in enumerate(self.shape[1:]))] for size in sizes
        ]

    def bound(self) -> dict[str, int]:
        """Free axes that this input's shape decides, by neutral name (the batch axis excepted)."""
        places = [self.layout.channel, *self.layout.space]
        pairs = zip(places, self.shape, strict=True)
        return {self.declared.axes[p]: n for p, n in pairs if p is not None and self.declared.axes[p]}


def declared_inputs(graph: GraphProto) -> list[Declared]:
    """The inputs that are fed: those without an initial value."""
    given = {tensor.name for tensor in graph.initializer}
    return [_declared(value) for value in graph.input if value.name not in given]


def _declared(value: ValueInfoProto) -> Declared:
    if value.type.WhichOneof("value") != "tensor_type":
        return Declared(value.name, TensorProto.UNDEFINED, (), ())
    dims = value.type.tensor_type.shape.dim
    extents = tuple(d.dim_value if d.dim_value > 0 else None for d in dims)
    return Declared(value.name, value.type.tensor_type.elem_type, extents, tuple(d.dim_param for d in dims))


def measured_input(graph: GraphProto, names: Names, options: InputOptions) -> Measured:
    """The input that the receptive field is measured on, by name or by what looks most like an image or signal."""
    inputs, uses = declared_inputs(graph), Uses.of(graph)
    states = dict[str, State]() if options.name else _states(inputs, names, graph, uses)
    chosen, choice = _named(inputs, names, options.name) if options.name else _likeliest(inputs, names, uses, states)
    hint = hint_for(uses, chosen.name)
    layout = layout_of(chosen.extents, hint)
    if not 1 <= len(layout.space) <= MAX_SPACE:
        raise ProblemError(
            "unsupported-model",
            f"Input {names.values[chosen.name]!r} has {len(layout.space)} spatial axes; "
            f"1 to {MAX_SPACE} can be measured.",
        )
    own, notes = _own_shape(chosen, layout, hint)
    shape = own if options.shape is None else _asked(options.shape, own, chosen, layout, hint)
    batch = None if layout.batch is None else chosen.extents[layout.batch]
    if math.prod(shape) * (batch or 1) > MAX_INPUT:
        raise ProblemError(
            "resource-limit", f"An input of shape {list(shape)} fits into no memory; ask for a smaller one."
        )
    fixed = 1 if layout.batch is None else (batch if batch and batch > 1 else None)
    if chosen.element not in FLOATS:
        notes += ("The input is of an integer type in the file; it is fed real numbers.",)
    carried = frozenset(name for state in states.values() for name in state.carried)
    returned = frozenset(state.output for state in states.values() if state.output is not None)
    return Measured(chosen, layout, shape, fixed, choice, notes if options.shape is None else (), returned, carried)


def _named(inputs: list[Declared], names: Names, wanted: str) -> tuple[Declared, InputTaken]:
    by_name = {names.values[one.name]: one for one in inputs}
    if wanted in by_name:
        return _check_real(by_name[wanted], names), InputTaken(name=wanted, why=NAMED)
    near = get_close_matches(wanted, by_name, n=1)
    raise ProblemError(
        "invalid-target",
        f"The model has no input {wanted!r}; it has {', '.join(map(repr, list(by_name)[:10]))}."
        + (f" Did you mean {near[0]!r}?" if near else ""),
    )


def _check_real(chosen: Declared, names: Names) -> Declared:
    if not _may_be_measured(chosen):
        raise ProblemError(
            "no-gradient",
            f"Input {names.values[chosen.name]!r} holds no real numbers, so no gradient reaches it.",
        )
    return chosen


def _may_be_measured(one: Declared) -> bool:
    image = one.element == TensorProto.UINT8 and len(one.extents) >= 3
    return len(one.extents) > 0 and (one.element in FLOATS or image)


def _states(inputs: list[Declared], names: Names, graph: GraphProto, uses: Uses) -> dict[str, State]:
    return states_of(graph, uses, [one.name for one in inputs if _may_be_measured(one)], names.values)


def _likeliest(
    inputs: list[Declared], names: Names, uses: Uses, states: Mapping[str, State]
) -> tuple[Declared, InputTaken]:
    candidates = [one for one in inputs if _may_be_measured(one)]
    if not candidates:
        words = ", ".join(repr(names.values[one.name]) for one in inputs[:10]) or "none at all"
        raise ProblemError(
            "no-gradient",
            f"No input of the model can be measured (inputs: {words}): one of floating-point numbers with at least one "
            "axis is needed, or a uint8 image.",
        )
    chosen = max(candidates, key=lambda one: (one.name not in states, *_likeness(one, uses)))
    passed = [PassedOver(name=names.values[one.name], why=_why_not(one, states)) for one in inputs if one is not chosen]
    return chosen, InputTaken(name=names.values[chosen.name], why=_why(inputs, states), passed_over=passed[:MOST_TOLD])


def _why(inputs: list[Declared], states: Mapping[str, State]) -> str:
    if len(inputs) == 1:
        return ONLY
    if sum(_may_be_measured(one) and one.name not in states for one in inputs) == 1:
        return "it is the only one of floating-point numbers, with an axis, that is not a state"
    return "it looks most like an image or a signal"


def _why_not(one: Declared, states: Mapping[str, State]) -> str:
    if one.name in states:
        return f"it is a state: {states[one.name].why}"
    if _may_be_measured(one):
        return "it looks less like an image or a signal"
    return "it is neither of floating-point numbers with an axis nor an image"


def _likeness(one: Declared, uses: Uses) -> tuple[bool, bool, bool, bool, bool, int]:
    """An image before a sequence, what a convolution reads before what none does, colours before hidden states."""
    rank, hint = len(one.extents), hint_for(uses, one.name)
    guess = SPACE_DEFAULTS.get(max(rank - 2, 1), 1)
    channels = hint.channels if hint else None
    return (
        hint is not None or rank > MAX_SPACE,
        3 <= rank <= MAX_SPACE + 2,
        one.element in FLOATS,
        hint is not None,
        channels is not None and channels <= SMALL,
        math.prod(n or (1 if i == 0 else guess) for i, n in enumerate(one.extents)),
    )


def _own_shape(chosen: Declared, layout: Layout, hint: Hint | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    rank, notes = len(layout.space), []
    channels = 1
    if layout.channel is not None:
        known = chosen.extents[layout.channel] or (hint.channels if hint else None)
        channels = known or CHANNEL_DEFAULTS[rank]
        if known is None:
            notes.append(f"The file leaves the number of channels free; {channels} is taken.")
    free = [axis for axis in layout.space if chosen.extents[axis] is None]
    if free:
        taken = SPACE_DEFAULTS[rank]
        where = "" if rank == 1 else " along each axis" if len(free) == rank else f" along {len(free)} of {rank} axes"
        notes.append(f"{FREE}{where}; {taken:,} {NAMES[rank]} are taken. {USED}")
    space = [chosen.extents[axis] or SPACE_DEFAULTS[rank] for axis in layout.space]
    return (channels, *space), tuple(notes)


def _asked(
    asked: list[int], own: tuple[int, ...], chosen: Declared, layout: Layout, hint: Hint | None
) -> tuple[int, ...]:
    """The shape that was asked for, channels first; the model's own order is understood as well."""
    shape = tuple(asked)
    if layout.channel is None and len(shape) == len(layout.space):
        shape = (1, *shape)
    known = 1 if layout.channel is None else chosen.extents[layout.channel] or (hint.channels if hint else None)
    fits = len(shape) == len(own)
    if fits and known is not None and shape[0] != known and layout.channels_last and shape[-1] == known:
        shape = (shape[-1], *shape[:-1])
    if not fits or (known is not None and shape[0] != known):
        raise ProblemError(
            "shape-mismatch",
            f"The model's input takes {list(own)} (channels first, without the batch), not {asked}.",
            expected=list(own),
            got=asked,
        )
    return shape


def other_inputs(graph: GraphProto, measured: Measured) -> dict[str, tuple[Tensor, bool]]:
    """What every other input is fed, and whether it is repeated along the batch.

    Real numbers are drawn normal from a fixed seed, integers are 0, booleans true; a sample's own values do not
    depend on how many are run together. Free axes of another image are as long as the measured one's, others 1.
    """
    feeds: dict[str, tuple[Tensor, bool]] = {}
    bound = measured.bound()
    batch_axis = measured.declared.axes[measured.layout.batch] if measured.layout.batch is not None else ""
    for number, one in enumerate(declared_inputs(graph)):
        if one.name == measured.declared.name or one.element == TensorProto.UNDEFINED:
            continue
        free = bool(one.extents) and one.extents[0] is None
        batched = free and (one.axes[0] == batch_axis or not one.axes[0] or not bound.get(one.axes[0]))
        alike = _alike(one, measured)
        extents = [n or bound.get(one.axes[k]) or alike.get(k, 1) for k, n in enumerate(one.extents)]
        if batched:
            extents[0] = 1
        feeds[one.name] = (_drawn(one.element, extents, number), batched)
    return feeds


def _alike(one: Declared, measured: Measured) -> dict[int, int]:
    """The measured image's extents by axis, where another input is an image (a volume) too."""
    rank = len(one.extents)
    if rank != len(measured.declared.extents) or rank <= MAX_SPACE or one.element not in FLOATS:
        return {}
    return dict(zip(measured.layout.space, measured.shape[1:], strict=True))


def _drawn(element: int, extents: list[int], number: int) -> Tensor:
    kind = torch_type(element) if element != TensorProto.STRING else torch.bool
    if kind is torch.bool:
        return torch.ones(extents, dtype=torch.bool)
    if not kind.is_floating_point:
        return torch.zeros(extents, dtype=kind)
    generator = torch.Generator().manual_seed(OTHERS_SEED + number)
    return torch.randn(extents, generator=generator, dtype=torch.float64).to(torch.float32)
