"""Where a unit sits on the input: projected centre, theoretical box, input shape, stride.

Coordinates are pixel-centre coordinates: pixel i spans [i - 0.5, i + 0.5], so a half-open box [lo, hi) of
pixel indices is centred at (lo + hi - 1) / 2 and an input of n pixels spans [-0.5, n - 0.5].
"""

from dataclasses import dataclass

from erfscope_contract.roots import geometric_mean


@dataclass(frozen=True)
class Geometry:
    """The unit's place on an input of 1, 2 or 3 spatial axes; every tuple has one entry per axis.

    `center` may lie between pixels, and outside the input (a unit that sees mostly padding). `trf_box` is
    unclipped. `stride` is None on an axis where the box does not move by a constant step. `beyond` tells if the field
    would continue before the input's first and behind its last pixel of each axis; without it, the box tells.
    """

    center: tuple[float, ...]
    trf_box: tuple[tuple[int, int], ...]
    shape: tuple[int, ...]
    stride: tuple[float | None, ...]
    beyond: tuple[tuple[bool, bool], ...] | None = None

    def __post_init__(self) -> None:
        ranks = {len(self.center), len(self.trf_box), len(self.shape), len(self.stride)}
        if ranks not in ({1}, {2}, {3}):
            raise ValueError(f"a geometry has 1, 2 or 3 axes, the same in every field, not {sorted(ranks)}")

    @property
    def open_sides(self) -> tuple[tuple[bool, bool], ...]:
        """Whether the field continues (before the first, behind the last) pixel of each axis."""
        pairs = zip(self.trf_box, self.shape, strict=True)
        return self.beyond or tuple((low < 0, high > n) for (low, high), n in pairs)

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.shape)

    @property
    def input_side(self) -> float:
        """Geometric mean of the input's sides, pixels."""
        return geometric_mean(self.shape)

    @property
    def trf_side(self) -> float:
        """Geometric mean of the unclipped box's sides, pixels."""
        return geometric_mean([high - low for low, high in self.trf_box])

    @property
    def trf_side_clipped(self) -> float:
        """The same of the box clipped to the input; 0 where the box misses the input."""
        pairs = zip(self.trf_box, self.shape, strict=True)
        return geometric_mean([max(0, min(high, n) - max(low, 0)) for (low, high), n in pairs])

    @property
    def nearest_center(self) -> tuple[float, ...]:
        """The projected centre, clamped to the centres of the input's outermost pixels."""
        return tuple(min(max(c, 0.0), n - 1.0) for c, n in zip(self.center, self.shape, strict=True))
