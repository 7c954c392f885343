"""What a layer's units need of a tile, from the recorded geometry: stride, origin, alignment, reach over all phases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm

from erfscope_contract.problem import ProblemError
from erfscope_engine.layers import Coordinate, Layer, Place, Traced
from erfscope_engine.receptive import ReceptiveField, receptive_field_of

MOST_PHASES = 64  # units that are walked; of longer periods evenly many
ROUNDING = 1e-6  # pixels: places are sums of fractions


@dataclass(frozen=True)
class Along:
    """A layer along one input axis, in pixels: unit i reads at most from stride · i − low to stride · i + high.

    `axis` is the axis of its tensor, the batch counted; unit i sits at origin + stride · i.
    """

    axis: int
    stride: Fraction
    origin: float
    low: float
    high: float
    alignment: int

    @property
    def before(self) -> float:
        """How far units read before the place where they sit."""
        return self.low + self.origin

    @property
    def after(self) -> float:
        """How far they read behind it."""
        return self.high - self.origin

    @property
    def lead(self) -> int:
        """Pixels that a tile needs before what is kept of it."""
        return ceil(self.low - ROUNDING)

    @property
    def tail(self) -> int:
        """Pixels that it needs behind that: its last unit is one stride before the end of what is kept."""
        return ceil(self.high - self.stride + 1 - ROUNDING)

    def units(self, pixels: int) -> int:
        """The index of the unit that belongs to a multiple of the alignment."""
        index = Fraction(pixels) / self.stride
        assert index.denominator == 1  # the alignment is a multiple of the stride's numerator
        return int(index)


@dataclass(frozen=True)
class Tiled:
    """A layer that can be cut, with the field of its centre unit."""

    layer: Layer
    field: ReceptiveField
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
            raise _refusal(layer, _uneven(number, stride))
    even = [stride for stride in strides if stride]
    alignment = [lcm(a, s.numerator) for a, s in zip(middle.alignment, even, strict=True)]
    periods = [int(a / s) for a, s in zip(alignment, even, strict=True)]
    units = list(_phases(layer, coordinates, periods))
    fields = [(unit, receptive_field_of(traced, Place(layer, unit))) for unit in units]
    along = [
        _along(fields, layer.coordinates.index(coordinate), number, coordinate.axis, stride, alignment[number], layer)
        for number, (coordinate, stride) in enumerate(zip(coordinates, even, strict=True))
    ]
    return Tiled(layer, middle, tuple(along))


def _coordinate(traced: Traced, layer: Layer, axis: int) -> Coordinate:
    """The coordinate that runs along an input axis, on a tensor axis of its own."""
    along = [coordinate for coordinate in layer.coordinates if coordinate.follows == {axis}]
    if len(along) != 1 or along[0].extent < 2:
        raise _refusal(layer, f"its units do not lie along {_axis(traced.space.index(axis))} of the input")
    if along[0].pitch != 1 or along[0].lead:
        raise _refusal(layer, "its units are counted on one axis (tokens), so a crop is no range of indices")
    return along[0]


def _phases(layer: Layer, coordinates: Sequence[Coordinate], periods: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Units that stand for all: the centre, and one for each phase of the longest period."""
    yield layer.center
    count = max(periods)
    for k in range(min(count, MOST_PHASES)):
        shift = k if count <= MOST_PHASES else k * count // MOST_PHASES
        unit = list(layer.center)
        for coordinate, period in zip(coordinates, periods, strict=True):
            position = layer.coordinates.index(coordinate)
            first = max(min(layer.center[position], coordinate.extent - period), 0)
            unit[position] = min(first + shift % period, coordinate.extent - 1)
        yield tuple(unit)


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
    ranges = list[tuple[float, float]]()
    for unit, field in fields:
        if field.reach is None:
            why = "some of its units see the whole input" if field.is_global else _uneven(number, None)
            raise _refusal(layer, why)
        offset = field.center[number] - float(stride * unit[position])
        before, after = field.reach[number]
        ranges.append((before - offset, after + offset))
    low, high = (max(pair[side] for pair in ranges) for side in (0, 1))
    unit, middle = fields[0]
    origin = middle.center[number] - float(stride * unit[position])
    return Along(tensor_axis, stride, origin, low, high, alignment)


def _axis(number: int) -> str:
    return f"spatial axis {number}"


def _uneven(number: int, stride: Fraction | None) -> str:
    if stride is not None and stride < 0:
        return f"its units run backward along {_axis(number)} of the input (flip)"
    return (
        f"its units do not lie evenly along {_axis(number)} of the input, as behind align_corners resampling or "
        "adaptive pooling"
    )


def _global(field: ReceptiveField) -> str:
    names = ", ".join(field.widened_by) or "an operator that sees all of it"
    if field.local is None:
        return f"each of its units sees the whole input, through {names}"
    size = "×".join(str(stop - start) for start, stop in field.local)
    return (
        f"each of its units depends on the whole input through statistics over the image ({names}); without them the "
        f"TRF is {size} px. With fixed statistics (BatchNorm in evaluation mode) tiles would work"
    )


def _refusal(layer: Layer, why: str) -> ProblemError:
    return ProblemError(
        "unsupported-model",
        f"Layer {layer.name!r} cannot be computed in tiles: {why}. Name an earlier layer (`layers`, --layer), or run "
        "the network on whole images.",
        layer=layer.name,
    )
