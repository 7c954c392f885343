"""How often each input pixel is seen: the paths from it to all units of a network's output."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.request import InputOptions, Weights

Counts = NDArray[np.float64]


def linear_net(name: str, side: int, layers: Sequence[AnyLayer]) -> Architecture:
    """Layers of one channel and kernels of ones: an output is the sum of its inputs over all paths."""
    return Architecture(name=name, input=InputSpec(channels=1, size=[side, side]), init=Init.ONES, layers=list(layers))


def counts_of(architecture: Architecture) -> Counts:
    """The number of paths from each pixel [H, W] to all units of the output.

    The gradient of the sum of the outputs, in float64: exact up to 2**53 paths.
    """
    import torch

    from erfscope_intake.spec import build_network

    network = build_network(
        architecture, InputOptions(), dtype=torch.float64, device=torch.device("cpu"), weights=Weights.GIVEN, seed=0
    )
    image = torch.ones(1, *network.input_shape, dtype=torch.float64, requires_grad=True)
    out = network.run(image, lambda name, operator, value: None)
    assert isinstance(out, torch.Tensor)  # a spec has one output
    (counts,) = torch.autograd.grad(out.sum(), image)
    return np.asarray(counts[0, 0].numpy())


def middle(counts: Counts) -> Counts:
    """The middle half of each axis, which no border reaches in networks of a field below a quarter of the input."""
    height, width = (extent // 4 for extent in counts.shape)
    return counts[height:-height, width:-width]


def weakest(counts: Counts) -> float:
    """How often the least seen pixel of the middle is seen, over the most seen one: 1 where no pixel is special."""
    inner = middle(counts)
    return float(inner.min() / inner.max())
