"""The TRF of all layers at once: the walk's of each unit, the closed form of chains, and steps that grow with depth."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
import torch
import torchvision.models as zoo
from hypothesis import given, settings
from nets import SmallUNet, TinyViT
from random_nets import networks
from tests.engine.programs import program
from torch import Tensor, nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import Extent, extents_of, receptive_field


def walked(module: nn.Module, shape: tuple[int, ...], layer: str) -> Extent | None:
    """A layer by a walk of its own."""
    try:
        field = receptive_field(module, shape, layer=layer)
    except ProblemError as problem:
        if problem.kind != "no-gradient":
            raise
        return None
    return Extent(field.box, field.is_global)


def check(module: nn.Module, shape: tuple[int, ...], most: int = 8) -> None:
    """A few layers, the last among them."""
    extents = extents_of(module.eval(), shape)
    names = list(extents)
    for name in names[-1 :: -max(len(names) // most, 1)]:
        assert extents[name] == walked(module, shape, name), name


class SqueezeAfterSplit(nn.Module):
    """Half of the channels pass a wider kernel; a gate over all of space; then the narrow half alone."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 9, padding=4)
        self.gate = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.narrow(x), self.wide(x)], 1)
        left = both[:, :4].relu()
        return left + (both * self.gate(both.mean((2, 3), keepdim=True)))[:, 4:]


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "U-Net": (SmallUNet, (3, 64, 64)),
    "ViT": (TinyViT, (3, 32, 32)),
    "split, joined and gated": (SqueezeAfterSplit, (4, 40, 36)),
    "EfficientNet-B0": (lambda: zoo.efficientnet_b0().features, (3, 96, 96)),
    "ConvNeXt-T": (lambda: zoo.convnext_tiny().features, (3, 64, 64)),
    "Swin-T": (zoo.swin_t, (3, 112, 112)),
    "DeepLab's dilations": (lambda: zoo.segmentation.deeplabv3_resnet50(weights_backbone=None), (3, 64, 64)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_have_the_field_of_their_walk(name: str) -> None:
    build, shape = NETWORKS[name]
    check(build(), shape)


@given(networks)
@settings(max_examples=25, deadline=None)
def test_random_networks(module: nn.Module) -> None:
    try:
        check(module, (4, 31, 29))
    except ProblemError as problem:
        if problem.kind not in ("shape-mismatch", "no-spatial-layer"):  # an image too small for its windows
            raise


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int) -> None:
    """Slices, joins, rolls, attention and their like, one after another."""
    chosen = program(seed)
    check(chosen.module, chosen.shape)


def strided(depth: int) -> nn.Module:
    """3×3 convolutions, every tenth of them of stride 2 for the first three."""
    return nn.Sequential(*(nn.Conv2d(2, 2, 3, stride=2 if k in (10, 20, 30) else 1, padding=1) for k in range(depth)))


def test_a_chain_has_the_closed_form_at_every_depth() -> None:
    """Araujo, Norris and Sim, Distill 2019: size = 1 + Σ (kernel − 1) · stride before it."""
    found = list(extents_of(strided(60), (2, 96, 96)).values())[:60]
    size, stride, expected = 1, 1, []
    for k in range(60):
        size, stride = size + 2 * stride, stride * (2 if k in (10, 20, 30) else 1)
        expected.append(size)
    assert [extent.box[0][1] - extent.box[0][0] for extent in found if extent] == expected


def test_steps_grow_with_the_layers_not_their_square() -> None:
    def count(depth: int) -> int:
        calls = 0

        def seen(frame: FrameType, event: str, _: object) -> None:
            nonlocal calls
            calls += event == "call" and frame.f_code.co_filename.endswith("reaches.py")

        sys.setprofile(seen)
        try:
            extents_of(strided(depth), (2, 96, 96))
        finally:
            sys.setprofile(None)
        return calls

    assert 0 < count(120) < 2.2 * count(60)
