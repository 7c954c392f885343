"""The theoretical receptive field of a unit, with everything that is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from erfscope_contract.problem import ProblemError
from erfscope_engine.fields import Boxes, Field, Map, field_of, labelled, reach_of, seen_of
from erfscope_engine.geometry.seats import EVERYTHING
from erfscope_engine.layers import Coordinate, Layer, Place, Traced, layer_of
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.recording.tape import Call


@dataclass(frozen=True)
class ReceptiveField:
    """TRF of one unit on the input's spatial axes; the box is unclipped, and the whole input where global.

    `seen`: what of the box is read on this image. `alignment`: tiles start at its multiples. `reach`: pixels (before,
    behind) the centre, the largest over the phases. `local`: of a field that is global through statistics alone, the
    box without the operators `local_without`. `holed`: operators that leave holes in the box. `masked`: the box without
    taps that are 0, and the kernels that have such.
    """

    box: Boxes
    seen: Boxes | None
    stride: tuple[Fraction | None, ...]
    center: tuple[float, ...]
    shape: tuple[int, ...]
    is_global: bool
    widened_by: tuple[str, ...]
    alignment: tuple[int, ...] | None = None
    reach: tuple[tuple[float, float], ...] | None = None
    causal: bool = False
    local: Boxes | None = None
    local_without: tuple[str, ...] = ()
    holed: tuple[str, ...] = ()
    masked: tuple[Boxes, tuple[str, ...]] | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return tuple(hi - lo for lo, hi in self.box)

    @property
    def clipped(self) -> bool:
        """Whether the box sticks out of the input."""
        return any(lo < 0 or hi > n for (lo, hi), n in zip(self.box, self.shape, strict=True))


def receptive_field_of(traced: Traced, place: Place) -> ReceptiveField:
    """The TRF of a unit (Araujo et al., Distill 2019, gives the closed form for plain chains)."""
    layer = place.layer
    if layer.frame is None:
        return _unknown(traced, place)
    geometry = traced.geometry
    field = field_of(geometry, layer.value, place.region)
    if field is None:
        raise ProblemError(
            "no-gradient",
            f"Layer {layer.name!r} at unit {list(place.unit)} has no gradient with respect to the input: what it reads "
            "does not depend on the input, or only through operators without a gradient (comparison, rounding, "
            "detach). Name another layer or unit.",
            layer=layer.name,
        )
    own = _own_place(traced, place)
    causal = own is not None and _is_one_sided(traced, layer, field.box, own)
    center = own if causal and own is not None else _center(traced, layer, field)
    local, without = _local(traced, place, field)
    return ReceptiveField(
        box=field.box,
        seen=seen_of(geometry, layer.value, place.region),
        stride=tuple(layer.stride(axis) for axis in geometry.space),
        center=center,
        shape=traced.spatial_shape,
        is_global=field.is_global,
        widened_by=labelled(geometry, field.labels, field.regions),
        alignment=None if field.is_global else geometry.alignment(field.regions),
        reach=_reach(traced, layer, field, center),
        causal=causal,
        local=local,
        local_without=without,
        holed=_holed(traced, field),
        masked=_masked(traced, place, field),
    )


def _center(traced: Traced, layer: Layer, field: Field) -> tuple[float, ...]:
    """Where the unit sits; along an axis whose places are no even row, in the middle of its box."""
    uneven = {axis for c in layer.coordinates for d in c.digits if d.extent > 1 and not d.stride for axis in d.follows}
    middles = [(lo + hi - 1) / 2 for lo, hi in field.box]
    pairs = zip(traced.space, middles, field.center, strict=True)
    return tuple(middle if axis in uneven else at for axis, middle, at in pairs)


def _own_place(traced: Traced, place: Place) -> tuple[float, ...] | None:
    """Where the unit's index lies on the input by strides alone, without offsets; None where it has none."""
    if place.by_index:
        return None
    where = []
    for axis in traced.space:
        stride = place.layer.stride(axis)
        index = _index_along(place, axis)
        if stride is None or stride <= 0 or index is None:
            return None
        where.append(float(stride * index))
    return tuple(where)


def _index_along(place: Place, axis: int) -> int | None:
    pairs: list[tuple[Coordinate, int]] = list(zip(place.layer.coordinates, place.unit, strict=True))
    return next((i for coordinate, i in pairs if axis in coordinate.follows), None)


def _is_one_sided(traced: Traced, layer: Layer, box: Boxes, own: Sequence[float]) -> bool:
    """Whether a field ends at the unit's own place along some axis, and nowhere goes behind it by more than before.

    A causal network pads in front; one that pads nothing starts at the unit's place and is not causal. Neither is one
    of which a phase alone ends there (the last of an upsampling).
    """
    assert layer.frame is not None  # only recorded layers have boxes
    seats = [layer.frame.seats[axis] for axis in traced.space]
    ends = [hi - 1 == at and lo < at and seat.hi <= 0 for (lo, hi), at, seat in zip(box, own, seats, strict=True)]
    middle = [(lo + hi - 1) / 2 == at for (lo, hi), at in zip(box, own, strict=True)]
    return any(ends) and all(e or m for e, m in zip(ends, middle, strict=True))


def _reach(
    traced: Traced, layer: Layer, field: Field, center: tuple[float, ...]
) -> tuple[tuple[float, float], ...] | None:
    """The largest over the phases, by the seats; by the unit itself where they are wider or an axis is mixed.

    None where the phases are too many to look at (align_corners).
    """
    assert layer.frame is not None
    seats = [layer.frame.seats[axis] for axis in traced.space]
    if field.is_global or any(not seat.why and seat.hi - seat.lo > EVERYTHING for seat in seats):
        return None
    reaches = []
    for axis, (lo, hi), at, seat in zip(traced.space, field.box, center, field.center, strict=True):
        told = reach_of(layer.frame.seats[axis])
        before, behind, moved = at - lo, hi - 1 - at, at - seat
        if told:
            before, behind = max(before, float(told[0]) + moved), max(behind, float(told[1]) - moved)
        reaches.append((before, behind))
    return tuple(reaches)


def local_box_of(traced: Traced, place: Place) -> Boxes | None:
    """The box of a unit without the ways that carry statistics only; None where its field is not global by them alone.

    Pixels per input axis, half-open, unclipped.
    """
    field = field_of(traced.geometry, place.layer.value, place.region)
    return None if field is None else _local(traced, place, field)[0]


def _local(traced: Traced, place: Place, field: Field) -> tuple[Boxes | None, tuple[str, ...]]:
    """The box without the ways that carry statistics only, and their operators; None where that is global too."""
    if not field.is_global or not field.labels <= {name for name, record in OPERATORS.items() if record.statistics}:
        return None, ()
    local = field_of(traced.geometry, place.layer.value, place.region, local=True)
    if local is None or local.is_global:
        return None, ()
    return local.box, labelled(traced.geometry, field.labels, field.regions)


def _holed(traced: Traced, field: Field) -> tuple[str, ...]:
    """Transposed convolutions on a unit's way that leave holes: the box, a hull of intervals, may be wider than needed.

    The one that the unit itself belongs to leaves none in a single position.
    """
    tape, regions = traced.tape, field.regions
    names = []
    for call in tape.calls:
        output = call.outputs[0]
        if (
            output is not None
            and output in regions
            and _leaves_holes(call)
            and any(s.hi - s.lo > 1 for r, s in regions[output].items() if r[0].follows)
        ):
            names.append(tape.label(call))
    return tuple(dict.fromkeys(names))


def _leaves_holes(call: Call) -> bool:
    if call.name != "convolution" or not call.arg("transposed"):
        return False
    kernel = call.arg("weight")
    extents = kernel.shape[2:] if hasattr(kernel, "shape") else ()
    strides = call.arg("stride")
    return any(k < s for k, s in zip(extents, strides if len(strides) > 1 else strides * len(extents), strict=True))


def _masked(traced: Traced, place: Place, field: Field) -> tuple[Boxes, tuple[str, ...]] | None:
    """The box without taps that are 0 (masked convolutions), with the layers that have such; None without any."""
    geometry = traced.geometry
    calls = [geometry.made[index][0] for index in field.regions if index in geometry.made]
    names = [geometry.tape.label(call) for call in calls if id(call) in traced.dead_rims]
    if not names:
        return None
    without = Map.of(geometry.tape, geometry.space, masked=True)
    layer = layer_of(without, place.layer.value, place.layer.name)
    narrow = None if layer is None else field_of(without, layer.value, replace(place, layer=layer).region)
    return None if narrow is None or narrow.box == field.box else (narrow.box, tuple(dict.fromkeys(names)))


def _unknown(traced: Traced, place: Place) -> ReceptiveField:
    """Behind what could be recorded: the whole input, in the name of what could not."""
    shape = traced.spatial_shape
    extents = () if place.by_index else place.layer.grid
    center = tuple(
        (i + 0.5) * n / extent - 0.5 for i, n, extent in zip(place.unit, shape, extents, strict=True)
    ) if len(extents) == len(shape) else tuple((n - 1) / 2 for n in shape)  # fmt: skip
    box = tuple((0, n) for n in shape)
    return ReceptiveField(
        box, box, (None,) * len(shape), center, shape, is_global=True, widened_by=(traced.tape.stopped or "",)
    )
