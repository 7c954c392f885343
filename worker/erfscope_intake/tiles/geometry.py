"""What a layer's units need of a tile, from the recorded geometry: stride, origin, alignment, reach over all phases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, lcm

from erfscope_contract.lengths import KINDS, NAMES, axis_name
from erfscope_contract.problem import ProblemError
from erfscope_engine.layers import Coordinate, Layer, Place, Traced
from erfscope_engine.receptive import ReceptiveField, receptive_field_of
from erfscope_intake.phases import phases

ROUNDING = 1e-6  # pixels: places are sums of fractions
DIGITS = 9  # of places, so that recordings at two sizes can be compared


@dataclass(frozen=True)
class Reads:
    """What the units of one phase read, in pixels: unit i from stride · i − low to stride · i + high."""

    phase: int  # i modulo the period
    low: float
    high: float


@dataclass(frozen=True)
class Along:
    """A layer along one input axis, in pixels.

    `axis` is the axis of its tensor, the batch counted. What unit i reads repeats with a period of alignment / stride
    units. A tile starts at a multiple of the alignment, so that its units have the phases that they have in the image.
    `before`, `after`: how far units read around the place where they sit, at most.
    """

    axis: int
    stride: Fraction
    before: float
    after: float
    reads: tuple[Reads, ...]
    alignment: int

    @property
    def period(self) -> int:
        """Units after which the phases repeat."""
        return int(self.alignment / self.stride)

    def lead(self) -> int:
        """Pixels of a tile before the first unit from which on every unit reads nothing before the tile."""
        return max(ceil(self.stride * (self._last_before(one) + 1)) for one in self.reads)

    def stop(self, tile: int) -> int:
        """Pixels of a tile up to the first unit that reads behind it."""
        return min(tile, *(floor(self.stride * self._first_behind(one, tile)) for one in self.reads))

    def units(self, pixels: int) -> int:
        """The index of the first unit at or behind this pixel, where unit 0 counts from pixel 0."""
        return ceil(Fraction(pixels) / self.stride)

    def _last_before(self, reads: Reads) -> int:
        """The last unit of this phase that reads before pixel 0; −1 where none does."""
        last = ceil((reads.low - ROUNDING) / self.stride) - 1  # of all phases
        last -= (last - reads.phase) % self.period
        return max(last, -1)

    def _first_behind(self, reads: Reads, tile: int) -> int:
        """The first unit of this phase that reads pixel `tile` or one behind it."""
        first = floor((tile - 1 + ROUNDING - reads.high) / self.stride) + 1
        return max(first + (reads.phase - first) % self.period, 0)


@dataclass(frozen=True)
class Tiled:
    """A layer that can be cut, with the field of its centre unit, and the largest over the phases if that is larger."""

    layer: Layer
    field: ReceptiveField
    largest: list[int]
    along: tuple[Along, ...]  # per input axis


def tiled(traced: Traced, layer: Layer) -> Tiled:
    """What `layer` needs of a tile. Raises ProblemError("unsupported-model") where no tile can be like the whole."""
    if layer.frame is None:
        raise _refusal(layer, f"the network could be followed only up to {traced.tape.stopped or 'an earlier layer'}")
    coordinates = [_coordinate(traced, layer, axis) for axis in traced.space]
    middle = receptive_field_of(traced, Place(layer, layer.center))
    if middle.is_global or middle.alignment is None:
        raise _refusal(layer, _global(middle))
    strides = [layer.stride(axis) for axis in traced.space]
    for number, stride in enumerate(strides):
        if stride is None or stride <= 0:
            raise _refusal(layer, _uneven(axis_name(number, len(strides)), stride))
    even = [stride for stride in strides if stride]
    alignment = [lcm(a, s.numerator) for a, s in zip(middle.alignment, even, strict=True)]
    periods = [1] * len(layer.coordinates)
    for coordinate, pixels, stride in zip(coordinates, alignment, even, strict=True):
        periods[layer.coordinates.index(coordinate)] = int(pixels / stride)
    units = [layer.center, *phases(layer, periods)]
    fields = [(unit, receptive_field_of(traced, Place(layer, unit))) for unit in units]
    along = [
        _along(fields, layer.coordinates.index(coordinate), number, coordinate.axis, stride, alignment[number], layer)
        for number, (coordinate, stride) in enumerate(zip(coordinates, even, strict=True))
    ]
    largest = [max(each) for each in zip(*(field.size for _, field in fields), strict=True)]
    return Tiled(layer, middle, largest if largest != list(middle.size) else [], tuple(along))


def _coordinate(traced: Traced, layer: Layer, axis: int) -> Coordinate:
    """The coordinate that runs along an input axis, on a tensor axis of its own."""
    along = [coordinate for coordinate in layer.coordinates if coordinate.follows == {axis}]
    if len(along) != 1 or along[0].extent < 2:
        name = axis_name(traced.space.index(axis), len(traced.space))
        raise _refusal(layer, f"its units do not lie along axis {name} of the input")
    if along[0].pitch != 1 or along[0].lead:
        raise _refusal(layer, "its units are counted on one axis (tokens), so a crop is no range of indices")
    return along[0]


def _along(
    fields: Sequence[tuple[tuple[int, ...], ReceptiveField]],
    position: int,
    number: int,
    tensor_axis: int,
    stride: Fraction,
    alignment: int,
    layer: Layer,
) -> Along:
    """One axis over all phases; `position` is that of its coordinate, `number` that of the input axis."""
    ranges, reaches = dict[int, tuple[float, float]](), list[tuple[float, float]]()
    for unit, field in fields:
        if field.reach is None:
            name = axis_name(number, len(field.box))
            raise _refusal(layer, "some of its units see the whole input" if field.is_global else _uneven(name, None))
        reaches.append(field.reach[number])
        (low, high), place = field.box[number], float(stride * unit[position])
        phase, pair = unit[position] % int(alignment / stride), (place - low, high - 1 - place)
        known = ranges.get(phase, pair)
        ranges[phase] = max(pair[0], known[0]), max(pair[1], known[1])
    before, after = (max(reach[side] for reach in reaches) for side in (0, 1))
    rows = _every_phase(ranges, int(alignment / stride), stride)
    return Along(tensor_axis, stride, before, after, rows, alignment)


def _every_phase(ranges: Mapping[int, tuple[float, float]], period: int, stride: Fraction) -> tuple[Reads, ...]:
    """A row for each phase; one that was not walked has the start of the walked one before it, and the end of the next.

    Of two units the later one does not start to read earlier, nor end later: true of everything but a flip, which is
    refused before.
    """
    walked = sorted(ranges)
    rows = list[Reads]()
    for phase in range(period):
        earlier = max((p for p in walked if p <= phase), default=walked[-1] - period)
        later = min((p for p in walked if p >= phase), default=walked[0] + period)
        low = ranges[earlier % period][0] + float(stride * (phase - earlier))
        high = ranges[later % period][1] + float(stride * (later - phase))
        rows.append(Reads(phase, round(low, DIGITS), round(high, DIGITS)))
    return tuple(rows)


def _uneven(axis: str, stride: Fraction | None) -> str:
    if stride is not None and stride < 0:
        return f"its units run backward along axis {axis} of the input (flip)"
    return (
        f"its units do not lie evenly along axis {axis} of the input, as behind align_corners resampling or "
        "adaptive pooling; export it with align_corners=False, or pooling of a fixed size"
    )


def _global(field: ReceptiveField) -> str:
    names = ", ".join(field.widened_by) or "an operator that sees all of it"
    if field.local is None:
        return f"each of its units sees the whole input, through {names}"
    size, rank = "×".join(str(stop - start) for start, stop in field.local), len(field.local)
    return (
        f"each of its units depends on the whole input through statistics over the {KINDS[rank]} ({names}); without "
        f"them the TRF is {size} {NAMES[rank]}. A norm with fixed statistics (BatchNorm in evaluation mode) could be "
        f"cut; squeeze-and-excite and pooling over the {KINDS[rank]} need all of it"
    )


def _refusal(layer: Layer, why: str) -> ProblemError:
    return ProblemError(
        "unsupported-model", f"Layer {layer.name!r} cannot be computed in tiles: {why}.", layer=layer.name
    )


def with_earlier(refusal: ProblemError, traced: Traced) -> ProblemError:
    """The refusal of a layer, with the last layer before it that can be cut, and what else there is to do."""
    refused = traced.layer(str(refusal.problem.context["layer"]))
    earlier = _last_that_can_be_cut(traced, [one for one in traced.layers if one.value < refused.value])
    kind = KINDS[len(traced.spatial_shape)]
    words = (
        f"No earlier layer can be cut into tiles; run whole {kind}s."
        if earlier is None
        else f"The last layer that can be cut is {earlier!r}: use tiles up to it (`layers`, --layer {earlier}) and run "
        f"the rest on the whole {kind}; or run whole {kind}s."
    )
    return ProblemError("unsupported-model", f"{refusal.problem.detail} {words}", **refusal.problem.context)


def _last_that_can_be_cut(traced: Traced, layers: Sequence[Layer]) -> str | None:
    """Binary search: layers after one that sees the whole image usually see the whole image, too."""
    low, high, found = 0, len(layers), None
    while low < high:
        middle = (low + high) // 2
        try:
            tiled(traced, layers[middle])
        except ProblemError:
            high = middle
        else:
            low, found = middle + 1, layers[middle].name
    return found
