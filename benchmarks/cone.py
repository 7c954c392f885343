"""The engine's program of one unit, alone: what its arithmetic costs without draws, averages and errors.

The only part of the benchmark that knows the engine's inside; so it also has the clock of a measurement's parts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erfscope_contract.request import ErfRequest
from erfscope_engine import Network, measure_network, network_of
from erfscope_engine.plan import center_place, plan_for, program_for


@dataclass(frozen=True)
class BareCone:
    """The centre unit of a body's last layer, planned for many samples; `planning` is in seconds.

    `box` is the part of a batch of inputs that it reads, [start, stop) by axis. `gradient(x, seed)` takes a batch of
    whole inputs and what is put on the unit's channels, given the unit's outputs; it returns the gradient on `box`.
    """

    batch: int
    box: Sequence[tuple[int, int]]
    planning: float
    gradient: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]


def bare_cone(
    body: nn.Module, shape: tuple[int, ...], *, samples: int, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> BareCone:
    """Plan `body` for inputs of `shape` (without the batch). Raises ValueError where nothing arrives at the input."""
    begun = time.perf_counter()
    plan = plan_for(network_of(body, shape, dtype=dtype, device=device), "auto", samples=samples)
    program = program_for(plan.traced, [center_place(plan.layer)])
    planning = time.perf_counter() - begun

    def gradient(x: Tensor, seed: Callable[[Tensor], Tensor]) -> Tensor:
        run = program.run(x)
        g = run.back(0, seed(run.outputs[0]))
        if g is None:
            raise ValueError(f"the centre of layer {plan.layer.name!r} sends no gradient to the input")
        return g

    return BareCone(plan.traced.tape.batch, program.boxes[0], planning, gradient)


def clocked_measurement(network: Network, inputs: int) -> tuple[float, float]:
    """Seconds of a measurement of `inputs` samples: until the first one is drawn, and from there to the result."""
    request = ErfRequest.model_validate({"average": {"inputs": inputs}})
    begun, heard = time.perf_counter(), dict[str, float]()

    def progress(stage: str, share: float) -> None:
        heard.setdefault(stage, time.perf_counter())

    measure_network(network, request, progress=progress)  # its numbers are on the host: nothing is pending on a GPU
    return heard["measure"] - begun, time.perf_counter() - heard["measure"]
