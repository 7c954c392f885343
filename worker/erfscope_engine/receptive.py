"""The theoretical receptive field: exact box, stride and projected centre of any unit, by the region algebra."""

from dataclasses import dataclass
from fractions import Fraction

from erfscope.contract.problem import ProblemError
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.regions.interval import Interval, Region, whole
from erfscope_engine.regions.table import Call
from erfscope_engine.regions.walk import Reach, trace
from erfscope_engine.regions.windows import leaves_holes


@dataclass(frozen=True)
class ReceptiveField:
    """TRF of one unit on the input's spatial axes; the box is unclipped, and the whole input where global."""

    box: tuple[tuple[int, int], ...]
    stride: tuple[Fraction | None, ...]
    center: tuple[float, ...]
    shape: tuple[int, ...]
    is_global: bool
    widened_by: tuple[str, ...]
    reach: Reach

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return tuple(hi - lo for lo, hi in self.box)

    @property
    def clipped(self) -> bool:
        """Whether the box sticks out of the input."""
        return any(lo < 0 or hi > n for (lo, hi), n in zip(self.box, self.shape, strict=True))


def receptive_field_of(traced: Traced, layer: Layer, unit: tuple[int, ...]) -> ReceptiveField:
    """The TRF of `unit` of `layer` (Araujo et al., Distill 2019, gives the closed form for plain chains)."""
    reach = trace(traced.tape, layer.value, unit_region(layer, unit))
    region = reach.regions.get(0)
    if region is None:
        raise ProblemError("no-gradient", f"Layer {layer.name!r} does not depend on the input.", layer=layer.name)
    space = [region[k] for k in traced.space]
    paces = {u.follows: u.pace for u in layer.units}
    seats = layer.position(unit)
    return ReceptiveField(
        box=tuple((i.lo, i.hi) for i in space),
        stride=tuple(paces.get(k) for k in traced.space),
        center=tuple(
            float(seats[k]) if i.wide and k in seats else (i.lo + i.hi - 1) / 2
            for k, i in zip(traced.space, space, strict=True)
        ),
        shape=traced.spatial_shape,
        is_global=any(i.wide for i in space),
        widened_by=_who(traced, reach),
        reach=reach,
    )


def unit_region(layer: Layer, unit: tuple[int, ...], sample: int = 0) -> Region:
    """The region of a unit: a point in space, all channels, one sample."""
    at = {0: sample, **layer.place(unit)}
    return tuple(Interval(at[k], at[k] + 1) if k in at else whole(n) for k, n in enumerate(layer.shape))


def _who(traced: Traced, reach: Reach) -> tuple[str, ...]:
    """The operators nearest to the unit that made a spatial axis whole."""
    names = [traced.tape.label(entry) for entry, value, axis in reach.widened if traced.follows_space(value, axis)]
    return tuple(dict.fromkeys(names))[:5]


def holes_on_the_way(traced: Traced, field: ReceptiveField) -> tuple[str, ...]:
    """Transposed convolutions on a unit's way that leave holes: the box, a hull of intervals, may be wider than needed.

    The one that the unit itself belongs to leaves none in a single position.
    """
    tape, regions = traced.tape, field.reach.regions
    found = []
    for entry in tape.entries:
        out = entry.outputs[0]
        if out not in regions or not leaves_holes(Call(entry, tape, 0)):
            continue
        if any(i.size > 1 for i in regions[out][2:]):
            found.append(tape.label(entry))
    return tuple(dict.fromkeys(found))


def samples_leak(traced: Traced, layer: Layer) -> bool:
    """Whether a unit reads other samples (the first one's may stand in for all): then they must run one by one."""
    unit = tuple(n // 2 for n in layer.grid)
    return any(_leaks(traced, layer, unit, sample) for sample in {0, layer.shape[0] - 1})


def _leaks(traced: Traced, layer: Layer, unit: tuple[int, ...], sample: int) -> bool:
    region = trace(traced.tape, layer.value, unit_region(layer, unit, sample)).regions.get(0)
    return region is not None and region[0] != Interval(sample, sample + 1)
