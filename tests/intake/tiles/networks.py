"""Small networks of the kinds that are run in tiles, as torch modules and as ONNX files."""

import warnings
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def block(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, normalisation with its own statistics, ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """Two levels down, one transposed convolution and one resampling up; two outputs, the second of stride 2."""

    def __init__(self, align: bool = False) -> None:
        super().__init__()
        self.align = align
        self.down, self.middle, self.deep = block(3, 4), block(4, 6), block(6, 6)
        self.up, self.join, self.last = nn.ConvTranspose2d(6, 6, 2, 2), block(12, 6), nn.Conv2d(10, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.down(x)
        second = self.middle(F.max_pool2d(first, 2))
        joined = self.join(torch.cat([second, self.up(self.deep(F.max_pool2d(second, 2)))], 1))
        wide = F.interpolate(joined, scale_factor=2, mode="bilinear", align_corners=self.align)
        return self.last(torch.cat([first, wide], 1)), joined


class DeepLab(nn.Module):
    """A stem of stride 4, parallel dilations (and the mean of the image, where `pooled`), brought back bilinearly."""

    def __init__(self, pooled: bool = False) -> None:
        super().__init__()
        self.pooled = pooled
        self.stem = nn.Sequential(block(3, 6, stride=2), block(6, 8, stride=2), block(8, 8))
        self.branches = nn.ModuleList([block(8, 6, dilation=d) for d in (1, 3, 6)])
        self.last = nn.Conv2d(26 if pooled else 18, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        parts = [branch(y) for branch in self.branches]
        if self.pooled:
            parts.append(F.adaptive_avg_pool2d(y, 1).expand(-1, -1, y.shape[2], y.shape[3]))
        return F.interpolate(self.last(torch.cat(parts, 1)), scale_factor=4, mode="bilinear", align_corners=False)


class TCN(nn.Module):
    """Causal dilated convolutions, padded on both sides and cut behind, with a residual path."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv1d(2 if d == 1 else 4, 4, 3, dilation=d, padding=2 * d) for d in (1, 2, 4, 8)]
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            assert isinstance(conv, nn.Conv1d)
            y = torch.relu(conv(x))[..., : -int(conv.padding[0])]
            x = y if x.shape[1] != y.shape[1] else x + y
        return x


class Coordinates(nn.Module):
    """A convolution that is also told where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.linspace(-1.0, 1.0, x.shape[2]).reshape(1, 1, -1, 1).expand(len(x), 1, -1, x.shape[3])
        y: Tensor = self.conv(torch.cat([x, rows], 1))
        return y


class Placed(nn.Module):
    """A convolution with a learned position embedding of 32 × 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.place = nn.Conv2d(3, 2, 3, padding=1), nn.Parameter(torch.randn(1, 2, 32, 32))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x) + self.place
        return y


class Pyramid(nn.Module):
    """Three strides, the coarser added to the finer; the heads' outputs lie behind one another, as detectors return."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([block(3, 4, stride=4), block(4, 4, stride=2), block(4, 4, stride=2)])
        self.smooth = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
        self.head = nn.Conv2d(4, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        levels = list[Tensor]()
        for stage in self.stages:
            levels.append(stage(levels[-1] if levels else x))
        for k in (1, 0):
            levels[k] = levels[k] + F.interpolate(levels[k + 1], scale_factor=2)
        heads = [self.head(smooth(level)) for smooth, level in zip(self.smooth, levels, strict=True)]
        return torch.cat([head.flatten(2) for head in heads], 2)


def exported(
    network: nn.Module,
    shape: tuple[int, ...],
    path: Path,
    outputs: list[str],
    *,
    free: bool = True,
    positive: bool = False,
) -> Path:
    """An ONNX file, `free` along every axis in space, with weights that let far pixels be seen."""
    network = deepcopy(network)
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if "weight" in name and parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
            if positive:
                parameter.data.abs_()
    axes = {"input": {k + 1: f"n{k}" for k in range(1, len(shape))}} if free else None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(
            network.eval(), (torch.zeros(1, *shape),), str(path), dynamo=False, verbose=False,
            input_names=["input"], output_names=outputs, dynamic_axes=axes,
        )  # fmt: skip
    return path
