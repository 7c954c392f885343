"""Ours against two baselines on the same module, inputs and threads: a research script, and a careful engineer.

Script: the whole image, one sample at a time, autograd from the centre unit. Expert: see `benchmarks.ways`. Ours: the
time of a whole measurement per sample. Cone: only the arithmetic of that measurement. The three take turns, and each
number is a median, so that the ratios hold on a noisy machine. The limit is the cone's arithmetic over the peaks that
this machine reaches in the same run (`benchmarks.limit`); shares are of it.

`--device cuda` does the same on a GPU, all ways in float32 without TF32.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.bodies import ROWS, Row
from benchmarks.limit import arithmetic_of, limit, peaks
from benchmarks.peak_memory import MEMORY_WAYS, gpu_memory, peak_memory
from benchmarks.ways import Cone, Expert, Ours, Script, Way
from erfscope_contract.request import Dtype
from erfscope_engine import measure
from erfscope_engine.arithmetic import arithmetic

WAYS = ("script", "expert", "ours", "cone")
INPUTS = 32  # of a measurement, as it is by default
Figures = dict[str, float | str | int]


def measure_row(row: Row, options: argparse.Namespace) -> Figures:
    """Medians over interleaved rounds."""
    torch.manual_seed(0)
    device = options.device
    body = row.build().eval().requires_grad_(False).to(device)
    cone = Cone(body, row.shape, device, options.inputs)
    ways: dict[str, Way] = {"cone": cone}
    if "script" in options.ways:
        ways["script"] = Script(body, row.shape, device)
    if "expert" in options.ways:
        ways["expert"] = Expert(body, row.shape, device, row.multiple)
    if "ours" in options.ways:
        ways["ours"] = Ours(body, row.shape, device, options.inputs)
    rounds = [{name: way.seconds() for name, way in ways.items()} for _ in range(options.rounds)]
    work = arithmetic_of(cone)
    shortest = limit(work, peaks(device)) / cone.cone.batch
    figures: Figures = {"row": row.name, "batch": cone.cone.batch, "gflop": work.total() / cone.cone.batch / 1e9,
                        "limit_s": shortest, **figures_of(rounds, shortest)}  # fmt: skip
    if isinstance(expert := ways.get("expert"), Expert):
        figures |= {"expert_batch": expert.batch, "expert_crop": "×".join(map(str, expert.shape[1:]))}
    if isinstance(ours := ways.get("ours"), Ours):
        figures["planning_s"] = statistics.median(ours.plannings)
    if options.verify:
        figures["verify"] = _verified(row, device)
    return figures


def figures_of(rounds: list[dict[str, float]], shortest: float) -> dict[str, float]:
    """Medians of seconds, of the ratios in each round, and the shares of the limit."""
    names = rounds[0].keys()
    medians = {name: statistics.median(one[name] for one in rounds) for name in names}
    ratios = {
        f"{theirs}/ours": statistics.median(one[theirs] / one["ours"] for one in rounds)
        for theirs in ("script", "expert")
        if theirs in names and "ours" in names
    }
    shares = {f"{name}_share": shortest / medians[name] for name in names if name != "script"}
    return {**{f"{name}_s": seconds for name, seconds in medians.items()}, **ratios, **shares}


def _verified(row: Row, device: str) -> float:
    """The relative difference of one sample from plain autograd on the whole network."""
    torch.manual_seed(0)
    verify = measure(row.build().eval(), row.shape, device=device, average={"inputs": 1}, verify=True).result.verify
    if verify is None:
        raise ValueError(f"{row.name}: the result has no verify, though the request asks for it")
    return verify.relative_difference


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--inputs", type=int, default=INPUTS, help=f"samples of a measurement (default {INPUTS})")
    parser.add_argument("--only", help="rows whose name contains this (default: all)")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default: all; the cone always runs"
    )
    parser.add_argument("--verify", action="store_true", help="compare a sample of each row with plain autograd too")
    parser.add_argument("--memory", action="store_true", help="measure peak memory too (processes of their own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE, row by row")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here")
    with arithmetic(Dtype.FLOAT32, torch.device(options.device)):
        _show(_measured(options), options.device)


def _device_name(device: str) -> str:
    return device if device == "cpu" else torch.cuda.get_device_name()


def _measured(options: argparse.Namespace) -> list[Figures]:
    rows: list[Figures] = []
    peak = peak_memory if options.device == "cpu" else gpu_memory
    for row in ROWS:
        if options.only and options.only not in row.name:
            continue
        figures = measure_row(row, options)
        if options.memory:
            figures |= {f"{way}_mib": peak(row, way) / 2**20 for way in MEMORY_WAYS if way in options.ways}
        rows.append(figures)
        _write(rows, options)
        print(_told(figures), file=sys.stderr, flush=True)
    return rows


def _write(rows: list[Figures], options: argparse.Namespace) -> None:
    if options.json:
        machine = {
            "device": _device_name(options.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "inputs": options.inputs,
            "rounds": options.rounds,
        }
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


def _told(figures: Mapping[str, float | str | int]) -> str:
    ratios = (f"{key} {figures[key]:.2f}" for key in ("script/ours", "expert/ours") if key in figures)
    return f"{figures['row']}: {', '.join(ratios)} cone {figures['cone_s']:.4f} s"


HEADS = {
    "row": "network", "batch": "batch", "script_s": "script", "expert_s": "expert", "ours_s": "ours",
    "cone_s": "cone", "limit_s": "limit", "script/ours": "script / ours", "expert/ours": "expert / ours",
    "expert_share": "expert of limit", "ours_share": "ours of limit", "cone_share": "cone of limit",
    "planning_s": "planning", "verify": "verify", "ours_mib": "MiB ours",
    "script_mib": "MiB script",
}  # fmt: skip


def _show(rows: list[Figures], device: str) -> None:
    where = f"{torch.get_num_threads()} threads" if device == "cpu" else _device_name(device)
    table = Table(title=f"ERF of the centre unit, seconds per sample ({where})")
    shown = [key for key in HEADS if any(key in row for row in rows)]
    for key in shown:
        table.add_column(HEADS[key], justify="left" if key == "row" else "right")
    for row in rows:
        table.add_row(*(_cell(key, row.get(key, "")) for key in shown))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(key: str, value: float | str | int) -> str:
    if not isinstance(value, float):
        return str(value)
    if key == "verify":
        return f"{value:.0e}"
    return f"{value:.0f}" if key.endswith("mib") else f"{value:.4f}" if key.endswith("_s") else f"{value:.2f}"


if __name__ == "__main__":
    main()
