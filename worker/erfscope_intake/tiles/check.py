"""The numerical check: tiles at the corners and in the middle of an image are run and compared with the whole."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import inf, isfinite, prod, sqrt

import torch
from torch import Tensor

from erfscope_contract.lengths import KINDS, NAMES
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import Dtype
from erfscope_contract.tiles import Checked, HaloError
from erfscope_engine.arithmetic import arithmetic
from erfscope_engine.network import Network
from erfscope_intake.sizes import SizedModel, size_explained, values_of
from erfscope_intake.tiles.geometry import Tiled
from erfscope_intake.tiles.layout import AxisTiles, Range, round_up

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the exact halo, for which the error is told
EQUAL = {Dtype.FLOAT32: 1e-5, Dtype.FLOAT64: 1e-9}  # relative to the largest value: rounding stays below
SHARE = 4  # tiles of the check lie a quarter of a tile apart, so that the whole image is 1.5 tiles wide
MOST_PIXELS = 1 << 22  # of the image of the check, beyond which tiles lie as close together as they can
TYPES = {Dtype.FLOAT32: torch.float32, Dtype.FLOAT64: torch.float64}

Place = tuple[Range, ...]  # what a tile reads, per axis
Sides = tuple[Range, ...]  # a halo at start and end, per axis
Samples = Callable[[Network], Sequence[Tensor]]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Scale:
    """What differences of one layer are relative to: the largest absolute value of the whole, and its mean square."""

    largest: float
    mean_square: float


@dataclass(frozen=True)
class Halo:
    """Differences of one layer on one tile with a halo: the largest, their mean square, over how many."""

    largest: float
    mean_square: float
    count: int


@dataclass(frozen=True)
class Difference:
    """Largest absolute differences of one layer on one tile: where the crop says that it is right, and elsewhere."""

    layer: str
    place: Place
    inside: float
    outside: float | None
    halos: tuple[Halo, ...] = ()

    def over(self, scale: Scale) -> "Difference":
        """Relative to a scale."""
        outside = None if self.outside is None else self.outside / scale.largest
        halos = tuple(
            replace(one, largest=one.largest / scale.largest, mean_square=one.mean_square / scale.mean_square)
            for one in self.halos
        )
        return Difference(self.layer, self.place, self.inside / scale.largest, outside, halos)


def distances(axes: Sequence[AxisTiles]) -> list[int]:
    """How far the tiles of the check lie apart, per axis: a quarter of a tile, or as little as can be if it is large.

    What a network makes of another place shows better over a distance, but the whole image must fit into memory.
    """
    far = [min(axis.step, round_up(-(-axis.tile // SHARE), axis.alignment)) if axis.is_cut else 0 for axis in axes]
    pixels = prod(axis.tile + 2 * distance for axis, distance in zip(axes, far, strict=True))
    return far if pixels <= MOST_PIXELS else [axis.alignment if axis.is_cut else 0 for axis in axes]


def image_of(axes: Sequence[AxisTiles]) -> list[int]:
    """The size of the image of the check: three tiles along each axis that is cut."""
    return [axis.tile + 2 * distance for axis, distance in zip(axes, distances(axes), strict=True)]


def places_of(axes: Sequence[AxisTiles]) -> list[Place]:
    """What the tiles read: one at every corner of the image, and one in the middle, with neighbours on all sides."""
    apart = distances(axes)
    corners = product(*((0, 2 * distance) for distance in apart))
    starts = dict.fromkeys([*corners, tuple(apart)])
    return [tuple((at, at + axis.tile) for at, axis in zip(place, axes, strict=True)) for place in starts]


@dataclass(frozen=True)
class Trial:
    """A model, its own input shape, the cut that is tried on it, the inputs, and another halo whose error is told."""

    model: SizedModel
    input_shape: tuple[int, ...]
    layers: Sequence[Tiled]
    axes: Sequence[AxisTiles]
    samples: Samples
    asked: Sides | None = None

    @cached_property
    def halos(self) -> list[Sides]:
        """Shares of the exact halo, and the one that is asked for, smallest first."""
        shares = [tuple(axis.halo(share) for axis in self.axes) for share in SHARES]
        return sorted(
            {*shares, *([] if self.asked is None else [self.asked])}, key=lambda sides: (sum(map(sum, sides)), sides)
        )

    @property
    def exact(self) -> int:
        """The position of the exact halo."""
        return self.halos.index(tuple(axis.halo(1.0) for axis in self.axes))

    def run(self, begun: Callable[[int, int], None]) -> tuple[Checked, Shapes]:
        """Compare every tile with the whole image; again in float64 where float32 leaves a doubt.

        Also returns the shape of each layer on one tile. `begun` hears which tile (from 0) of how many runs. Raises
        ProblemError: "unsupported-model" where they differ, "non-finite-output", "shape-mismatch" where the network
        does not run at these sizes.
        """
        for dtype, equal in EQUAL.items():
            differences, shapes = self._differences(dtype, begun)
            worst = max(differences, key=lambda one: one.inside)
            if worst.inside <= equal:
                outside = max((one.outside for one in differences if one.outside is not None), default=None)
                by_halo = (
                    [] if outside is None and self.asked is None else by_halo_of(differences, self.axes, self.halos)
                )
                return Checked(
                    image=image_of(self.axes),
                    tiles=len(differences) // len(self.layers),
                    max_error=worst.inside,
                    outside=outside,
                    by_halo=by_halo,
                    asked=None if self.asked is None else by_halo[self.halos.index(self.asked)],
                    dtype=dtype,
                ), shapes
        raise _refusal(worst, image_of(self.axes))

    def _differences(self, dtype: Dtype, begun: Callable[[int, int], None]) -> tuple[list[Difference], Shapes]:
        image, places, differences = image_of(self.axes), places_of(self.axes), list[Difference]()
        large, small = (self._network(sides, dtype) for sides in (image, [axis.tile for axis in self.axes]))
        samples = self.samples(large)
        with arithmetic(dtype, large.device):
            for first, x in enumerate(samples):
                whole = self._values(large, x)
                scales = {name: _scale(name, value) for name, value in whole.items()}
                for number, place in enumerate(places):
                    begun(first * len(places) + number, len(samples) * len(places))
                    window = (slice(None), slice(None), *(slice(*reads) for reads in place))
                    parts = self._values(small, x[window])
                    for one in self.layers:
                        name = one.layer.name
                        difference = self._difference(one, place, whole[name], parts[name])
                        differences.append(difference.over(scales[name]))
        return differences, {name: tuple(value.shape) for name, value in parts.items()}

    def _difference(self, one: Tiled, place: Place, whole: Tensor, part: Tensor) -> Difference:
        """One tile beside the same units of the whole; infinite where it does not have the units that it should."""
        same, right = [slice(None)] * whole.dim(), [[slice(None)] * whole.dim() for _ in self.halos]
        image = image_of(self.axes)
        for k, (along, axis, reads, extent) in enumerate(zip(one.along, self.axes, place, image, strict=True)):
            first = along.units(reads[0])
            stop, last = first + part.shape[along.axis], whole.shape[along.axis]
            same[along.axis] = slice(first, stop)
            for number, (halo, keep) in enumerate(zip(self.halos, right, strict=True)):
                low, high = axis.right(reads, extent, halo[k])
                end = last if high == extent else along.units(high)
                if stop > last or (end > stop and number == self.exact):
                    return Difference(one.layer.name, place, inf, None)
                keep[along.axis] = slice(along.units(low) - first, min(end, stop) - first)
        difference = (part - whole[tuple(same)]).abs()
        halos = tuple(_halo(difference[tuple(keep)]) for keep in right)
        difference[tuple(right[self.exact])] = -1.0
        outside = float(difference.max())
        return Difference(one.layer.name, place, halos[self.exact].largest, outside if outside >= 0 else None, halos)

    def _network(self, extents: Sequence[int], dtype: Dtype) -> Network:
        shape = [self.input_shape[0], *extents]
        with size_explained(shape, self.input_shape):
            return self.model.network(shape, TYPES[dtype])

    def _values(self, network: Network, x: Tensor) -> Mapping[str, Tensor]:
        names = [one.layer.name for one in self.layers]
        with size_explained(network.input_shape, self.input_shape):
            return values_of(network, x, names)


def by_halo_of(differences: Sequence[Difference], axes: Sequence[AxisTiles], halos: Sequence[Sides]) -> list[HaloError]:
    """The errors of all tiles for each halo."""
    rows, layers = list[HaloError](), dict.fromkeys(one.layer for one in differences)
    for number, halo in enumerate(halos):
        parts = {name: [one.halos[number] for one in differences if one.layer == name] for name in layers}
        cut = [axis.with_halo(sides) for axis, sides in zip(axes, halo, strict=True)]
        rows.append(
            HaloError(
                halo=list(halo),
                step=[axis.step for axis in cut],
                efficiency=prod(axis.step / axis.tile for axis in cut),
                max_error=max(part.largest for layer in parts.values() for part in layer),
                relative_error=sqrt(max(_mean(layer) for layer in parts.values())),
            )
        )
    return rows


def _mean(parts: Sequence[Halo]) -> float:
    """The mean square over all tiles and inputs."""
    return sum(part.mean_square * part.count for part in parts) / max(sum(part.count for part in parts), 1)


def _scale(name: str, whole: Tensor) -> Scale:
    largest = float(whole.abs().max())
    if not isfinite(largest):
        raise ProblemError(
            "non-finite-output",
            f"Layer {name!r} is not finite on normal noise, so tiles cannot be compared with the whole.",
            layer=name,
        )
    return Scale(largest or 1.0, float(whole.double().square().mean()) or 1.0)


def _halo(difference: Tensor) -> Halo:
    return Halo(float(difference.max()), float(difference.double().square().mean()), difference.numel())


def _refusal(worst: Difference, image: Sequence[int]) -> ProblemError:
    inner = all(start > 0 and stop < extent for (start, stop), extent in zip(worst.place, image, strict=True))
    size, rank = "×".join(map(str, image)), len(image)
    place = ", ".join(f"{start}…{stop}" for start, stop in worst.place)
    what = "position embeddings or coordinates" if inner else "positions, or padding with pixels from the other side"
    amount = f"by {worst.inside:.2g} of its largest value" if isfinite(worst.inside) else "in how many units there are"
    return ProblemError(
        "unsupported-model",
        f"Tiles do not give what the whole {KINDS[rank]} gives: layer {worst.layer!r} differs {amount} (tile {place} "
        f"of {size} {NAMES[rank]}), although the halo holds all that its units read. The network uses more than its "
        f"receptive field, such as the size of its input, {what}. Name an earlier layer (`layers`, --layer), or run "
        f"the network on whole {KINDS[rank]}s.",
        layer=worst.layer,
    )
