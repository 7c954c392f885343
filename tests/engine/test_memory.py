"""Peak memory is told before a run: closed forms, real runs, smaller batches, and a refusal in words."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure, network_of, plan, room
from erfscope_engine.execution.memory import peak_bytes
from erfscope_engine.execution.program import Program
from erfscope_engine.plan import center_place, plan_for, program_for

SIDE, CHANNELS = 40, 8
MAP = SIDE * SIDE * CHANNELS * 4  # bytes of one tensor of a sample, float32


def estimate(net: nn.Module, samples: int = 1, side: int = SIDE) -> int:
    chosen = plan_for(network_of(net.eval(), (CHANNELS, side, side)), "auto", samples=samples, at_most=samples)
    assert chosen.traced.tape.batch == samples
    return peak_bytes(program_for(chosen.traced, [center_place(chosen.layer)]))


def wide(depth: int, kind: type[nn.Module]) -> nn.Module:
    """Layers that read the whole image each, so that every part is whole."""
    layers = [nn.Conv2d(CHANNELS, CHANNELS, 2 * SIDE - 1, padding=SIDE - 1, groups=CHANNELS)]
    for _ in range(depth):
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 1), kind()]  # type: ignore[list-item]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, CHANNELS, 2 * SIDE - 1, padding=SIDE - 1, groups=CHANNELS))


def test_of_a_chain_with_relus_one_tensor_a_layer_is_kept() -> None:
    """The masks, and two gradients beside them; the input."""
    few, many = (estimate(wide(depth, nn.ReLU)) for depth in (2, 6))
    assert many - few == 4 * MAP
    assert few == pytest.approx((1 + 2 + 2) * MAP, abs=MAP)


def test_convolutions_keep_nothing() -> None:
    assert estimate(wide(6, nn.Identity)) == estimate(wide(2, nn.Identity))


def test_it_grows_with_the_samples_of_a_batch() -> None:
    net = wide(4, nn.SiLU)
    assert estimate(net, samples=4) == 4 * estimate(net)


RUN = """
import sys, torch
from benchmarks.bodies import resnet, zoo
from benchmarks.memory import peak_resident
from erfscope_engine import network_of
from erfscope_engine.execution.memory import peak_bytes
from erfscope_engine.plan import center_place, plan_for, program_for
body = resnet(zoo.resnet50).eval().requires_grad_(False)
chosen = plan_for(network_of(body, (3, 320, 320)), "auto", samples=8, at_most=8)
program = program_for(chosen.traced, [center_place(chosen.layer)])
x = torch.randn(chosen.traced.tape.batch, 3, 320, 320)
before = peak_resident()
run = program.run(x)
run.back(0, torch.ones_like(run.outputs[0]))
print(peak_bytes(program) - x.numel() * 4, peak_resident() - before)
"""


def test_a_real_run_takes_about_what_is_told() -> None:
    """In a process of its own; beside tensors there are kernels' work space and freed blocks that are not reused."""
    ended = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    told, taken = map(int, ended.stdout.split())
    assert 0.4 * taken < told < 1.3 * taken


def test_a_batch_takes_a_quarter_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    net = wide(4, nn.SiLU).eval()
    one = estimate(net)

    def batch(limit: int) -> int:
        monkeypatch.setattr(plan, "memory_limit", lambda device: limit)
        return plan_for(network_of(net, (CHANNELS, SIDE, SIDE)), "auto", samples=32).traced.tape.batch

    assert [batch(6 * n * one) for n in (1, 2, 4)] == [1, 2, 4]
    assert len({room.steady((1 << 30) - k * (1 << 20)) for k in range(1, 100)}) == 1


def test_what_does_not_fit_is_refused_in_words_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory_limit", lambda device: 3 * MAP)
    monkeypatch.setattr(Program, "run", lambda *_: pytest.fail("it began to compute"))
    with pytest.raises(ProblemError, match=r"needs about .* GiB of memory for 1 sample.* may use 0\.0 GiB") as refused:
        measure(wide(4, nn.SiLU), (CHANNELS, SIDE, SIDE), average={"inputs": 1})
    assert refused.value.kind == "resource-limit"


def test_the_limit_is_the_least_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = room.memory_limit(torch.device("cpu"))
    assert limit is not None
    monkeypatch.setattr(room, "_of_container", lambda: limit - 1)
    assert room.memory_limit(torch.device("cpu")) == limit - 1
