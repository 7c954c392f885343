"""Multiply-adds, weights and activations against torch's own counters."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.architecture import Architecture
from erfscope_contract.request import InputOptions, Weights
from erfscope_engine.advice.cost import Cost
from erfscope_intake.advice.bench import Bench
from erfscope_intake.advice.spec_subject import SpecSubject
from erfscope_intake.spec import build_network
from erfscope_intake.spec.build import Execution

CONV = {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": 1}
SPECS = {
    "convolutions": [CONV, {"type": "relu"}, {**CONV, "stride": 2, "dilation": 2, "padding": 2}],
    "depthwise": [CONV, {"type": "conv", "kernel_size": 7, "padding": 3, "groups": "depthwise"}],
    "grouped": [CONV, {**CONV, "groups": 4}],
    "transposed": [CONV, {"type": "conv_transpose", "out_channels": 6, "kernel_size": 4, "stride": 2, "padding": 1}],
    "attention": [{**CONV, "stride": 4}, {"type": "attention", "num_heads": 2}],
    "branches": [CONV, {"type": "parallel", "branches": [[CONV], [{"type": "max_pool", "kernel_size": 3, "stride": 1,
                 "padding": 1}]], "merge": "concat"}],
}  # fmt: skip


def _cost(spec: Architecture) -> Cost:
    request = AdviceRequest.model_validate(
        {"model": {"architecture": spec}, "want": 9, "input": {"shape": [3, 24, 20]}}
    )
    return Bench(request, SpecSubject.of(request, spec), "cpu").state(None).cost


@pytest.mark.parametrize("name", SPECS)
def test_multiply_adds_are_half_of_torch_s_flops(name: str) -> None:
    spec = Architecture.model_validate({"input": {"size": [24, 20]}, "layers": SPECS[name]})
    network = build_network(
        spec, InputOptions(), dtype=torch.float32, device=torch.device("cpu"), weights=Weights.GIVEN, seed=0
    )
    cost = _cost(spec)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.run(torch.zeros(1, 3, 24, 20), lambda name, operator, value: None)
    assert 2 * cost.macs == counter.get_total_flops()
    assert isinstance(network.run, Execution)
    weights = nn.ModuleList(network.run.modules).parameters()
    assert cost.parameters == sum(weight.numel() for weight in weights)


def test_memory_is_what_layers_return() -> None:
    spec = Architecture.model_validate({"input": {"size": [24, 20]}, "layers": SPECS["convolutions"]})
    network = build_network(
        spec, InputOptions(), dtype=torch.float32, device=torch.device("cpu"), weights=Weights.GIVEN, seed=0
    )
    outputs: list[Tensor] = []
    network.run(torch.zeros(1, 3, 24, 20), lambda name, operator, value: outputs.append(value))
    assert _cost(spec).memory == 4 * sum(value.numel() for value in outputs)
