"""The TRF of the benchmark's networks is the hull of what a linearised copy reads.

A receptive field hangs on the structure alone, so the copies have two channels everywhere and full depth.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from benchmarks.bodies import ROWS, UNet
from random_nets import linearised
from torch import nn

from erfscope_engine import receptive_field

# Sides at which the centre's TRF lies inside the image.
SIDES = {
    "ResNet-50 1024": 448,
    "ResNet-101 1024": 1024,
    "VGG-16 512": 224,
    "plain-40 256": 88,
    "U-Net 512": 192,
    "3-D CNN 64": 48,
}
INPUTS = {row.name: row.shape[0] for row in ROWS}


def build(name: str) -> nn.Module:
    if name.startswith("U-Net"):
        return UNet(width=2).double().eval()  # its joins have more channels than its parts
    with torch.device("meta"):
        whole = next(row for row in ROWS if row.name == name).build()
    return thinned(whole).double().eval()


def thinned(module: nn.Module) -> nn.Module:
    """The module with two channels wherever there were more than an image has."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d | nn.Conv3d):
                into = child.in_channels if child.in_channels <= 3 else 2
                setattr(
                    parent, name, type(child)(into, 2, child.kernel_size, child.stride, child.padding, child.dilation)
                )
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.BatchNorm2d(2))
    return module


def supports(
    net: nn.Module, shape: tuple[int, ...], units: Sequence[tuple[int, ...]]
) -> Iterator[list[tuple[int, int]]]:
    """For each unit, the hull of the pixels that a linearised copy's unit has a gradient at, per axis."""
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    y = linearised(net)(x)
    for unit in units:
        (g,) = torch.autograd.grad(y[(0, slice(None), *unit)].sum(), x, retain_graph=True)
        seen = g[0].abs().sum(0).numpy() > 0
        sides = (np.flatnonzero(seen.any(axis=tuple(a for a in range(seen.ndim) if a != k))) for k in range(seen.ndim))
        yield [(int(places[0]), int(places[-1]) + 1) for places in sides]


@pytest.mark.parametrize("name", SIDES)
def test_the_box_is_the_hull_of_the_support(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, rank = build(name), 3 if name.startswith("3-D") else 2
    shape = (INPUTS[name], *[SIDES[name]] * rank)
    with torch.no_grad():
        extents = net(torch.zeros(1, *shape, dtype=torch.float64)).shape[2:]
    center = tuple(n // 2 for n in extents)
    units = (center, tuple(c - 1 for c in center), (0,) * rank)
    fields = [receptive_field(net, shape, unit=unit) for unit in units]
    assert [field.clipped for field in (fields[0], fields[-1])] == [False, True]
    monkeypatch.setattr(nn.functional, "max_pool2d", nn.functional.avg_pool2d)
    for seen, field in zip(supports(net, shape, units), fields, strict=True):
        for (first, last), (lo, hi), n in zip(seen, field.box, shape[1:], strict=True):
            assert max(lo, 0) <= first < last <= min(hi, n)
        if not field.clipped:
            assert seen == list(field.box)
