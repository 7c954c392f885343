"""A job of the service on ResNet-50 at 1024² beside a research script: `python -m benchmarks.rest_job`.

The job is all that a worker's child does: load the ONNX file, plan, measure, draw the default picture. The script takes
the same number of inputs, one whole image after the other. Both run in this process, in turn, warm; medians of their
CPU time are compared, and of each stage, which tell more than the clock on a machine that others use as well.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.bodies import ROWS
from benchmarks.ways import center_gradient
from erfscope_engine.heap import kept_heap
from erfscope_jobs.records import Kind
from erfscope_worker.runner import run
from erfscope_worker.task import Task

ROW = next(row for row in ROWS if row.name == "ResNet-50 1024")
LEAST = {12: 8.0, 48: 10.0}  # times the script, by inputs


class Stages:
    """CPU seconds by stage of a job, as it reports them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stage, self._since = "load", time.process_time()

    def report(self, stage: str, share: float) -> None:
        """A stage begins, or goes on."""
        now = time.process_time()
        self.seconds[self._stage] += now - self._since
        self._stage, self._since = stage, now


def exported(body: nn.Module, file: Path) -> Path:
    """The body as an ONNX file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no onnxscript is called old
        torch.onnx.export(body, (torch.zeros(1, *ROW.shape),), file, dynamo=False)
    return file


def job(file: Path, inputs: int) -> dict[str, float]:
    """CPU seconds by stage of one job, and their sum as `job`."""
    stages = Stages()
    payload: dict[str, Any] = {"request": {"average": {"inputs": inputs}}, "name": "ResNet-50"}
    run(Task(Kind.ERF, payload, {"model": file}, "cpu", stages.report))
    stages.report("end", 1.0)
    return {**stages.seconds, "job": sum(stages.seconds.values())}


def script(body: nn.Module, inputs: int) -> float:
    """CPU seconds of the script."""
    begun = time.process_time()
    with kept_heap():
        for _ in range(inputs):
            center_gradient(body, torch.randn(1, *ROW.shape))
    return time.process_time() - begun


def compared(body: nn.Module, file: Path, inputs: int, rounds: int) -> dict[str, float]:
    """Medians of both ways, of the job's stages, and of the ratio."""
    told: dict[str, list[float]] = defaultdict(list)
    job(file, 1)
    for _ in range(rounds):
        stages = job(file, inputs)
        stages |= {"script": script(body, inputs)}
        stages |= {"ratio": stages["script"] / stages["job"]}
        for name, seconds in stages.items():
            told[name].append(seconds)
    return {name: statistics.median(each) for name, each in told.items()}


def show(rows: dict[int, dict[str, float]]) -> None:
    """A table with a column for each number of inputs."""
    table = Table(title=f"A job on {ROW.name}², CPU seconds ({torch.get_num_threads()} threads)")
    table.add_column("stage")
    for inputs in rows:
        table.add_column(f"{inputs} inputs", justify="right")
    for name in dict.fromkeys(name for row in rows.values() for name in row):
        table.add_row(name, *(f"{row.get(name, 0):.2f}" for row in rows.values()))
    table.add_row("asked", *(f"{LEAST[inputs]:.0f}" if inputs in LEAST else "–" for inputs in rows))
    Console().print(table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, nargs="+", default=sorted(LEAST), help="samples of a job (default 12 48)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    options = parser.parse_args()
    torch.manual_seed(0)
    body = ROW.build().eval().requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        file = exported(body, Path(folder) / "resnet50.onnx")
        show({inputs: compared(body, file, inputs, options.rounds) for inputs in options.inputs})


if __name__ == "__main__":
    main()
