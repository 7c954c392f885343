"""Tiles cut by alignment and reach: what a network gives on a tile is what it gives there on the whole image."""

from math import ceil, floor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erfscope_engine import receptive_field

SIZE = 192


def block(inputs: int, outputs: int, **options: int) -> nn.Sequential:
    """A convolution, a normalisation with its own statistics, and a ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=options.get("dilation", 1), **options),
                         nn.BatchNorm2d(outputs), nn.ReLU())  # fmt: skip


class UNet(nn.Module):
    """Two levels, with a transposed convolution and a resampling on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle, self.deep = block(3, 4), block(4, 6), block(6, 6)
        self.up, self.last = nn.ConvTranspose2d(6, 6, 2, 2), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down(x)
        second = self.middle(F.max_pool2d(first, 2))
        third = self.up(self.deep(F.max_pool2d(second, 2)))
        return self.last(torch.cat([first, F.interpolate(torch.cat([second, third], 1), scale_factor=2)], 1))


class Pyramid(nn.Module):
    """Features of three strides, the coarser ones added to the finer."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([block(3, 4, stride=4), block(4, 4, stride=2), block(4, 4, stride=2)])
        self.smooth = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        levels = list[Tensor]()
        for stage in self.stages:
            levels.append(stage(levels[-1] if levels else x))
        top = levels[-1]
        for level in reversed(levels[:-1]):
            top = level + F.interpolate(top, scale_factor=2, mode="nearest")
        return self.smooth(top)


class Dilated(nn.Module):
    """Parallel dilations behind a patch embedding, brought back to the image's size with pixel shuffles."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.branches = nn.ModuleList([block(8, 8, dilation=d) for d in (1, 2, 4)])

    def forward(self, x: Tensor) -> Tensor:
        y = self.patches(x)
        return F.pixel_shuffle(torch.cat([branch(y) for branch in self.branches], 1)[:, :16], 4)


@pytest.mark.parametrize("build", [UNet, Pyramid, Dilated])
@pytest.mark.parametrize("first", [40, 53])
def test_a_tile_gives_what_the_whole_image_gives(build: type[nn.Module], first: int) -> None:
    torch.manual_seed(0)
    net = build().eval().double()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 3, SIZE, SIZE, dtype=torch.float64)
    whole = net(x)
    scale = SIZE // whole.shape[-1]
    first, count = first // scale + 2, 3
    fields = [receptive_field(net, (3, SIZE, SIZE), layer="output", unit=(u, u)) for u in (first, first + count - 1)]
    reach, alignment = fields[0].reach, fields[0].alignment
    assert reach is not None
    assert alignment is not None
    assert alignment[0] < SIZE
    low, high = fields[0].center[0] - reach[0][0], fields[1].center[0] + reach[0][1] + 1
    start, stop = floor(low / alignment[0]) * alignment[0], ceil(high / alignment[0]) * alignment[0]
    assert start > 0
    assert stop < SIZE
    tile = net(x[:, :, start:stop, start:stop])
    at = first - start // scale
    inside = tile[:, :, at : at + count, at : at + count]
    torch.testing.assert_close(inside, whole[:, :, first : first + count, first : first + count], rtol=0, atol=1e-9)
