"""The layers a person can point at: named tensors with axes that follow the input's space."""

from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction

from erfscope.contract.problem import ProblemError
from erfscope_engine.layout import Axis, Digit, Layout, layouts
from erfscope_engine.network import Network
from erfscope_engine.regions.table import is_pointwise, moves_only
from erfscope_engine.tape import Entry, Ref, Tape

WINDOWS = ("convolution", "max_pool", "avg_pool", "upsample", "_adaptive", "adaptive", "unfold")


@dataclass(frozen=True)
class UnitAxis:
    """One coordinate of a unit: `extent` positions along input axis `follows`, on `axis` of the tensor.

    Index i along it is tensor index lead + i·pitch; its middle lies at base + i·pace on the input.
    """

    axis: int
    extent: int
    pitch: int
    follows: int
    pace: Fraction
    base: Fraction


@dataclass(frozen=True)
class Layer:
    """A named tensor with spatial axes; `shape` includes the batch."""

    name: str
    operator: str
    value: int
    shape: tuple[int, ...]
    units: tuple[UnitAxis, ...]
    leads: dict[int, int]

    @property
    def spatial_axes(self) -> list[int]:
        """Axes of the shape without the batch that carry the unit's coordinates."""
        return sorted({u.axis - 1 for u in self.units})

    @property
    def rank(self) -> int:
        """Along how many axes of the input its units differ."""
        return sum(u.extent > 1 for u in self.units)

    @property
    def grid(self) -> tuple[int, ...]:
        """Extents of the unit's coordinates."""
        return tuple(u.extent for u in self.units)

    def place(self, unit: tuple[int, ...]) -> dict[int, int]:
        """Tensor axis → index of a unit."""
        at = dict(self.leads)
        for u, i in zip(self.units, unit, strict=True):
            at[u.axis] = at.get(u.axis, 0) + i * u.pitch
        return at

    def position(self, unit: tuple[int, ...]) -> dict[int, Fraction]:
        """Input axis → where the unit sits, following the shortest way; pixel-centre coordinates."""
        return {u.follows: u.base + i * u.pace for u, i in zip(self.units, unit, strict=True)}


@dataclass(frozen=True)
class Traced:
    """A network on tape, with its input's spatial axes and its layers in the order they are computed."""

    network: Network
    tape: Tape
    space: tuple[int, ...]
    layers: tuple[Layer, ...]
    layouts: dict[int, Layout]

    def follows_space(self, value: int, axis: int) -> bool:
        """Whether an axis of a recorded tensor runs along the input's space (tokens included)."""
        return any(_spatial(digit, self.space) for digit in self.layouts[value].axes[axis].digits)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Extents of the input's spatial axes."""
        return tuple(self.tape.values[0].shape[k] for k in self.space)

    def layer(self, name: str) -> Layer:
        """The layer called `name`, an alias of it, or the last one for "auto"."""
        if not self.layers:
            raise ProblemError("no-spatial-layer", self._no_layers())
        if name == "auto":
            maps = [layer for layer in self.layers if not self._spreads(layer)] or list(self.layers)
            most = max(layer.rank for layer in maps)
            return [layer for layer in maps if layer.rank == most][-1]
        wanted = self.network.aliases.get(name, name)
        value = self.tape.names.get(wanted)
        for layer in self.layers:
            if layer.value == value:
                return layer
        raise ProblemError("invalid-target", self._unknown(name, value), layer=name)

    def _spreads(self, layer: Layer) -> bool:
        """Whether a layer is a softmax over space: weights of an attention, no feature map."""
        made = self.tape.values[layer.value].entry
        entry = None if made is None else self.tape.entries[made]
        if entry is None or "softmax" not in entry.op.overloadpacket.__name__:
            return False
        return int(entry.args[1]) % len(layer.shape) in {u.axis for u in layer.units}

    def _no_layers(self) -> str:
        ended = f" Recording ended at {self.tape.stopped}." if self.tape.stopped else ""
        return (
            "No tensor of this network keeps an axis of the input's space, so there is no unit whose field "
            f"could be drawn (input {list(self.tape.values[0].shape[1:])}).{ended}"
        )

    def _unknown(self, name: str, value: int | None) -> str:
        names = [layer.name for layer in self.layers]
        if value is not None:
            shape = list(self.tape.values[value].shape[1:])
            return f"Layer {name!r} has shape {shape}: none of its axes follows the input's space. Try {names[-1]!r}."
        known = dict.fromkeys([*names, *(alias for alias in self.network.aliases if f"/{alias}" not in names)])
        holding = [one for one in known if name.lower() in one.lower()]
        close = holding[-3:] or get_close_matches(name, list(known), n=3, cutoff=0.4) or names[-3:]
        return f"There is no layer {name!r}. Did you mean {', '.join(map(repr, close))}?"


def survey(network: Network, tape: Tape) -> Traced:
    """Find the input's spatial axes and every layer of a recorded network."""
    space, slid = spatial_axes(tape)
    known = layouts(tape, space)
    layers = []
    for index, value in enumerate(tape.values):
        if value.name is not None and index > 0 and value.dtype.is_floating_point:
            layer = _layer(index, tape, known[index], space)
            if layer is not None:
                layers.append(layer)
    extended = sum(tape.values[0].shape[k] > 1 for k in space)
    if not slid and extended < 2 and layers and not _computes(tape, layers[-1]):
        layers = []  # a plain vector that a dense layer takes as a whole: its first axis is no space
    return Traced(network, tape, space, tuple(layers), known)


def _computes(tape: Tape, layer: Layer) -> bool:
    """Whether anything but element-wise work and moving about leads to a layer."""
    return any(not is_pointwise(e) and not moves_only(e) for e in tape.ancestors([layer.value]))


def spatial_axes(tape: Tape) -> tuple[tuple[int, ...], bool]:
    """The input axes that the first sliding window slides along, and True; by rank and size, and False, without one."""
    known = layouts(tape, range(1, len(tape.values[0].shape)))
    for entry in tape.entries:
        if entry.op.overloadpacket.__name__.startswith(WINDOWS):
            found = _slid(entry, tape, known)
            if found:
                return found, True
    return _by_size(tape.values[0].shape), False


def _slid(entry: Entry, tape: Tape, known: dict[int, Layout]) -> tuple[int, ...]:
    data = entry.args[0] if isinstance(entry.args[0], Ref) else entry.refs[0]
    axes = known[data.index].axes[2:] if len(tape.values[data.index].shape) > 2 else known[data.index].axes[1:]
    followed = {d.follows for axis in axes for d in axis.digits if d.follows}
    shape = tape.values[0].shape
    # an input axis of one position has no digit; it is spatial when it stands among spatial ones (1 × L signals)
    return tuple(sorted(followed | {k for k in range(2, len(shape)) if followed and shape[k] == 1 and len(shape) > 3}))


def _by_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(shape)
    if rank <= 2:
        return tuple(range(1, rank))
    if rank == 3:
        return (1,) if shape[1] > shape[2] else (2,)
    channels_last = shape[-1] <= 4 and min(shape[1:-1]) > 8
    return tuple(range(1, rank - 1)) if channels_last else tuple(range(2, rank))


def _layer(index: int, tape: Tape, layout: Layout, space: tuple[int, ...]) -> Layer | None:
    value = tape.values[index]
    if not value.shape or value.shape[0] != tape.batch:
        return None
    units = [u for k, axis in enumerate(layout.axes) if k > 0 for u in _unit_axes(k, axis, layout, space)]
    units = _outermost(units)
    if not any(u.extent > 1 for u in units):
        return None
    leads = {k: axis.lead for k, axis in enumerate(layout.axes) if axis.lead and _is_grid(axis, space)}
    units.sort(key=lambda u: u.follows)
    return Layer(value.name or "", value.operator, index, value.shape, tuple(units), leads)


def _outermost(units: list[UnitAxis]) -> list[UnitAxis]:
    """Where several axes follow one axis of the input (space to depth), the one that spans most of it."""
    widest: dict[int, UnitAxis] = {}
    for u in units:
        known = widest.get(u.follows)
        if known is None or u.extent * abs(u.pace) > known.extent * abs(known.pace):
            widest[u.follows] = u
    return list(widest.values())


def _spatial(digit: Digit, space: tuple[int, ...]) -> bool:
    return digit.follows in space or (digit.grid is not None and any(_spatial(d, space) for d in digit.grid.digits))


def _is_grid(axis: Axis, space: tuple[int, ...]) -> bool:
    return bool(axis.digits) and all(d.follows in space for d in axis.digits)


def _unit_axes(k: int, axis: Axis, layout: Layout, space: tuple[int, ...]) -> list[UnitAxis]:
    if not _is_grid(axis, space):
        return []
    pitch, found = axis.count, []
    for digit in axis.digits:
        pitch //= digit.size
        assert digit.follows is not None  # _is_grid
        base = layout.base.get(digit.follows, Fraction(0))
        found.append(UnitAxis(k, digit.size, pitch, digit.follows, digit.pace, base))
    return found
