"""Builds small specs and runs them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from erfscope_contract.architecture import Architecture
from erfscope_contract.request import InputOptions, Weights
from erfscope_engine import Network
from erfscope_intake.spec import build_network

Build = Callable[..., Network]
Trace = Callable[[Network, Tensor], dict[str, Tensor]]


@pytest.fixture
def build() -> Build:
    """Architecture or its layers → Network, on the CPU in float64."""

    def make(
        *layers: dict[str, Any],
        size: tuple[int, ...] = (16, 16),
        channels: int = 4,
        init: Any = "default",
        weights: Weights = Weights.GIVEN,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> Network:
        architecture = Architecture.model_validate(
            {"input": {"channels": channels, "size": list(size)}, "init": init, "layers": list(layers)}
        )
        device = torch.device("cpu")
        return build_network(architecture, InputOptions(), dtype=dtype, device=device, weights=weights, seed=seed)

    return make


@pytest.fixture
def trace() -> Trace:
    """Every marked tensor of one run, by name."""

    def run(network: Network, x: Tensor) -> dict[str, Tensor]:
        marked: dict[str, Tensor] = {}
        network.run(x, lambda name, operator, value: marked.update({name: value}))
        return marked

    return run
