"""How often ±1.96 reported standard errors cover the truth: repeated measurements of one small network.

The truth is the same measurement over many more samples. `until` stops each repeat when it thinks it is precise.
"""

import argparse
import json
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from erfscope_contract.flat import flatten
from erfscope_engine import measure

WATCHED = ("erf_size", "mass_50_side", "sigma_1", "r90")


def network() -> nn.Module:
    """Eight 3×3 convolutions with ReLU, three channels: a TRF of 17 pixels."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(8):
        layers += [nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def coverage(repeats: int, relative_error: float, truth_samples: int) -> dict[str, dict[str, float]]:
    """Share of repeats whose interval holds the truth, by metric, with the mean number of samples taken."""
    net, shape = network(), (3, 32, 32)
    truth = flatten(measure(net, shape, average={"inputs": truth_samples, "seed": 10**6}).result)
    hits = dict.fromkeys(WATCHED, 0)
    used = 0
    for seed in track(range(repeats), description="repeats"):
        until = {"relative_error": relative_error, "at_most": 4096}
        found = measure(net, shape, average={"inputs": 32, "seed": seed, "until": until}).result
        used += found.samples.used
        for name in WATCHED:
            error, value, true = found.stderr[name], flatten(found)[name], truth[name]
            assert error is not None
            assert value is not None
            assert true is not None
            hits[name] += abs(value - true) <= 1.96 * error
    return {name: {"covered": hits[name] / repeats, "mean_samples": used / repeats} for name in WATCHED}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--relative-error", type=float, default=0.02)
    parser.add_argument("--truth-samples", type=int, default=65_536)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = coverage(options.repeats, options.relative_error, options.truth_samples)
    table = Table(title=f"±1.96 standard errors over {options.repeats} repeats")
    for head in ("metric", "covers the truth", "samples (mean)"):
        table.add_column(head)
    for name, row in rows.items():
        table.add_row(name, f"{100 * row['covered']:.1f} %", f"{row['mean_samples']:.0f}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
