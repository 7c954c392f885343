"""Peak memory of a measurement beside what is told before it and what it may use: `python -m benchmarks.memory_table`.

Each row runs in a process of its own, which may take `--limit` GiB beyond what it has when the network is loaded. What
is told is the peak of a micro-batch (`erfscope_engine/execution/memory.py`); measured is how far the process' peak grew
over the whole measurement. A row that has no room ends before a sample is drawn, with the reason in words. `--onnx`
adds files.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.bodies import ROWS
from benchmarks.memory import data_bytes, peak_resident
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_engine import Network, measure_network, network_of
from erfscope_engine.execution.memory import peak_bytes
from erfscope_engine.plan import center_place, plan_for, program_for
from erfscope_intake.onnx_model import load_onnx

NAMES = ("ResNet-50 224", "ConvNeXt-T 512", "U-Net 512")
SIDES, INPUTS, GIB = (768, 1536), 8, 1 << 30


def network_at(name: str, side: int) -> Network:
    """A body of the engine's benchmark, or an ONNX file, for images of side² pixels."""
    if name.endswith(".onnx"):
        options = InputOptions(shape=shape_at(Path(name), side))
        return load_onnx(Path(name), options, dtype=torch.float32, device=torch.device("cpu"))
    row = next(row for row in ROWS if row.name == name)
    return network_of(row.build().eval(), (3, side, side))


def shape_at(file: Path, side: int) -> list[int]:
    """The shape of a file's first input with images of side² pixels: channels first, or last as TensorFlow has them."""
    first = onnx.load(file, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    channels = first[-1].dim_value
    return [side, side, channels] if 0 < channels <= 4 else [first[1].dim_value, side, side]


def row_of(name: str, side: int, limit: int) -> dict[str, Any]:
    """What is told and what was taken, in bytes, or `refused`: the reason in words."""
    try:
        network = network_at(name, side)
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + limit, resource.RLIM_INFINITY))
        before = peak_resident()
        plan = plan_for(network, "auto", samples=INPUTS)
        told = peak_bytes(program_for(plan.traced, [center_place(plan.layer)]))
        row = {"batch": plan.traced.tape.batch, "told": told}
        measure_network(network, ErfRequest.model_validate({"average": {"inputs": INPUTS}}))
    except ProblemError as problem:
        return {"refused": str(problem)}
    return {**row, "measured": peak_resident() - before}


def measured(name: str, side: int, limit: int) -> dict[str, Any]:
    """The row, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory_table", "--row", name, str(side), str(limit)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(ended.stdout)
    return row


def show(rows: list[tuple[str, int, dict[str, Any]]], limit: int) -> None:
    """The table, and below it why rows were refused."""
    table = Table(title=f"Peak memory, MiB, of {INPUTS} samples; the process may take {limit / GIB:.1f} GiB")
    for head in ("network", "input", "samples at once", "told", "measured"):
        table.add_column(head, justify="left" if head == "network" else "right")
    mib: Callable[[int], str] = lambda size: f"{size / 2**20:,.0f}"  # noqa: E731
    for name, side, row in rows:
        cells = (
            ("–", "–", "refused")
            if "refused" in row
            else (str(row["batch"]), *map(mib, (row["told"], row["measured"])))
        )
        table.add_row(Path(name).name, f"{side}²", *cells)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for name, side, row in rows:
        if "refused" in row:
            console.print(f"{Path(name).name}, {side}²: {row['refused']}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--onnx", type=Path, nargs="*", default=[], metavar="FILE", help="ONNX files with three channels"
    )
    parser.add_argument("--limit", type=float, default=2.0, metavar="GIB", help="memory of each row, GiB (default 2)")
    parser.add_argument("--row", nargs=3, metavar=("NAME", "SIDE", "BYTES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        name, side, limit = options.row
        print(json.dumps(row_of(name, int(side), int(limit))))
        return
    limit = int(options.limit * GIB)
    names = [*NAMES, *map(str, options.onnx)]
    show([(name, side, measured(name, side, limit)) for name in names for side in SIDES], limit)


if __name__ == "__main__":
    main()
