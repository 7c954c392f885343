"""The layers a person can point at: named tensors whose units have coordinates along the input's space."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property

from erfscope_contract.problem import ProblemError
from erfscope_engine.fields import Map
from erfscope_engine.geometry.digits import Digit, Run, follows_of, size
from erfscope_engine.geometry.frame import Frame, flat
from erfscope_engine.geometry.regions import Region
from erfscope_engine.geometry.spans import Span, split
from erfscope_engine.network import Network
from erfscope_engine.operators.convolution import has_dead_rim
from erfscope_engine.operators.table import OPERATORS, is_pointwise
from erfscope_engine.recording.tape import Call, Tape

Unit = tuple[int, ...]
SLIDES = ("conv", "max_pool", "avg_pool", "upsample", "_upsample", "_adaptive", "adaptive", "unfold", "im2col",
          "grid_sampler", "deform_conv")  # fmt: skip
DENSE = ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv")


@dataclass(frozen=True)
class Coordinate:
    """One coordinate of a unit: `extent` indices of tensor axis `axis`, `pitch` apart, from `lead` on.

    An axis of its own has pitch 1 and lead 0; of a token grid the columns have pitch 1, the rows that of a row, and a
    class token in front is the lead. `digits` are those that it counts.
    """

    axis: int
    extent: int
    pitch: int
    lead: int
    digits: Run

    @property
    def follows(self) -> frozenset[int]:
        """The input axes that it runs along."""
        return follows_of(self.digits)

    @property
    def moves(self) -> bool:
        """Whether its places differ along one axis of the input, more than one pixel of which is among them."""
        return len(self.follows) == 1 and any(_moves_along(digit) for digit in self.digits)


def _moves_along(digit: Digit) -> bool:
    parts = [piece for piece in digit.pieces if follows_of(piece.digits)]
    if len(parts) == 1:  # joined with constants
        return any(_moves_along(part) for part in parts[0].digits)
    return digit.extent > 1 and bool(digit.follows)


@dataclass(frozen=True, repr=False)
class Layer:
    """A named tensor; `shape` includes the batch, on axis `batch`. Without coordinates it is measured by full index.

    `value` is its number on the tape; `frame` None says that it is behind what could be recorded. `aliases` are its
    other names: a stage has the tensor of its last block, and the last stage that of the output.
    """

    name: str
    operator: str
    value: int
    shape: tuple[int, ...]
    coordinates: tuple[Coordinate, ...]
    frame: Frame | None
    batch: int = 0
    aliases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        also = f"  (also {', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name}  {self.operator}  {'x'.join(map(str, self.own_shape))}{also}"

    @property
    def own_shape(self) -> list[int]:
        """The shape without the batch."""
        return [n for k, n in enumerate(self.shape) if k != self.batch]

    @property
    def own_axes(self) -> list[int]:
        """The axes without that of the batch."""
        return [k for k in range(len(self.shape)) if k != self.batch]

    @property
    def spatial_axes(self) -> list[int]:
        """Positions in `own_shape` of the axes that carry the unit's coordinates."""
        return sorted({self.own_axes.index(c.axis) for c in self.coordinates})

    @property
    def grid(self) -> tuple[int, ...]:
        """Extents of the unit's coordinates."""
        return tuple(c.extent for c in self.coordinates)

    @property
    def rank(self) -> int:
        """Along how many axes of the input its units differ, each by a coordinate of its own."""
        return sum(c.extent > 1 and (self.frame is None or c.moves) for c in self.coordinates)

    @property
    def center(self) -> Unit:
        """The unit at shape // 2 on every coordinate."""
        return tuple(n // 2 for n in self.grid)

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """Axes of the shape that are neither batch nor coordinates."""
        taken = {c.axis for c in self.coordinates}
        return tuple(k for k in self.own_axes if k not in taken)

    def place(self, unit: Unit) -> dict[int, int]:
        """Tensor axis → index of a unit."""
        at = {c.axis: c.lead for c in self.coordinates}
        for coordinate, i in zip(self.coordinates, unit, strict=True):
            at[coordinate.axis] += i * coordinate.pitch
        return at

    def stride(self, axis: int) -> Fraction | None:
        """Pixels along an input axis from one unit to the next; None where they do not move evenly along it."""
        along = [c for c in self.coordinates if axis in c.follows]
        if len(along) != 1 or self.frame is None:
            return None
        digit, _ = flat(along[0].digits, self.frame.seats)
        parts = [part for piece in digit.pieces for part in piece.digits if part.axis == axis and part.extent > 1]
        backward = sum(part.extent for part in parts if part.stride * digit.stride < 0)  # a mirrored border
        # maps of several strides may stand one behind another
        even = digit.axis == axis and len({abs(part.stride) for part in parts}) < 2 and 2 * backward < digit.extent
        return digit.stride or None if even else None


@dataclass(frozen=True)
class Place:
    """A unit of a layer: by its coordinates, or (`by_index`) by its full index without the batch."""

    layer: Layer
    unit: Unit
    by_index: bool = False

    @property
    def at(self) -> dict[int, int]:
        """Tensor axis → index."""
        if self.by_index:
            return dict(zip(self.layer.own_axes, self.unit, strict=True))
        return self.layer.place(self.unit)

    @property
    def region(self) -> Region:
        """What of the layer's tensor it is, for the first sample."""
        return region_at(self.layer, self.at)

    @property
    def box(self) -> tuple[tuple[int, int], ...]:
        """What of the layer's tensor it is, for all samples of a batch."""
        at = self.at
        return tuple((at[k], at[k] + 1) if k in at else (0, n) for k, n in enumerate(self.layer.shape))


def region_at(layer: Layer, at: dict[int, int], sample: int = 0) -> Region:
    """The region of a unit: indices on some tensor axes, all of the others, one sample."""
    assert layer.frame is not None  # only recorded layers have regions
    region: Region = {}
    for k, run in enumerate(layer.frame.axes):
        index = sample if k == layer.batch else at.get(k)
        if index is None:
            region |= {(digit,): Span(0, digit.extent) for digit in run}
        elif run and len({digit.axis for digit in run}) == 1:
            region[run] = Span(index, index + 1)
        else:
            region |= {(d,): s for d, s in zip(run, split(run, Span(index, index + 1)), strict=True)}
    return region


def layer_of(geometry: Map, index: int, name: str | None = None) -> Layer | None:
    """The layer that a value is; None where no axis of it is the batch alone."""
    value, frame = geometry.tape.values[index], geometry.frames[index]
    batch = next((k for k, run in enumerate(frame.axes) if run == geometry.frames[0].axes[0]), None)
    if batch is None and geometry.tape.batch == 1 and value.shape and value.shape[0] == 1:
        batch = 0  # a single sample may ride with any neighbour
    if batch is None:
        return None
    coordinates = _coordinates(frame, value.shape, geometry.space, batch)
    return Layer(name or value.name or "", value.operator, index, value.shape, coordinates, frame, batch)


def _coordinates(frame: Frame, shape: tuple[int, ...], space: Sequence[int], batch: int) -> tuple[Coordinate, ...]:
    axes = {k for axis in space if (k := _main_axis(frame, axis)) not in (None, batch)}
    return tuple(c for k in sorted(axes) for c in _along(k, frame.axes[k], shape[k]))


def _main_axis(frame: Frame, axis: int) -> int | None:
    """The tensor axis that holds the coarsest digit of an input axis."""
    best: tuple[Fraction, int] | None = None
    for k, run in enumerate(frame.axes):
        for digit in run:
            if axis in digit.follows:
                reach = abs(digit.stride) * digit.extent if digit.axis == axis else Fraction(10**9)
                if best is None or reach > best[0]:
                    best = (reach, k)
    return None if best is None else best[1]


def _along(axis: int, run: Run, extent: int) -> list[Coordinate]:
    """The coordinates that one tensor axis carries: one, or those of a token grid."""
    lead = 0
    if len(run) == 1 and run[0].axis is None and run[0].pieces:
        piece = max((p for p in run[0].pieces if follows_of(p.digits)), key=lambda p: size(p.digits))
        run, lead = piece.digits, piece.start
    if not size(run):  # an axis of no positions
        return []
    groups = _groups(run)
    if groups is None:
        return [] if _counts_channels(run) else [Coordinate(axis, extent, 1, 0, run)]
    pitch, found = size(run), list[Coordinate]()
    for group in groups:
        pitch //= size(group)
        found.append(Coordinate(axis, size(group), pitch, lead, group))
    return found


def _counts_channels(run: Run) -> bool:
    """Whether channels are counted on the same axis as space (a flattened map)."""
    outermost = next((digit for digit in run if digit.extent > 1), None)
    return outermost is not None and not outermost.follows


def _groups(run: Run) -> list[Run] | None:
    """A token grid's digits by input axis; None where the row counts one axis, or is not such a grid."""
    groups = list[list]()  # type: ignore[type-arg]
    for digit in run:
        if digit.axis is None and digit.extent > 1:
            return None
        if groups and (digit.axis is None or groups[-1][-1].axis in (None, digit.axis)):
            groups[-1].append(digit)
        else:
            groups.append([digit])
    axes = [next((d.axis for d in group if d.axis is not None), None) for group in groups]
    return [tuple(group) for group in groups] if len(groups) > 1 and len(set(axes)) == len(axes) else None


@dataclass(frozen=True)
class Traced:
    """A network on tape with its geometry, and its layers in the order they are computed.

    `eager`: the layer that is asked for is behind what could be recorded; the whole network runs by plain autograd.
    """

    network: Network
    tape: Tape
    geometry: Map
    layers: tuple[Layer, ...]
    eager: bool = False

    @property
    def space(self) -> tuple[int, ...]:
        """The input's spatial axes."""
        return self.geometry.space

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Extents of the input's spatial axes."""
        return self.geometry.spatial_shape

    @cached_property
    def rearranged(self) -> frozenset[int]:
        """The values that are the input itself, moved or scaled."""
        return rearranged_inputs(self.tape)

    @cached_property
    def dead_rims(self) -> frozenset[int]:
        """The ids of the convolutions whose outer taps are all 0."""
        calls = [call for call in self.tape.geometric if call.name == "convolution" and has_dead_rim(call)]
        return frozenset(map(id, calls))

    def layer(self, name: str) -> Layer:
        """The layer called `name`, or an alias of it."""
        wanted = self.network.aliases.get(name, name)
        value = self.tape.names.get(wanted)
        behind = next((layer for layer in self.layers if layer.frame is None and layer.name == wanted), None)
        known = behind or next((layer for layer in self.layers if layer.value == value), None)
        found = known or (layer_of(self.geometry, value, name) if value is not None else None)
        if found is None:
            detail, nearest = self._unknown(name, value)
            raise ProblemError("invalid-target", detail, layer=name, nearest=nearest)
        return found

    def _unknown(self, name: str, value: int | None) -> tuple[str, list[str]]:
        """Why there is no such layer, and the names nearest to it."""
        names = [layer.name for layer in self.layers]
        if value is not None:
            return (
                f"Layer {name!r} has shape {list(self.tape.values[value].shape)}: none of its axes counts samples "
                "alone, so no unit of one sample can be named."
            ), []
        known = dict.fromkeys([*names, *(alias for alias in self.network.aliases if f"/{alias}" not in names)])
        holding = [one for one in known if name.lower() in one.lower()]
        close = holding[-3:] or get_close_matches(name, list(known), n=3, cutoff=0.4) or names[-3:]
        if not close:
            return f"There is no layer {name!r}.", []
        return f"There is no layer {name!r}. Did you mean {', '.join(map(repr, close))}?", close


def survey(network: Network, tape: Tape) -> Traced:
    """Find the input's spatial axes and every layer of a recorded network."""
    geometry, slid = _followed(tape)
    layers, names = [], defaultdict[int, list[str]](list)
    for name, index in tape.names.items():
        names[index].append(name)
    for index, value in enumerate(tape.values):
        if value.name is not None and index > 0 and (value.dtype.is_floating_point or value.dtype.is_complex):
            layer = layer_of(geometry, index)
            if layer is not None and any(n > 1 for n in layer.grid):
                layers.append(replace(layer, aliases=tuple(name for name in names[index] if name != layer.name)))
    extended = sum(tape.values[0].shape[k] > 1 for k in geometry.space)
    if not extended:
        layers = []  # an image of one pixel
    if not slid and extended < 2 and layers and _takes_a_vector(tape, layers[-1]):
        layers = []  # a plain vector that a dense layer takes as a whole: its first axis is no space
    return Traced(network, tape, geometry, tuple(layers))


def _takes_a_vector(tape: Tape, layer: Layer) -> bool:
    """Whether nothing but dense layers, element-wise work and moving about leads to a layer."""
    calls = tape.ancestors([layer.value])
    return all(is_pointwise(call.op) or _moves(call) or call.name in DENSE for call in calls)


def rearranged_inputs(tape: Tape) -> frozenset[int]:
    """The values that nothing but element-wise work and moving about leads to."""
    passed = [is_pointwise(call.op) or _moves(call) for call in tape.calls]
    rearranged = set[int]()
    for index, value in enumerate(tape.values):  # a call's operands come before its results
        refs = () if value.made is None else tape.calls[value.made].refs
        if value.made is None or (passed[value.made] and rearranged.issuperset(ref.index for ref in refs)):
            rearranged.add(index)
    return frozenset(rearranged)


def _moves(call: Call) -> bool:
    record = OPERATORS.get(call.name)
    return record is not None and (record.moves or call.name in ("clone", "contiguous", "detach", "alias"))


def _followed(tape: Tape) -> tuple[Map, bool]:
    """The geometry along the input axes that the first sliding window slides along; else by rank and size."""
    rank = len(tape.values[0].shape)
    sliding = [call for call in tape.geometric if call.name.lstrip("_").startswith(SLIDES) and call.refs]
    for call in sorted(sliding, key=lambda call: "pool" in call.name):  # pools slide along channels as well
        slid = _slid(Map.of(tape, range(1, rank), before=call), call)
        if slid:
            return Map.of(tape, slid), True
    return Map.of(tape, _by_size(tape.values[0].shape)), False


def _slid(geometry: Map, call: Call) -> tuple[int, ...]:
    frame = geometry.frames[call.refs[0].index]
    axes = frame.axes[2:] if len(frame.axes) > 2 else frame.axes[1:]
    followed = {axis for run in axes for digit in run for axis in digit.follows if digit.extent > 1}
    shape = geometry.tape.values[0].shape
    # an input axis of one position is spatial when it stands among spatial ones (1 × L signals)
    return tuple(sorted(followed | {k for k in range(2, len(shape)) if followed and shape[k] == 1 and len(shape) > 3}))


def _by_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(shape)
    if rank <= 2:
        return tuple(range(1, rank))
    if rank == 3:
        return (1,) if shape[1] > shape[2] else (2,)
    channels_last = shape[-1] <= 4 and min(shape[1:-1]) > 8
    return tuple(range(1, rank - 1)) if channels_last else tuple(range(2, rank))
