"""The cone against plain autograd through the whole image, for every network of the benchmark.

float64: relative L2 distance of one sample's gradient. float32: of the averaged absolute gradients of several samples
(a ReLU whose input is near 0 flips under another rounding, so single float32 gradients of deep nets differ more). The
unit's channels have random signs: behind a LayerNorm the gradient of their sum is 0.

Each line is printed when it is there. A row takes all its float32 samples, or as many as `--seconds` allow (4 at
least): the full image is what takes long.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.bodies import ROWS, Row
from benchmarks.cone import bare_cone

FEWEST = 4  # float32 samples


def plain_gradient(body: nn.Module, x: Tensor, signs: Tensor) -> Tensor:
    """Of the weighted sum of the centre's channels, through the whole image."""
    x = x.clone().requires_grad_()
    out = body(x)
    center = tuple(n // 2 for n in out.shape[2:])
    (g,) = torch.autograd.grad((out[(slice(None), slice(None), *center)] * signs).sum(), x)
    return g


def distance(row: Row, dtype: torch.dtype, samples: int, seconds: float) -> tuple[float, int]:
    """Relative L2 distance of the averaged absolute gradients, and of how many samples."""
    torch.manual_seed(0)
    body = row.build().eval().requires_grad_(False).to(dtype)
    cone = bare_cone(body, row.shape, samples=1, dtype=dtype)
    inside = tuple(slice(lo, hi) for lo, hi in cone.box)
    ours = torch.zeros(1, *row.shape, dtype=torch.float64)
    theirs = torch.zeros_like(ours)
    begun, taken = time.monotonic(), 0
    while taken < samples and (taken < FEWEST or time.monotonic() - begun < seconds):
        x = torch.randn(1, *row.shape, dtype=dtype)
        used: list[Tensor] = []

        def seed(out: Tensor, used: list[Tensor] = used) -> Tensor:
            used.append(torch.randint(0, 2, out.shape).to(out) * 2 - 1)
            return used[0]

        ours[inside] += cone.gradient(x, seed).double().abs()
        theirs += plain_gradient(body, x, used[0].flatten(1)).double().abs()
        taken += 1
    return float((ours - theirs).norm() / theirs.norm()), taken


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=32, help="of the float32 average")
    parser.add_argument("--seconds", type=float, default=60, help="for a row's float32 samples")
    parser.add_argument("--only", help="rows whose name contains this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{'relative L2 distance to plain autograd':<40}{'float64':>10}{'float32':>10}{'samples':>9}")
    rows = []
    for row in ROWS:
        if options.only and options.only not in row.name:
            continue
        double, _ = distance(row, torch.float64, 1, 0)
        single, taken = distance(row, torch.float32, options.samples, options.seconds)
        rows.append({"row": row.name, "float64": double, "float32": single, "float32_samples": taken})
        print(f"{row.name:<40}{double:>10.1e}{single:>10.1e}{taken:>9}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
