"""Random programs: small modules put together from every kind of step, with all that a check must know of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm, prod
from random import Random

# The files of steps add their rows to the table.
import tests.engine.steps.mixing
import tests.engine.steps.moves
import tests.engine.steps.neighbours
import tests.engine.steps.norms
import tests.engine.steps.windows
import tests.engine.steps.writes  # noqa: F401
import torch
from hypothesis import strategies as st
from tests.engine.oracle import Pick, unit_of
from tests.engine.steps.step import (
    CHANNELS,
    EDGES,
    FIXED,
    GLOBAL,
    HOLES,
    SIZED,
    TABLE,
    Place,
    Step,
    alike,
    same_conv,
    step,
)  # fmt: skip
from torch import Tensor, nn

SIDES = {1: (20, 40), 2: (14, 24), 3: (8, 10)}
LARGEST = {1: 90, 2: 48, 3: 16}
SMALLEST = 3
MOST_CHANNELS = 16
# Most of what people build has an exact field; a program of any steps hardly ever has.
MOODS = tuple(map(frozenset, ((), (GLOBAL,), (GLOBAL, HOLES, FIXED), (GLOBAL, HOLES, FIXED, SIZED, EDGES))))


@dataclass(frozen=True)
class Position:
    """Where the output's units lie: per output axis of space the input axis, and input pixels per unit."""

    axes: tuple[int, ...]
    pitch: tuple[Fraction, ...]
    grain: int = 1  # margins that are multiples of it move every tensor on the way by whole positions

    def behind(self, piece: Step) -> "Position":
        """Behind one more step."""
        pitch = tuple(a * b for a, b in zip(self.pitch, piece.pitch or alike(1, len(self.pitch)), strict=True))
        coarse = [abs(p) * piece.grain for p in self.pitch] + [abs(p) for p in pitch]
        grain = lcm(self.grain, *(c.numerator for c in coarse))
        axes = self.axes
        if piece.swaps:
            axes, pitch = (*axes[:-2], axes[-1], axes[-2]), (*pitch[:-2], pitch[-1], pitch[-2])
        return Position(axes, pitch, grain)


@dataclass(frozen=True)
class Program:
    """A module in float64 with what is known of it.

    `shape`: of the input, without the batch; `grid`: extents of the output behind (batch, channels). `twin` computes
    the same in another way; None where no step has one. `names` are the kinds of its steps. The same `seed` gives the
    same program.
    """

    seed: int
    module: nn.Module
    twin: nn.Module | None
    shape: tuple[int, ...]
    channels: int
    grid: tuple[int, ...]
    position: Position
    names: tuple[str, ...]
    traits: frozenset[str]
    twin_traits: frozenset[str]

    @property
    def has_global(self) -> bool:
        """Whether an operator mixes a whole axis."""
        return GLOBAL in self.traits

    @property
    def leaves_holes(self) -> bool:
        """Whether an interval may hold more than what is read."""
        return HOLES in self.traits

    def has(self, *traits: str) -> bool:
        """Whether it has one of these traits."""
        return bool(self.traits & set(traits))

    def units(self, random: Random) -> list[tuple[int, ...]]:
        """The centre, both corners, and one more."""
        center, last = tuple(n // 2 for n in self.grid), tuple(n - 1 for n in self.grid)
        return list(dict.fromkeys([center, (0,) * len(self.grid), last, tuple(random.randrange(n) for n in self.grid)]))

    def pick(self, unit: Sequence[int], channels: Sequence[int] | None = None) -> Pick:
        """The channels of a unit on the image."""
        return unit_of(unit, channels=channels)

    def pick_at(self, unit: Sequence[int], margin: int) -> Pick:
        """The same unit on a canvas with margins around the image."""
        moved = [i + margin / abs(p) for i, p in zip(unit, self.position.pitch, strict=True)]
        assert all(m.denominator == 1 for m in moved)
        return unit_of([int(m) for m in moved])

    def larger(self) -> "Program":
        """The same module for a larger image."""
        grow = self.position.grain * (1 if self.position.grain > 3 else 2)
        shape = (self.shape[0], *(n + grow for n in self.shape[1:]))
        return replace(self, shape=shape, grid=_extents(self.module, shape)[1])


def _extents(module: nn.Module, shape: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Channels and extents of a module's output."""
    with torch.no_grad():
        y: Tensor = module(torch.linspace(-1, 1, prod(shape), dtype=torch.float64).view(1, *shape))
    return y.shape[1], tuple(y.shape[2:])


def weighed(module: nn.Module, random: Random) -> nn.Module:
    """The module in float64 and evaluation mode, its weights and statistics by `random` alone."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            fan = max(prod(parameter.shape[1:]), 1)
            spread = 0.4 if parameter.dim() < 2 else 1.5 / fan**0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * spread)
            if parameter.dim() < 2:
                parameter.add_(0.6)
        for name, buffer in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.3, 1.5, generator=generator)
    return module


def _stem(random: Random, place: Place) -> Step:
    kernel = random.choice([1, 3])
    return step(same_conv(place.rank, place.channels, CHANNELS, kernel))


def _next(random: Random, place: Place, without: frozenset[str]) -> tuple[str, Step, Place]:
    """A step that runs here, has none of some traits, and leaves something to look at."""
    for _ in range(200):
        kind = TABLE.drawn(random, place.rank)
        piece = kind.build(random, place)
        if piece is None or piece.traits & without:
            continue
        weighed(piece.module, random)
        try:
            channels, extents = _extents(piece.module, (place.channels, *place.extents))
        except (RuntimeError, ValueError):  # too small an image for this window, this padding
            continue
        fits = len(extents) == place.rank and all(SMALLEST <= n <= LARGEST[place.rank] for n in extents)
        if fits and channels <= MOST_CHANNELS:
            return kind.name, piece, Place(channels, extents)
    raise AssertionError(f"no step fits {place}")


def program(seed: int, *, rank: int | None = None, most: int = 5) -> Program:
    """The program of a seed: up to `most` steps behind a first convolution (most have one), on `rank` axes of space."""
    random = Random(seed)
    rank = rank or random.choice([1, 2, 2, 2, 3])
    shape = (random.choice([1, 3]), *(2 * random.randint(*(n // 2 for n in SIDES[rank])) for _ in range(rank)))
    place, position = Place(shape[0], shape[1:]), Position(tuple(range(rank)), alike(1, rank))
    names, pieces = list[str](), list[Step]()
    if random.random() < 0.9 or rank == 1:  # a vector that nothing slides along has no space
        pieces.append(_stem(random, place))
        weighed(pieces[0].module, random)
        place = Place(CHANNELS, place.extents)
    without = random.choice(MOODS)
    for _ in range(random.randint(1, most)):
        name, piece, place = _next(random, place, without)
        names.append(name)
        pieces.append(piece)
        position = position.behind(piece)
    twins = [piece.module if piece.twin is None else piece.twin.double().eval() for piece in pieces]
    return Program(
        seed=seed,
        module=nn.Sequential(*(piece.module for piece in pieces)),
        twin=nn.Sequential(*twins) if any(piece.twin is not None for piece in pieces) else None,
        shape=shape,
        channels=place.channels,
        grid=place.extents,
        position=position,
        names=tuple(names),
        traits=_all(piece.traits for piece in pieces),
        twin_traits=_all(piece.twin_traits for piece in pieces),
    )


def _all(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def programs(rank: int) -> st.SearchStrategy[Program]:
    """Programs on `rank` axes of space, drawn by their seeds."""
    return st.integers(0, 2**32 - 1).map(lambda seed: program(seed, rank=rank))
