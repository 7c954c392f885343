"""Peak memory of the ways of the engine's benchmark, each in a process of its own (on a GPU in this one)."""

import subprocess
import sys

import torch
from torch import nn

from benchmarks.bodies import ROWS, Row
from benchmarks.memory import peak_resident
from benchmarks.ways import center_gradient
from erfscope_engine import measure

MEMORY_WAYS = ("ours", "script")
INPUTS = 20


def peak_memory(row: Row, way: str) -> int:
    """Peak resident bytes of one way in a process of its own, less the process before it starts."""
    code = f"from benchmarks.peak_memory import memory_of; memory_of({row.name!r}, {way!r})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(ended.stdout)


def memory_of(name: str, way: str) -> None:
    """Print the growth of this process' peak memory while one way runs."""
    row = next(row for row in ROWS if row.name == name)
    body = row.build().eval().requires_grad_(False)
    before = peak_resident()
    _run(body, row.shape, way, "cpu")
    print(peak_resident() - before)


def gpu_memory(row: Row, way: str) -> int:
    """Peak bytes of one way on the GPU, the network's weights included."""
    body = row.build().eval().requires_grad_(False).to("cuda")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    _run(body, row.shape, way, "cuda")
    return torch.cuda.max_memory_allocated()


def _run(body: nn.Module, shape: tuple[int, ...], way: str, device: str) -> None:
    if way == "ours":
        measure(body, shape, device=device, average={"inputs": INPUTS})
        return
    for _ in range(2):
        center_gradient(body, torch.randn(1, *shape, device=device))
