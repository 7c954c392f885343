"""What a program is put together from: steps, each a module, the same function written another way, and its traits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

GLOBAL = "global"  # an operator mixes a whole axis: the field is the image along it
HOLES = "holes"  # what a unit reads has gaps, which an interval can hold only where they are inside it
EDGES = "edges"  # what is read at a border lies elsewhere (mirrored, circular)
SIZED = "sized"  # where a unit lies depends on the image's size
FIXED = "fixed"  # runs at this size only
COUPLES = "couples"  # samples of a batch see each other
LOPSIDED = "lopsided"  # the unit does not lie in the middle of what it reads
NOT_ONNX = "not onnx"  # an exporter refuses it, or writes something else (stopped gradients, writes in place)
CHANNELS = 4


@dataclass(frozen=True)
class Place:
    """Where a program has come to: a tensor of (batch, channels, *extents)."""

    channels: int
    extents: tuple[int, ...]

    @property
    def rank(self) -> int:
        """How many axes of space there are."""
        return len(self.extents)


@dataclass(frozen=True)
class Step:
    """One piece of a program.

    `pitch`: positions of the operand per position of the output (negative where they run backwards), per axis of space;
    `grain`: an operand shifted by its multiples gives the output shifted. `swaps`: the last two axes change places.
    """

    module: nn.Module
    twin: nn.Module | None = None
    pitch: tuple[Fraction, ...] = ()
    grain: int = 1
    traits: frozenset[str] = frozenset()
    twin_traits: frozenset[str] = frozenset()
    swaps: bool = False


Build = Callable[[Random, Place], Step | None]


@dataclass(frozen=True)
class Kind:
    """A row of the table: how a step of one kind is drawn, and on how many axes of space it can work."""

    name: str
    family: str
    ranks: tuple[int, ...]
    build: Build


@dataclass
class Table:
    """Every kind of step by name."""

    kinds: dict[str, Kind] = field(default_factory=dict)

    def add(self, family: str, ranks: tuple[int, ...] = (1, 2, 3)) -> Callable[[Build], Build]:
        """Decorates the function that draws a step."""

        def keep(build: Build) -> Build:
            name = build.__name__
            if name in self.kinds:
                raise ValueError(f"two kinds of step are called {name!r}")
            self.kinds[name] = Kind(name, family, ranks, build)
            return build

        return keep

    def drawn(self, random: Random, rank: int) -> Kind:
        """A kind that works on `rank` axes; by name, in whatever order they were imported."""
        return random.choice([kind for _, kind in sorted(self.kinds.items()) if rank in kind.ranks])


TABLE = Table()


class Fn(nn.Module):
    """A module written as one function of its parts and x."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Any:
        return self.function(*self.parts, x)


class Weights(nn.Module):
    """A tensor of weights in a module of its own, so that two ways of writing a function can share it."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))


def step(
    module: nn.Module | Callable[..., Any],
    twin: nn.Module | Callable[..., Any] | None = None,
    *traits: str,
    pitch: Any = (),
    grain: int = 1,
    twin_traits: tuple[str, ...] = (),
    swaps: bool = False,
) -> Step:
    """A step of modules or plain functions; the twin has the step's traits and its own."""
    parts = [None if part is None else part if isinstance(part, nn.Module) else Fn(part) for part in (module, twin)]
    assert parts[0] is not None
    mine = frozenset(traits)
    return Step(parts[0], parts[1], tuple(pitch), grain, mine, mine | frozenset(twin_traits), swaps)


def conv_of(rank: int) -> Any:
    """The convolution's class for `rank` axes of space."""
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]


def same_conv(rank: int, inputs: int, outputs: int, kernel: int = 3, **options: Any) -> Any:
    """A convolution that keeps the extents (odd kernel)."""
    return conv_of(rank)(inputs, outputs, kernel, padding=kernel // 2, **options)


def spatial(x: Tensor) -> tuple[int, ...]:
    """The axes of space of a tensor of (batch, channels, *space)."""
    return tuple(range(2, x.dim()))


def to_last(x: Tensor) -> Tensor:
    """(batch, channels, *space) → (batch, *space, channels)."""
    return x.movedim(1, -1)


def to_first(x: Tensor) -> Tensor:
    """(batch, *space, channels) → (batch, channels, *space)."""
    return x.movedim(-1, 1)


def alike(pitch: Fraction | int, rank: int) -> tuple[Fraction, ...]:
    """The same pitch along every axis."""
    return (Fraction(pitch),) * rank


def along(axis: int, pitch: Fraction | int, rank: int) -> tuple[Fraction, ...]:
    """A pitch along one axis of space (counted from 0), 1 along the others."""
    return tuple(Fraction(pitch) if k == axis else Fraction(1) for k in range(rank))
