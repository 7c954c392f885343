"""What intake hands to the engine: a runnable network and what is known about its input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor


class Mark(Protocol):
    """Names a tensor while a network runs, so that people can point at it."""

    def __call__(self, name: str, operator: str, value: Tensor) -> None:
        """Say that `value` is the output `name` of a node of type `operator`."""


Run = Callable[[Tensor, Mark], object]  # the outputs: a tensor, or tuples, lists and mappings of them
Redraw = Callable[[int], None]
Spread = Callable[[], None]
Weights = Callable[[], Sequence[Tensor]]


@dataclass(frozen=True)
class Network:
    """A network that runs eagerly on one input of shape (batch, *input_shape), parameters frozen.

    `run(x, mark)` executes it in evaluation mode and calls `mark` for every named tensor; it must not depend on
    hidden state. `batch` is the only batch size that it takes, or None for any. `redraw(draw)` gives every weight
    a new value, the draw-th of a counter-based stream; `spread()` puts the standard deviation of its draws in every
    weight's place (both None where weights are given). `weights()` lists the tensors that differ between draws, as
    they are now, in one order (without it every draw is recorded anew). `aliases` maps other names
    people use (ONNX node names) to tensor names. `at(dtype)` is the same network in another number type.
    """

    name: str
    run: Run
    input_name: str
    input_shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    batch: int | None = None
    redraw: Redraw | None = None
    weights: Weights | None = None
    spread: Spread | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    at: "Callable[[torch.dtype], Network] | None" = None

    def wide(self) -> "Network | None":
        """The same in float64; None where it is in float64 already, or cannot be had so."""
        if self.at is None or self.dtype == torch.float64:
            return None
        return replace(self.at(torch.float64), input_shape=self.input_shape)


def tensors_in(outputs: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of what a run returns, with their keys in nested tuples, lists and mappings."""
    if isinstance(outputs, Tensor):
        yield prefix, outputs
    elif isinstance(outputs, tuple | list | Mapping):
        for key, item in outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs):
            yield from tensors_in(item, f"{prefix}.{key}" if prefix else str(key))
