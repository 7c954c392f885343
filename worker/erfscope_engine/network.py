"""What intake hands to the engine: a runnable network and what is known about its input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


class Mark(Protocol):
    """Names a tensor while a network runs, so that people can point at it."""

    def __call__(self, name: str, operator: str, value: Tensor) -> None:
        """Say that `value` is the output `name` of a node of type `operator`."""


Run = Callable[[Tensor, Mark], object]
Redraw = Callable[[int], None]


@dataclass(frozen=True)
class Network:
    """A network that runs eagerly on one input of shape (batch, *input_shape), parameters frozen.

    `run(x, mark)` executes it in evaluation mode and calls `mark` for every named tensor; it must not depend on
    hidden state. `batch` is the only batch size that it takes, or None for any. `redraw(draw)` gives every weight
    a new value, the draw-th of a counter-based stream. `aliases` maps other names
    people use (ONNX node names) to tensor names.
    """

    name: str
    run: Run
    input_name: str
    input_shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    batch: int | None = None
    redraw: Redraw | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
