"""The networks that are measured: name → module, input shape, and where a crop of the input may begin."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torchvision.models as zoo
from torch import Tensor, nn

from benchmarks.modern import MODERN


class Row(NamedTuple):
    """One row of the benchmark; a crop of the input at multiples of `multiple` pixels gives the same features."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    multiple: int = 32


class UNet(nn.Module):
    """Four levels, two 3×3 convolutions each, skip connections, nearest upsampling."""

    def __init__(self, width: int = 32, depth: int = 4) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(depth)]
        self.down = nn.ModuleList(_double(a, b) for a, b in pairwise([3, *widths]))
        self.up = nn.ModuleList(_double(a + b, a) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = skips.pop()
        for block in reversed(self.up):
            x = block(torch.cat([skips.pop(), nn.functional.interpolate(x, scale_factor=2)], 1))
        return x


def _double(a: int, b: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.ReLU())


class ViT(nn.Module):
    """ViT-B/16 with its tokens as the output."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = zoo.vit_b_16()

    def forward(self, x: Tensor) -> Tensor:
        patches = self.vit._process_input(x)
        tokens = torch.cat([self.vit.class_token.expand(len(x), -1, -1), patches], 1)
        return self.vit.encoder(tokens)[:, 1:].transpose(1, 2).unflatten(2, (14, 14))


def resnet(kind: Callable[[], nn.Module]) -> nn.Module:
    """A ResNet without its head, as it is before training: normalisations are the identity."""
    return nn.Sequential(*list(kind().children())[:-2])


def plain(depth: int, channels: int = 16) -> nn.Module:
    """3×3 convolutions with ReLU."""
    layers: list[nn.Module] = []
    for n in range(depth):
        layers += [nn.Conv2d(3 if n == 0 else channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def volume() -> nn.Module:
    """A 3-D classifier's body."""
    widths = [1, 16, 32, 64]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Conv3d(a, b, 3, padding=1), nn.ReLU(), nn.Conv3d(b, b, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2)]
    return nn.Sequential(*layers[:-1])


ROWS = (
    Row("ResNet-50 1024", lambda: resnet(zoo.resnet50), (3, 1024, 1024)),
    Row("ResNet-50 512", lambda: resnet(zoo.resnet50), (3, 512, 512)),
    Row("ResNet-50 224", lambda: resnet(zoo.resnet50), (3, 224, 224)),
    Row("ResNet-101 1024", lambda: resnet(zoo.resnet101), (3, 1024, 1024)),
    Row("VGG-16 512", lambda: zoo.vgg16().features, (3, 512, 512)),
    Row("plain-40 256", lambda: plain(40), (3, 256, 256), 1),
    Row("U-Net 512", UNet, (3, 512, 512), 8),
    Row("3-D CNN 64", volume, (1, 64, 64, 64), 4),
    Row("ViT-B/16 224", ViT, (3, 224, 224)),
    *(Row(*fields) for fields in MODERN),
)
