"""How time and memory grow with the image's side, the number of samples and the depth: ours against the script's way.

A plain 3×3 net of 16 channels; each point in a process of its own, both ways the same job (all samples of one unit; the
script's without its metrics). The slope of a log-log line tells the power: the script's time grows with side², ours not
beyond the TRF.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.bodies import plain
from benchmarks.memory import peak_resident
from benchmarks.ways import center_gradient
from erfscope_engine import measure


class Point(NamedTuple):
    """One job."""

    side: int = 256
    samples: int = 16
    depth: int = 10


SWEEPS: dict[str, tuple[Point, ...]] = {
    "side": tuple(Point(side=side) for side in (128, 256, 512, 1024)),
    "samples": tuple(Point(samples=samples) for samples in (16, 64, 256)),
    "depth": tuple(Point(depth=depth) for depth in (5, 10, 20, 40)),
}
WAYS = ("ours", "script")


def run(way: str, point: Point) -> None:
    """Print seconds and MiB (growth of the peak) of one job, after a small one that pays what is paid once."""
    body = plain(point.depth).eval().requires_grad_(False)
    before = peak_resident()
    _job(way, body, point._replace(samples=1))
    begun = time.perf_counter()
    _job(way, body, point)
    seconds = time.perf_counter() - begun
    grown = peak_resident() - before
    print(json.dumps({"seconds": seconds, "mib": grown / 2**20}))


def _job(way: str, body: torch.nn.Module, point: Point) -> None:
    shape = (3, point.side, point.side)
    if way == "ours":
        measure(body, shape, average={"inputs": point.samples})
        return
    total = torch.zeros(1, *shape, dtype=torch.float64)
    for _ in range(point.samples):
        total += center_gradient(body, torch.randn(1, *shape))


def in_process(way: str, point: Point) -> dict[str, float]:
    """`run` in a new process."""
    code = f"from benchmarks.growth import Point, run; run({way!r}, Point{tuple(point)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def slope(points: list[float], values: list[float]) -> float:
    """Of the log-log line through the points."""
    return float(np.polyfit(np.log(points), np.log(np.maximum(values, 1e-9)), 1)[0])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(SWEEPS), help="one sweep")
    parser.add_argument("--most", type=int, default=1 << 30, help="leave out points beyond this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for name in [options.only] if options.only else SWEEPS:
        points = [point for point in SWEEPS[name] if getattr(point, name) <= options.most]
        rows = {way: [in_process(way, point) for point in points] for way in WAYS}
        at = [float(getattr(point, name)) for point in points]
        slopes = {
            f"{way}_{what}": slope(at, [row[what] for row in rows[way]]) for way in WAYS for what in ("seconds", "mib")
        }
        found[name] = {"at": at, **rows, "slopes": slopes}
        _show(name, at, rows, slopes)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def _show(name: str, at: list[float], rows: dict[str, list[dict[str, float]]], slopes: dict[str, float]) -> None:
    table = Table(title=f"growth with {name} ({torch.get_num_threads()} threads)")
    for head in (name, "ours, s", "script, s", "ours, MiB", "script, MiB"):
        table.add_column(head, justify="right")
    for n, value in enumerate(at):
        ours, script = rows["ours"][n], rows["script"][n]
        table.add_row(
            f"{value:.0f}",
            f"{ours['seconds']:.2f}",
            f"{script['seconds']:.2f}",
            f"{ours['mib']:.0f}",
            f"{script['mib']:.0f}",
        )
    table.add_row(
        "power", *(f"{slopes[key]:.2f}" for key in ("ours_seconds", "script_seconds", "ours_mib", "script_mib"))
    )
    Console().print(table)


if __name__ == "__main__":
    main()
