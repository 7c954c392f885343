"""The whole network by plain autograd: the definition of a map, what `verify` compares with, and the last resort.

It runs what a recording cannot follow (paths and shapes that the input's values decide), on whole images.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_engine.execution.box import Box, cut, full
from erfscope_engine.execution.by_autograd import OrderedNorms
from erfscope_engine.network import Network
from erfscope_engine.recording.recorder import opened
from erfscope_engine.room import is_out_of_memory


class _ReachedError(Exception):
    """All wanted tensors are there."""


def tensors_of(network: Network, x: Tensor, wanted: Sequence[str] | None = None) -> dict[str, tuple[str, Tensor]]:
    """Run `network` on `x` and take its named tensors (those that are wanted, or all): (operator, tensor) by name."""
    seen: dict[str, tuple[str, Tensor]] = {}

    def mark(name: str, operator: str, value: Tensor) -> None:
        if wanted is None or name in wanted:
            seen.setdefault(name, (operator, value))
            if wanted is not None and len(seen) == len(set(wanted)):
                raise _ReachedError

    with opened(), suppress(_ReachedError):
        network.run(x, mark)
    return seen


@dataclass(frozen=True)
class WholeNetwork:
    """A network run as it is; `targets` are the name of a tensor and the box that is wanted of it."""

    network: Network
    targets: tuple[tuple[str, Box], ...]
    batch: int = 1

    @property
    def boxes(self) -> Mapping[int, Box]:
        """The input's box: all of it."""
        return {0: full((self.batch, *self.network.input_shape))}

    def run(self, x: Tensor, _: Box | None = None) -> "WholeRun":
        """Forward, with autograd's own graph; `x` is the input's box, which is all of it."""
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            seen = tensors_of(self.network, leaf, [name for name, _ in self.targets])
        missing = [name for name, _ in self.targets if name not in seen]
        if missing:
            raise ProblemError(
                "data-dependent",
                f"The network does not compute layer {missing[0]!r} for every input; name one that it always computes.",
                layer=missing[0],
            )
        return WholeRun(leaf, tuple(cut(seen[n][1], full(seen[n][1].shape), box) for n, box in self.targets))


@dataclass(frozen=True)
class WholeRun:
    """One forward run."""

    leaf: Tensor
    graphs: tuple[Tensor, ...]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The targets' boxes."""
        return tuple(graph.detach() for graph in self.graphs)

    def is_differentiable(self, target: int) -> bool:
        """Whether a gradient can go back from a target at all."""
        return self.graphs[target].requires_grad

    def back(self, target: int, seed: Tensor) -> Tensor | None:
        """The gradient of `seed` · output of a target with respect to the input; None where nothing arrives."""
        output = self.graphs[target]
        try:
            with OrderedNorms():
                (g,) = torch.autograd.grad(
                    output, self.leaf, seed.to(output.dtype), retain_graph=True, allow_unused=True
                )
        except (RuntimeError, NotImplementedError) as error:
            if is_out_of_memory(error):
                raise
            words = str(error).strip().split("\n", 1)[0].split(". ", 1)[0]
            raise ProblemError("no-gradient", f"Autograd cannot differentiate this network: {words}.") from error
        return g


Executor = (
    Any  # a Program or a WholeNetwork: .boxes, .run(x, box) → .outputs, .is_differentiable(target), .back(target, seed)
)
