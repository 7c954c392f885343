"""Trains the network of a spec: the same modules that are measured, so there is no second implementation."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.architecture import Architecture
from erfscope_contract.request import InputOptions, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from erfscope_engine.network import Network

Images = NDArray[np.float32]
Classes = NDArray[np.int64]  # of images [N], of scenes [N, H, W]
Batch = tuple[Images, Classes]
Loss = Callable[["Tensor", "Tensor"], "Tensor"]
RATE, DECAY = 2e-3, 1e-4
SETTLING = 8  # batches from which the statistics of batch normalisation are read


def drawn(architecture: Architecture, seed: int) -> "Network":
    """The spec's network with random weights, on the CPU."""
    import torch

    from erfscope_intake.spec import build_network

    return build_network(
        architecture, InputOptions(), dtype=torch.float32, device=torch.device("cpu"), weights=Weights.GIVEN, seed=seed
    )


class Learner:
    """A network with its AdamW: its weights change in place, and are frozen between calls of `steps`."""

    def __init__(self, network: "Network", loss: Loss) -> None:
        import torch

        self._network, self._loss = network, loss
        weights = [p for module in modules(network) for p in module.parameters()]
        self._optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)

    def steps(self, batches: Iterator[Batch], count: int, hear: Callable[[float], None] = lambda share: None) -> float:
        """Take `count` steps, one a batch; the last loss."""
        import torch

        thaw(self._network)
        last = float("nan")
        for step in range(count):
            images, truth = next(batches)
            found = self._loss(forward(self._network, images), torch.from_numpy(truth))
            self._optimiser.zero_grad()
            found.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            self._optimiser.step()
            last = float(found.detach())
            hear((step + 1) / count)
        freeze(self._network)
        return last


def train(network: "Network", batches: Iterator[Batch], steps: int, loss: Loss, hear: Callable[[float], None]) -> float:
    """`steps` steps of a new AdamW; the last loss. The network's weights change in place and end frozen."""
    return Learner(network, loss).steps(batches, steps, hear)


def settle(network: "Network", batches: Iterator[Batch], count: int = SETTLING) -> None:
    """Read the statistics of batch normalisation anew from some batches.

    A fresh layer holds mean 0 and variance 1, which no training step ever uses: without this the network before
    training would be another one than the network that is trained.
    """
    import torch
    from torch import nn

    norms = [
        part
        for module in modules(network)
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    with torch.no_grad():
        for _ in range(count):
            forward(network, next(batches)[0])
    for norm in norms:
        norm.momentum = 0.1
    freeze(network)


def forward(network: "Network", images: Images) -> "Tensor":
    """The network's output for a batch."""
    import torch

    out = network.run(torch.from_numpy(images), lambda name, operator, value: None)
    assert isinstance(out, torch.Tensor)  # a spec has one output
    return out


def modules(network: "Network") -> "list[nn.Module]":
    """The modules of the network's layers, in order."""
    from erfscope_intake.spec.build import Execution

    assert isinstance(network.run, Execution)  # what a spec is built into
    return list(network.run.modules)


def thaw(network: "Network") -> None:
    """Make the network trainable."""
    for module in modules(network):
        module.train().requires_grad_(True)


def freeze(network: "Network") -> None:
    """Make the network one that is measured: evaluation mode, no gradients of weights."""
    for module in modules(network):
        module.eval().requires_grad_(False)


def lay_out(network: "Network") -> None:
    """The weights in the memory order in which convolutions of small images are fastest on a CPU."""
    import torch

    for module in modules(network):
        for weight in module.parameters():
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
