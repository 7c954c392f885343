"""The atlas: TRF, ERF and cost of the networks of torchvision and timm, a line of JSON for each.

Usage: python -m benchmarks.atlas FILE [--only NAME] [--count N] [--limit SECONDS] [--again]

Inputs are 224×224 noise, weights random (seed 0), and parameters that close a branch before training are re-drawn
(`benchmarks.timm_networks.opened`). Each network runs in its own process, with a limit on time and memory. Its row is
written to FILE at once. A new run with the same FILE skips networks that are already in it. A row without a
measurement says why. On a busy machine, give more time with --limit; --again measures such rows again.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.atlas_networks import SIDE, Entry, built, entries, versions
from benchmarks.children import in_child
from benchmarks.timm_networks import opened
from erfscope_contract.problem import ProblemError
from erfscope_engine import measure
from erfscope_engine.face import extents_of

LIMIT, MEMORY = 120.0, 3 << 30  # seconds and bytes of one network
SHAPE = (3, SIDE, SIDE)
METRICS = ("erf_size", "mass_50_side")


def measured(entry: dict[str, Any], inputs: int) -> dict[str, Any]:
    """The row of one network; it is the function of a child process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    module = built(Entry(**entry))
    row = {"redrawn": opened(module), "parameters": sum(p.numel() for p in module.parameters()), "macs": _macs(module)}
    try:
        return row | _fields(module, inputs)
    except ProblemError as problem:
        return row | {"refused": f"{problem.kind}: {problem.problem.detail}"}


def _fields(module: nn.Module, inputs: int) -> dict[str, Any]:
    result = measure(module, SHAPE, average={"inputs": inputs}, verify=True).result
    trf = result.trf
    return {
        "layer": result.layer.name,
        "unit": result.unit,
        "trf": trf.size,
        "global": trf.is_global,
        "stride": trf.stride,
        "alignment": trf.alignment,
        "center": trf.center,
        "erf": result.erf.size,
        "mass_50": result.mass["0.50"].side,
        "r": {share: area.ratio for share, area in result.mass.items()},
        "stderr": {name: result.stderr.get(name) for name in METRICS},
        "first_beyond": _first_beyond(module),
        "verify": result.verify.relative_difference if result.verify else None,
    }


def _first_beyond(module: nn.Module) -> str | None:
    """The first layer, in order of execution, whose own TRF is larger than the image on an axis."""
    for name, extent in extents_of(module, SHAPE).items():
        if extent is not None and any(high - low > SIDE for low, high in extent.box):
            return name
    return None


def _macs(module: nn.Module) -> int:
    """Multiply-adds of the network for one image, by torch's own counter."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *SHAPE))
    return int(counter.get_total_flops()) // 2


def run(file: Path, chosen: Iterable[Entry], inputs: int, limit: float = LIMIT, *, again: bool = False) -> None:
    """Measure what FILE does not hold, `again` what it holds without an answer, and add it line by line."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    known = {(row["source"], row["network"]) for row in map(json.loads, lines) if not (again and "refused" in row)}
    for entry in chosen:
        if (entry.source, entry.network) in known:
            continue
        ending = in_child(measured, asdict(entry), inputs, limit=limit, memory=MEMORY)
        row = ending.value if not ending.failure else {"refused": f"{ending.failure}: {ending.words}"}
        row = asdict(entry) | row | {"seconds": ending.seconds, "versions": versions()}
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(
            f"{entry.network:32} {ending.seconds:6.1f} s  {row.get('refused', 'measured')}", file=sys.stderr, flush=True
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="one JSON line a network")
    parser.add_argument("--only", default="", metavar="NAME", help="networks whose name contains this (default: all)")
    parser.add_argument("--count", type=int, metavar="N", help="the first N of those (default: all)")
    parser.add_argument("--inputs", type=int, default=8, help="samples of the ERF (default: 8)")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for a network (default: 120)")
    parser.add_argument("--again", action="store_true", help="measure again what FILE holds without an answer")
    options = parser.parse_args()
    chosen = (entry for entry in entries() if options.only in entry.network)
    run(options.file, islice(chosen, options.count), options.inputs, options.limit, again=options.again)


if __name__ == "__main__":
    main()
