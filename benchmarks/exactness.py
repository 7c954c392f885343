"""The cone against plain autograd through the whole image, for every network of the benchmark.

float64: relative L2 distance of one sample's gradient. float32: of the averaged absolute gradients of several samples
(a ReLU whose input is near 0 flips under another rounding, so single float32 gradients of deep nets differ more).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.bodies import ROWS, Row
from erfscope.contract.request import Source
from erfscope_engine.cone.box import cut, full
from erfscope_engine.cone.unit import cone_of
from erfscope_engine.module import network_of
from erfscope_engine.plan import trace_network
from erfscope_engine.samples import draw
from erfscope_engine.units import center_of


def plain_gradient(body: nn.Module, x: Tensor) -> Tensor:
    """Of the centre's channel sum, through the whole image."""
    x = x.clone().requires_grad_()
    out = body(x)
    center = tuple(n // 2 for n in out.shape[2:])
    (g,) = torch.autograd.grad(out[(slice(None), slice(None), *center)].sum(), x)
    return g


def distance(row: Row, dtype: torch.dtype, samples: int) -> float:
    """Relative L2 distance of the averaged absolute gradients."""
    torch.manual_seed(0)
    body = row.build().eval().requires_grad_(False).to(dtype)
    traced, layer = trace_network(network_of(body, row.shape, dtype=dtype), "auto", samples=1)
    cone = cone_of(traced, [(layer, center_of(layer))])
    ours = torch.zeros(1, *row.shape, dtype=torch.float64)
    theirs = torch.zeros_like(ours)
    for k in range(samples):
        x = torch.from_numpy(draw(Source.NORMAL, row.shape, 0, k, ())).to(dtype)[None]
        run = cone.run(x)
        g = run.back(0, torch.ones_like(run.outputs[0]))
        assert g is not None
        cut(ours, full(ours.shape), cone.boxes[0]).add_(g.double().abs())
        theirs += plain_gradient(body, x).double().abs()
    return float(np.linalg.norm((ours - theirs).numpy()) / np.linalg.norm(theirs.numpy()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=32, help="of the float32 average")
    parser.add_argument("--only", help="rows whose name contains this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table(title="relative L2 distance to plain autograd")
    for head in ("network", "float64, one sample", f"float32, {options.samples} samples"):
        table.add_column(head)
    rows = []
    for row in ROWS:
        if options.only and options.only not in row.name:
            continue
        double, single = distance(row, torch.float64, 1), distance(row, torch.float32, options.samples)
        rows.append({"row": row.name, "float64": double, "float32": single})
        table.add_row(row.name, f"{double:.1e}", f"{single:.1e}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
