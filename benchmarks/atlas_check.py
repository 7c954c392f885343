"""Recomputes rows of the atlas, picked by chance, with autograd written out by hand: nothing of the engine is used.

    python -m benchmarks.atlas_check FILE [--rows N] [--seed N] [--only NAME]

The network runs whole in float64 on the same samples (Philox, keyed by seed 0 and the sample); autograd gives the
gradient of the centre unit; absolute values are averaged over samples and channels; pixels above 4.55 % of the centre's
value are counted; the box around the centre that holds half of the mass grows by bisection. It prints a line a row and
exits with 1 where one does not agree. A row whose layer is no module and not the output cannot be asked this way: it is
named, and another row is drawn.
"""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.atlas_networks import SIDE, Entry, built
from benchmarks.timm_networks import opened

Row = Mapping[str, Any]
LEVEL = 1 - 0.9545  # of the centre's value: two sigma (Luo et al. 2016)
TOLERANCE = 0.01  # of a size: what float32 against float64 may move
STEPS = 60  # of the bisection


def checked(row: Row) -> str | None:
    """What of a row does not agree, in words ("" where all does); None where its layer cannot be reached by hand."""
    module = built(Entry(row["source"], row["family"], row["network"]))
    opened(module)
    map_, support = by_hand(module.double(), row) or (None, None)
    if map_ is None or support is None:
        return None
    faults = [
        f"{name} {ours:.3f}, atlas {row[name]:.3f}"
        for name, ours in (("erf", erf_size(map_, row["center"])), ("mass_50", mass_side(map_, row["center"], 0.5)))
        if not math.isclose(ours, row[name], rel_tol=TOLERANCE)
    ]
    for (low, high), center, trf in zip(support, row["center"], row["trf"], strict=True):
        if (low < center - (trf - 1) / 2 - 0.5 and not row["global"]) or high - low + 1 > trf:
            faults.append(f"gradient at {low} … {high}, outside of a TRF of {trf} around {center}")
    return "; ".join(faults)


def by_hand(module: nn.Module, row: Row) -> tuple[NDArray[np.float64], list[tuple[int, int]]] | None:
    """The mean absolute gradient [H, W] of the row's unit, and the first and last pixel with one on each axis."""
    kept: list[Tensor] = []
    named = dict(module.named_modules())
    if row["layer"] in named:
        named[row["layer"]].register_forward_hook(lambda _module, _inputs, out: kept.append(out))
    elif row["layer"] != "output":
        return None
    total = np.zeros((SIDE, SIDE))
    for sample in range(row["samples"]):
        kept.clear()
        image = torch.from_numpy(_noise(sample)).double()[None].requires_grad_()
        # of one image, torch 2.14 gets the gradient of a batch norm before tokens wrong on a CPU (LeViT, XCiT)
        out = module(image.expand(2, -1, -1, -1))
        channels = _unit_of(kept[-1] if kept else out, row)
        if channels is None:
            return None
        signs = _signs(sample, len(channels)) if row["channels"] == "random" else torch.ones(len(channels))
        (gradient,) = torch.autograd.grad((channels * signs).sum(), image)
        total += gradient[0].abs().mean(0).numpy()
    ys, xs = np.nonzero(total)
    return total / row["samples"], [(int(at.min()), int(at.max())) for at in (ys, xs)]


def _noise(sample: int) -> NDArray[np.float32]:
    key = np.array([0, sample], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal((3, SIDE, SIDE), np.float32)


def _signs(sample: int, channels: int) -> Tensor:
    generator = np.random.Generator(np.random.Philox(key=np.array([0, sample], np.uint64), counter=[0, 0, 0, 1]))
    return torch.from_numpy(generator.integers(0, 2, channels) * 2.0 - 1)


def _unit_of(out: object, row: Row) -> Tensor | None:
    """The channels of the row's unit: of NCHW, of NHWC, or of tokens behind those that are no place."""
    if not isinstance(out, Tensor):
        return None
    y, x = row["unit"]
    high, wide = (round(SIDE / stride) for stride in row["stride"])
    if out.dim() == 4 and out.shape[2:] == (high, wide):
        return out[0, :, y, x]
    if out.dim() == 4 and out.shape[1:3] == (high, wide):
        return out[0, y, x]
    if out.dim() == 3 and 0 <= out.shape[1] - high * wide < wide:
        return out[0, out.shape[1] - high * wide + y * wide + x]
    return None


def erf_size(map_: NDArray[np.float64], center: tuple[float, float]) -> float:
    """The root of the number of pixels above LEVEL of the value at the centre, read on lines between pixels."""
    (top, left), (down, right) = (int(at) for at in center), (at % 1 for at in center)
    corners = np.zeros((2, 2))
    part = map_[top : top + 2, left : left + 2]
    corners[: part.shape[0], : part.shape[1]] = part
    value = np.array([1 - down, down]) @ corners @ np.array([1 - right, right])
    return math.sqrt(float((map_ > LEVEL * value).sum()))


def mass_side(map_: NDArray[np.float64], center: tuple[float, float], share: float) -> float:
    """The side of the smallest square around the centre that holds a share; a pixel covered in part counts in part."""

    def held(side: float) -> float:
        rows, columns = (
            np.clip(np.minimum(at + side / 2, edges + 0.5) - np.maximum(at - side / 2, edges - 0.5), 0, 1)
            for at, edges in zip(center, (np.arange(SIDE), np.arange(SIDE)), strict=True)
        )
        return float(rows @ map_ @ columns)

    low, high = 0.0, 2.0 * SIDE
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if held(middle) >= share * map_.sum() else (middle, high)
    return high


def picked(file: Path, only: str, seed: int) -> Iterator[Row]:
    """The measured rows of FILE, the last of each network, in an order by chance."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    rows = {(line["source"], line["network"]): line for line in lines}
    measured = [row for row in rows.values() if "trf" in row and only in row["network"]]
    for number in np.random.default_rng(seed).permutation(len(measured)):
        yield measured[number]


def main() -> None:
    """Check rows until as many as asked for are checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="the atlas, one JSON line a network")
    parser.add_argument("--rows", type=int, default=10, metavar="N", help="rows to check (default: 10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice (default: 0)")
    parser.add_argument("--only", default="", metavar="NAME", help="networks whose name contains this (default: all)")
    parser.add_argument("--most-macs", type=float, default=math.inf, metavar="N", help="of a network (default: any)")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    done, wrong = 0, 0
    for row in picked(asked.file, asked.only, asked.seed):
        if done == asked.rows:
            break
        if row["macs"] > asked.most_macs:
            continue
        fault = checked(row)
        sizes = f"ERF {row['erf']:.2f}, mass_50 {row['mass_50']:.2f}"
        said = "not reached by hand" if fault is None else fault or "agrees"
        print(f"{row['network']:36} {row['layer']:24} {sizes:32} {said}", flush=True)
        done, wrong = done + (fault is not None), wrong + bool(fault)
    print(f"{done - wrong} of {done} rows agree")
    sys.exit(1 if wrong or not done else 0)


if __name__ == "__main__":
    main()
