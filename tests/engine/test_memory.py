"""Peak memory is told before a run: real runs, smaller batches, and a refusal in words."""

import subprocess
import sys

import pytest
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure

SIDE, CHANNELS = 40, 8
MAP = SIDE * SIDE * CHANNELS * 4  # bytes of one tensor of a sample, float32


def wide(depth: int, kind: type[nn.Module]) -> nn.Module:
    """Layers that read the whole image each, so that every part is whole."""
    layers = [nn.Conv2d(CHANNELS, CHANNELS, 2 * SIDE - 1, padding=SIDE - 1, groups=CHANNELS)]
    for _ in range(depth):
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 1), kind()]  # type: ignore[list-item]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, CHANNELS, 2 * SIDE - 1, padding=SIDE - 1, groups=CHANNELS))


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


def test_a_batch_takes_a_part_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def batch(limit: int) -> int:
        monkeypatch.setattr("erfscope_engine.plan.memory_limit", lambda device: limit)
        result = measure(wide(4, nn.SiLU), (CHANNELS, SIDE, SIDE), average={"inputs": 8}).result
        return result.provenance.micro_batch

    batches = [batch(n * MAP) for n in (8, 64, 128, 4096)]
    assert batches == sorted(batches)
    assert batches[0] == 1 < batches[-1]


def test_what_does_not_fit_is_refused_in_words_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfscope_engine.room.memory_limit", lambda device: 3 * MAP)
    monkeypatch.setattr("erfscope_engine.execution.program.Program.run", lambda *_: pytest.fail("it began to compute"))
    with pytest.raises(ProblemError, match=r"needs about .* GiB of memory for 1 sample.* may use 0\.0 GiB") as refused:
        measure(wide(4, nn.SiLU), (CHANNELS, SIDE, SIDE), average={"inputs": 1})
    assert refused.value.kind == "resource-limit"
