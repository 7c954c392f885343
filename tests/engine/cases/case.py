"""A network that people have, and what is known of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.engine.oracle import Box, Pick, unit_of
from tests.engine.steps.step import Fn
from torch import Tensor, nn

Net = Fn
SHAPE = (3, 24, 20)


def whole(net: nn.Module, x: Tensor) -> Any:
    """The tensor that the network returns."""
    return net(x)


@dataclass(frozen=True)
class Case:
    """A network, the unit that is measured, and by hand what can be had so.

    `shape`: of the input, without the batch. `axes`: those of the layer's tensor (without the batch) that are space;
    default: the last ones. `tensor(net, x)` gives the layer's tensor where it is not the output. `channels`: None for
    their sum. `box`: the TRF by hand; `holds`: what it holds at
    least. `exact`: what is read on the image is the support of the gradient, to the pixel.
    """

    build: Callable[[], nn.Module]
    unit: tuple[int, ...]
    shape: tuple[int, ...] = SHAPE
    layer: str = "auto"
    taken: str | None = None  # the layer that `auto` must take
    axes: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    tensor: Callable[[nn.Module, Tensor], Any] = whole
    inputs: tuple[int, ...] = (1, 3)
    box: Box | None = None
    holds: Box | None = None
    center: tuple[float, ...] | None = None
    exact: bool = False
    tolerance: float = 1e-9

    @property
    def pick(self) -> Pick:
        """Picks the unit's channels from the layer's tensor."""
        return unit_of(self.unit, self.axes, self.channels)

    @property
    def target(self) -> dict[str, Any]:
        """The request's target."""
        channels: str | list[int] = "sum" if self.channels is None else list(self.channels)
        return {"layer": self.layer, "unit": list(self.unit), "channels": channels}


def conv(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=options.pop("padding", kernel // 2), **options)


def around(unit: Sequence[int], reach: int) -> Box:
    """The box of a unit that reads `reach` pixels to every side."""
    return [(i - reach, i + reach + 1) for i in unit]
