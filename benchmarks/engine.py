"""Ours against the script's way (full image, batch 1, autograd of the centre) on the same module, inputs and threads.

Runs are interleaved and medians are taken, so that the ratios stand even where the machine is noisy. For each row:
seconds per image, their ratio, the cone's arithmetic as a share of the machine's convolution peak, peak memory.

`--device cuda` does the same on a GPU, both ways in float32 without TF32.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bodies import ROWS, Row
from benchmarks.memory import peak_resident
from erfscope.contract.request import Dtype
from erfscope_engine.arithmetic import arithmetic
from erfscope_engine.cone.unit import cone_of
from erfscope_engine.heap import kept_heap
from erfscope_engine.module import network_of
from erfscope_engine.plan import trace_network
from erfscope_engine.units import center_of

IMAGES = 20  # what the script averages over


def script_way(body: nn.Module, x: Tensor) -> Tensor:
    """One image: forward, the ReLU of the centre's channels summed, backward."""
    x = x.clone().requires_grad_()
    out = body(x)
    center = tuple(n // 2 for n in out.shape[2:])
    (g,) = torch.autograd.grad(nn.functional.relu(out[(slice(None), slice(None), *center)]).sum(), x)
    return g


class Ours:
    """The engine on one body, planned for many samples."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...], device: str = "cpu") -> None:
        started = time.perf_counter()
        traced, layer = trace_network(network_of(body, shape, device=device), "auto", samples=IMAGES)
        self.cone = cone_of(traced, [(layer, center_of(layer))])
        self.batch = traced.tape.batch
        self.x = torch.randn(traced.tape.values[0].shape, device=device)
        self.planning = time.perf_counter() - started
        self.runs = -(-IMAGES // self.batch)

    def __call__(self) -> None:
        """All images."""
        for _ in range(self.runs):
            self.run()

    def run(self) -> Tensor | None:
        """One micro-batch."""
        run = self.cone.run(self.x)
        return run.back(0, torch.ones_like(run.outputs[0]))

    def flops(self) -> int:
        """Arithmetic of one image, forward and backward."""
        with FlopCounterMode(display=False) as counter:
            self.run()
        return int(counter.get_total_flops()) // self.batch


def convolution_peak(device: str = "cpu") -> float:
    """FLOP/s of a large convolution, the best of several."""
    batch = 4 if device == "cpu" else 64
    conv = nn.Conv2d(256, 256, 3, padding=1).to(device).to(memory_format=torch.channels_last)
    x = torch.randn(batch, 256, 56, 56).to(device, memory_format=torch.channels_last)
    with torch.no_grad():
        seconds = min(_timed(lambda: conv(x), device) for _ in range(12))
    return 2 * 256 * 256 * 9 * 56 * 56 * batch / seconds


def _timed(run: Callable[[], object], device: str) -> float:
    """Seconds until it is done, on a GPU too."""
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def measure_row(row: Row, rounds: int, device: str = "cpu") -> dict[str, float | str | int]:
    """Medians over interleaved rounds, after one warm-up."""
    torch.manual_seed(0)
    body = row.build().eval().requires_grad_(False).to(device)
    ours = Ours(body, row.shape, device)
    images = torch.randn(1, *row.shape, device=device)
    script_way(body, images)
    ours.run()
    theirs_s, ours_s, peaks = [], [], []
    for _ in range(rounds):
        theirs_s.append(_timed(lambda: script_way(body, images), device))
        with kept_heap():  # as in a measurement, behind its first micro-batch; the script's heap is warm as well
            ours.run()
            ours_s.append(_timed(ours, device) / (ours.runs * ours.batch))
        peaks.append(convolution_peak(device))
    flops, mine = ours.flops(), statistics.median(ours_s)
    return {
        "row": row.name,
        "batch": ours.batch,
        "script_s": statistics.median(theirs_s),
        "ours_s": mine,
        "ratio": statistics.median(a / b for a, b in zip(theirs_s, ours_s, strict=True)),
        "ratio_20_images": IMAGES * statistics.median(theirs_s) / (ours.planning + IMAGES * mine),
        "gflop": flops / 1e9,
        "share_of_peak": flops / mine / statistics.median(peaks),
        "planning_s": ours.planning,
    }


def peak_memory(row: Row, side: str) -> int:
    """Peak resident bytes of one way in a process of its own, less the process before it starts."""
    code = f"from benchmarks.engine import memory_of; memory_of({row.name!r}, {side!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def gpu_memory(row: Row, side: str) -> int:
    """Peak bytes of one way on the GPU, the network's weights included."""
    body = row.build().eval().requires_grad_(False).to("cuda")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    if side == "ours":
        Ours(body, row.shape, "cuda")()
    else:
        script_way(body, torch.randn(1, *row.shape, device="cuda"))
    return torch.cuda.max_memory_allocated()


def memory_of(name: str, side: str) -> None:
    """Print the growth of this process' peak memory while one way runs twice."""
    row = next(row for row in ROWS if row.name == name)
    body = row.build().eval().requires_grad_(False)
    before = peak_resident()
    if side == "ours":
        with kept_heap():
            Ours(body, row.shape)()
    else:
        script_way(body, torch.randn(1, *row.shape))
        script_way(body, torch.randn(1, *row.shape))
    print(peak_resident() - before)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="rows whose name contains this")
    parser.add_argument("--memory", action="store_true", help="measure peak memory too (processes of their own)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here")
    with arithmetic(Dtype.FLOAT32, torch.device(options.device)):
        rows = _measured(options)
    _show(rows, options.device)
    if options.json:
        machine = {
            "device": _device_name(options.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


def _device_name(device: str) -> str:
    return device if device == "cpu" else torch.cuda.get_device_name()


def _measured(options: argparse.Namespace) -> list[dict[str, float | str | int]]:
    rows = []
    peak = peak_memory if options.device == "cpu" else gpu_memory
    for row in ROWS:
        if options.only and options.only not in row.name:
            continue
        found = measure_row(row, options.rounds, options.device)
        if options.memory:
            found["ours_mib"] = peak(row, "ours") / 2**20
            found["script_mib"] = peak(row, "script") / 2**20
        rows.append(found)
        print(f"{row.name}: {found['ratio']:.1f}x", file=sys.stderr)
    return rows


def _show(rows: list[dict[str, float | str | int]], device: str) -> None:
    where = f"{torch.get_num_threads()} threads" if device == "cpu" else _device_name(device)
    table = Table(title=f"ERF of the centre unit, seconds per image ({where})")
    heads = {"row": "network", "batch": "batch", "script_s": "script", "ours_s": "ours", "ratio": "ratio",
             "ratio_20_images": "20 images", "gflop": "GFLOP", "share_of_peak": "of conv peak",
             "ours_mib": "MiB ours", "script_mib": "MiB script"}  # fmt: skip
    shown = [key for key in heads if any(key in row for row in rows)]
    for key in shown:
        table.add_column(heads[key], justify="left" if key == "row" else "right")
    for row in rows:
        table.add_row(*(_cell(key, row[key]) for key in shown))
    Console().print(table)


def _cell(key: str, value: float | str | int) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if key.endswith("mib") else f"{value:.3f}" if key.endswith("_s") else f"{value:.2f}"


if __name__ == "__main__":
    main()
