"""The TRF of all layers at once: the walk's of each unit, the closed form of chains, and steps that grow with depth."""

from collections.abc import Callable

import pytest
import torch
import torchvision.models as zoo
from hypothesis import given, settings
from nets import SmallUNet, TinyViT
from random_nets import networks
from tests.engine.programs import program
from torch import Tensor, nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import network_of
from erfscope_engine.fields import Map, field_of
from erfscope_engine.layers import Traced
from erfscope_engine.plan import center_place, plan_for
from erfscope_engine.reaches import Extent, Reaches


def traced(module: nn.Module, shape: tuple[int, ...]) -> Traced:
    return plan_for(network_of(module.eval(), shape), "auto", samples=1).traced


def extents(network: Traced) -> list[Extent | None]:
    reaches = Reaches(network.geometry)
    return [reaches.extent(layer.value, center_place(layer).region) for layer in network.layers]


def walked(network: Traced) -> list[Extent | None]:
    """Each layer by a walk of its own."""
    fields = [field_of(network.geometry, layer.value, center_place(layer).region) for layer in network.layers]
    return [None if field is None else Extent(field.box, field.is_global) for field in fields]


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
def test_every_layer_has_the_field_of_its_walk(name: str) -> None:
    build, shape = NETWORKS[name]
    network = traced(build(), shape)
    assert extents(network) == walked(network)


@given(networks)
@settings(max_examples=40, deadline=None)
def test_random_networks(module: nn.Module) -> None:
    try:
        network = traced(module, (4, 31, 29))
    except ProblemError:
        return  # an image too small for its windows
    assert extents(network) == walked(network)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    """Slices, joins, rolls, attention and their like, one after another."""
    chosen = program(seed)
    network = traced(chosen.module, chosen.shape)
    assert extents(network) == walked(network)


def strided(depth: int) -> nn.Module:
    """3×3 convolutions, every tenth of them of stride 2 for the first three."""
    return nn.Sequential(*(nn.Conv2d(2, 2, 3, stride=2 if k in (10, 20, 30) else 1, padding=1) for k in range(depth)))


def test_a_chain_has_the_closed_form_at_every_depth() -> None:
    """Araujo, Norris and Sim, Distill 2019: size = 1 + Σ (kernel − 1) · stride before it."""
    found = extents(traced(strided(60), (2, 96, 96)))
    size, stride, expected = 1, 1, []
    for k in range(60):
        size, stride = size + 2 * stride, stride * (2 if k in (10, 20, 30) else 1)
        expected.append(size)
    assert [extent.box[0][1] - extent.box[0][0] for extent in found if extent] == expected


def test_steps_grow_with_the_layers_not_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ways = Map.ways
    monkeypatch.setattr(Map, "ways", lambda self, *a, **k: asked.append(1) or ways(self, *a, **k))

    def count(depth: int) -> int:
        network = traced(strided(depth), (2, 96, 96))
        asked.clear()
        extents(network)
        return len(asked)

    assert count(120) < 2.2 * count(60)
