"""What both methods give of a unit, and what a measurement hands to them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from erfscope_contract.request import ErfRequest
from erfscope_contract.result import Samples, Verify
from erfscope_engine.layers import Layer, Place
from erfscope_engine.metrics import Geometry
from erfscope_engine.plan import Plan
from erfscope_engine.receptive import ReceptiveField

Progress = Callable[[str, float], None]
Errors = Mapping[str, float | None]


@dataclass(frozen=True)
class Order:
    """A request with its plan and what it needs, the same for all its units."""

    request: ErfRequest
    plan: Plan
    images: Sequence[NDArray[Any]]
    progress: Progress
    notes: dict[str, None] = field(default_factory=dict)  # what measuring has to say, each once


@dataclass(frozen=True)
class Taken:
    """One unit's raw map (times 2**-scale, of the input's spatial shape) with what it is of.

    `errors(briefly)` computes the standard errors; `channels` is what was put on the output.
    """

    place: Place
    field: ReceptiveField
    geometry: Geometry
    raw: NDArray[Any]
    scale: int
    samples: Samples
    channels: str
    errors: Callable[[bool], Errors]

    @property
    def layer(self) -> Layer:
        """The unit's layer."""
        return self.place.layer

    @property
    def is_dead(self) -> bool:
        """Whether no sample has a gradient."""
        return not self.raw.any()


class Method(Protocol):
    """How maps are made: by sampled gradients, or analytically."""

    def take(self, order: Order, places: Sequence[Place]) -> Iterator[tuple[int, Taken]]:
        """Every place's map with its position in `places`, in any order."""

    def autograd(self, order: Order) -> list[tuple[str, str]]:
        """Operators that autograd ran on whole tensors, and why."""

    def verified(self, order: Order, place: Place) -> Verify | None:
        """One sample by plain autograd on the whole network, where the request asks for it."""


def geometry_of(field: ReceptiveField) -> Geometry:
    """A receptive field as the metrics take it; a global one would continue beyond the input, unless it is causal."""
    stride = tuple(None if s is None else float(s) for s in field.stride)
    beyond = ((True, not field.causal),) * len(field.shape) if field.is_global else None
    return Geometry(field.center, field.box, field.shape, stride, beyond)
