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

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]
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


def train(network: "Network", batches: Iterator[Batch], steps: int, loss: Loss, hear: Callable[[float], None]) -> float:
    """`steps` steps of AdamW; the last loss. The network's weights change in place and end frozen."""
    import torch

    modules = _modules(network)
    for module in modules:
        module.train().requires_grad_(True)
    optimiser = torch.optim.AdamW([p for m in modules for p in m.parameters()], lr=RATE, weight_decay=DECAY)
    last = float("nan")
    for step in range(steps):
        images, truth = next(batches)
        found = loss(forward(network, images), torch.from_numpy(truth))
        optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        optimiser.step()
        last = float(found.detach())
        hear((step + 1) / steps)
    _freeze(modules)
    return last


def settle(network: "Network", batches: Iterator[Batch], count: int = SETTLING) -> None:
    """Read the statistics of batch normalisation anew from some batches.

    A fresh layer holds mean 0 and variance 1, which no training step ever uses: without this the network before
    training would be another one than the network that is trained.
    """
    import torch
    from torch import nn

    modules = _modules(network)
    norms = [
        part for module in modules for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
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
    _freeze(modules)


def forward(network: "Network", images: NDArray[np.float32]) -> "Tensor":
    """The network's output for a batch."""
    import torch

    out = network.run(torch.from_numpy(images), lambda name, operator, value: None)
    assert isinstance(out, torch.Tensor)  # a spec has one output
    return out


def _modules(network: "Network") -> "list[nn.Module]":
    from erfscope_intake.spec.build import Execution

    assert isinstance(network.run, Execution)  # what a spec is built into
    return list(network.run.modules)


def _freeze(modules: "list[nn.Module]") -> None:
    for module in modules:
        module.eval().requires_grad_(False)
