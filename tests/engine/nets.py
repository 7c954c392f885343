"""Small networks that several engine tests look at."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SmallUNet(nn.Module):
    """conv3, maxpool2, conv3, nearest ×2, concat with the first conv, conv3."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep, self.last = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((3, 4), (4, 4), (8, 2)))

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x)
        deep = self.deep(F.max_pool2d(torch.relu(skip), 2))
        return self.last(torch.cat([skip, F.interpolate(deep, scale_factor=2)], 1))


class Parallel(nn.Module):
    """Two branches, summed."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)


class TinyViT(nn.Module):
    """Patches, a class token, one attention block with LayerNorm; tokens stay tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.norm, self.out = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        mixed, _ = self.attention(*[self.norm(tokens)] * 3, need_weights=False)
        return self.out(tokens + mixed)


class ChannelsLast(nn.Module):
    """A network that takes N, H, W, C, as converted ones do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, padding=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def convs(*kernels: int, dilation: int = 1, channels: int = 3) -> nn.Sequential:
    """Plain convolutions, same size."""
    return nn.Sequential(
        *(nn.Conv2d(channels, channels, k, padding=dilation * (k // 2), dilation=dilation) for k in kernels)
    )
