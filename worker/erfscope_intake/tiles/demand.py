"""What all layers together need of a tile along each axis, and what is said of a size that cannot be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import lcm

from erfscope_contract.lengths import KINDS, NAMES, axis_name
from erfscope_contract.problem import FieldError, ProblemError
from erfscope_contract.tiles import TilesRequest
from erfscope_intake.tiles.geometry import Along, Tiled
from erfscope_intake.tiles.layout import AxisTiles, fitted, nearest, round_up, smallest, uncut

MOST_NAMED = 8
MOST_LISTED = 20_000  # tiles along all axes together: about 1 MB of JSON, of the 4 that an answer may have


@dataclass(frozen=True)
class Needs:
    """The layers to cut, with what they need of a tile."""

    layers: tuple[Tiled, ...]
    notes: tuple[str, ...]

    @property
    def columns(self) -> list[tuple[Along, ...]]:
        """All layers, by input axis."""
        return list(zip(*(one.along for one in self.layers), strict=True))

    @property
    def numbers(self) -> list[object]:
        """What must be the same at every size of the image."""
        return [(one.layer.name, a.stride, a.reads, a.alignment) for one in self.layers for a in one.along]


@dataclass(frozen=True)
class AxisDemand:
    """One input axis, in pixels: the tile's side, the image's extent (None: any), and what each layer reads."""

    side: int
    extent: int | None
    layers: Sequence[Along]

    @property
    def alignment(self) -> int:
        """What tiles must start at a multiple of, for all layers."""
        return lcm(*(along.alignment for along in self.layers))

    @property
    def lead(self) -> int:
        """Pixels at a tile's start for which some layer is wrong."""
        return max(along.lead() for along in self.layers)

    @property
    def tail(self) -> int:
        """Wrong pixels at the end of tiles whose side is a multiple of the alignment: all such tiles have as many."""
        furthest = max(reads.high for along in self.layers for reads in along.reads)
        tile = (int(max(furthest, 0)) // self.alignment + 2) * self.alignment
        return tile - self._stop(tile)

    @property
    def least(self) -> int:
        """The smallest side that keeps anything."""
        return smallest(self.alignment, self.lead, self.tail)

    @property
    def half(self) -> int:
        """The smallest side that keeps half of itself."""
        return 2 * round_up(self.lead + self.tail, self.alignment)

    @property
    def is_cut(self) -> bool:
        """Whether the image is larger than a tile."""
        return self.extent is None or self.extent > self.side

    @property
    def tiles(self) -> AxisTiles | None:
        """Tiles of that side, one where it holds the image; None where it is too small."""
        if self.extent is not None and self.extent <= self.side:
            return uncut(self.extent, self.alignment)
        return self._fitted(self.side)

    @property
    def smallest(self) -> AxisTiles:
        """The smallest tiles that keep anything."""
        axis = self._fitted(self.least)
        assert axis is not None  # that is what smallest means
        return axis

    def _fitted(self, side: int) -> AxisTiles | None:
        return fitted(side, self.alignment, self.lead, self._stop(side))

    def _stop(self, side: int) -> int:
        """Where the first layer begins to be wrong at the end of a tile of that side."""
        return min(along.stop(side) for along in self.layers)


def by_axis(needs: Needs, request: TilesRequest) -> list[AxisDemand]:
    """What is asked of each input axis. Raises ProblemError("invalid-request") where the sizes have another rank."""
    columns, image = needs.columns, request.image
    rank = len(columns)
    extents: list[int | None] = [None] * rank if image is None else [*sides_of(image, rank, "image")]
    return [AxisDemand(*row) for row in zip(sides_of(request.tile, rank, "tile"), extents, columns, strict=True)]


def fitted_axes(needs: Needs, request: TilesRequest) -> list[AxisTiles]:
    """Tiles of the size that is asked for; raises ProblemError("invalid-request") where one is too small."""
    axes = list[AxisTiles]()
    for number, demand in enumerate(by_axis(needs, request)):
        axis = demand.tiles
        if axis is None:
            raise _too_small(number, demand, needs)
        axes.append(axis)
    return axes


@contextmanager
def multiples_told(needs: Needs, request: TilesRequest) -> Iterator[None]:
    """Name the nearest sizes that are multiples of the alignment, where a network does not run on one that is none."""
    try:
        yield
    except ProblemError as problem:
        demands = by_axis(needs, request)
        odd = [k for k, one in enumerate(demands) if one.is_cut and one.side % one.alignment]
        if problem.kind != "shape-mismatch" or not odd:
            raise
        raise _unaligned(demands, odd) from problem


def image_refused(axes: Sequence[AxisTiles], image: Sequence[int], ends: Sequence[int]) -> ProblemError:
    """An image that ends in tiles on which the network does not run, and the size to pad it to."""
    padded = [
        round_up(extent, axis.alignment) if axis.is_cut else extent for axis, extent in zip(axes, image, strict=True)
    ]
    kind, unit = KINDS[len(image)], NAMES[len(image)]
    given, last, larger = ("×".join(map(str, sizes)) for sizes in (image, ends, padded))
    detail = (
        f"The {kind} of {given} {unit} ends in tiles of {last} {unit}, and the network does not run on those, for it "
        f"divides its input by {max(axis.alignment for axis in axes)}. Pad the {kind} to {larger} {unit} and cut its "
        f"answer (`--image {','.join(map(str, padded))}`)."
    )
    return ProblemError("invalid-request", detail, errors=[FieldError(pointer="/image", detail=detail)], nearest=padded)


def require_listable(axes: Sequence[AxisTiles], image: Sequence[int]) -> None:
    """Refuse an image of more tiles than an answer lists."""
    count = sum(-(-extent // axis.step) for axis, extent in zip(axes, image, strict=True))
    if count > MOST_LISTED:
        detail = (
            f"The {KINDS[len(image)]} takes about {count:,} tiles along its axes; at most {MOST_LISTED:,} can be "
            "listed. Use larger tiles, or leave out `image` (--image): `step` is then the distance from a tile to the "
            "next."
        )
        raise ProblemError("invalid-request", detail, errors=[FieldError(pointer="/image", detail=detail)])


def sides_of(extents: int | list[int], rank: int, field: str) -> list[int]:
    """One number for each axis; raises ProblemError("invalid-request") for another count."""
    sides = [extents] * rank if isinstance(extents, int) else list(extents)
    if len(sides) != rank:
        detail = f"{field} has {len(sides)} numbers, but the input has {rank} spatial axes; give one number for each."
        raise ProblemError("invalid-request", detail, errors=[FieldError(pointer=f"/{field}", detail=detail)])
    return sides


def _too_small(number: int, demand: AxisDemand, needs: Needs) -> ProblemError:
    names = ", ".join(repr(one.layer.name) for one in needs.layers[:MOST_NAMED])
    unit = NAMES[len(needs.columns)]
    detail = (
        f"A tile of {demand.side} {unit} keeps nothing along {axis_name(number, len(needs.columns))}: for {names} it "
        f"needs {demand.lead} {unit} before and {demand.tail} after what it keeps, and starts at multiples of "
        f"{demand.alignment}. Take a tile of at least {demand.least} {unit} ({demand.half} keep half of it), or name "
        "an earlier layer (`layers`, --layer)."
    )
    pointer = FieldError(pointer="/tile", detail=detail)
    return ProblemError("invalid-request", detail, errors=[pointer], smallest=demand.least)


def _unaligned(demands: Sequence[AxisDemand], odd: Sequence[int]) -> ProblemError:
    rank = len(demands)
    sizes, unit = "×".join(str(one.side) for one in demands), NAMES[rank]
    axes = ", ".join(
        f"{demands[k].side} {unit} along {axis_name(k, rank)} is not a multiple of {demands[k].alignment} {unit}"
        for k in odd
    )
    choices = [_aligned(demands, larger) for larger in (False, True)]
    told = " or ".join(dict.fromkeys(f"`--tile {_typed(choice)}`" for choice in choices))
    detail = f"The network does not run on tiles of {sizes} {unit}: {axes}, by which it divides its input. Take {told}."
    pointer = FieldError(pointer="/tile", detail=detail)
    return ProblemError("invalid-request", detail, errors=[pointer], nearest=choices)


def _aligned(demands: Sequence[AxisDemand], larger: bool) -> list[int]:
    """The next sizes on that side that are multiples and keep something."""
    sizes = list[int]()
    for one in demands:
        aligned = one.side % one.alignment == 0 or not one.is_cut
        near = [one.side] if aligned else nearest(one.side, one.alignment)
        sizes.append(max(near[-1 if larger else 0], one.least if one.is_cut else 0))
    return sizes


def _typed(sizes: Sequence[int]) -> str:
    """As one would type them: one number where they are the same for all axes."""
    return str(sizes[0]) if len(set(sizes)) == 1 else ",".join(map(str, sizes))
