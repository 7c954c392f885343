"""Bodies of today's networks: torchvision's and timm's without their heads, and small ones of their kinds."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
import torchvision.models as zoo
from torch import Tensor, nn


def convnext_tiny() -> nn.Module:
    """ConvNeXt-T with open branches: a layer scale of 1e-6 would leave its shortcuts alone."""
    body = zoo.convnext_tiny().features
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if name.endswith("layer_scale"):
                parameter.fill_(1.0)
    return body


class SwinTiny(nn.Module):
    """Swin-T with its last map in the order [N, C, H, W]."""

    def __init__(self) -> None:
        super().__init__()
        swin = zoo.swin_t()
        self.features, self.norm = swin.features, swin.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.features(x)).permute(0, 3, 1, 2)


class HRNet(nn.Module):
    """HRNet-W18 small with the branch of the finest resolution as its output (stride 4)."""

    def __init__(self) -> None:
        super().__init__()
        import timm  # of the dev extra; the other bodies do without

        self.net = timm.create_model("hrnet_w18_small", pretrained=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.net.act1(self.net.bn1(self.net.conv1(x)))
        return self.net.stages(self.net.act2(self.net.bn2(self.net.conv2(x))))[0]


def _unit(a: int, b: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution as YOLO has it."""
    return nn.Sequential(nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(b), nn.SiLU())


class SplitBlock(nn.Module):
    """Half of the channels pass residual blocks, and all that was on the way is joined (C2f)."""

    def __init__(self, a: int, b: int, depth: int) -> None:
        super().__init__()
        half = b // 2
        self.enter, self.leave = _unit(a, b, 1), _unit((2 + depth) * half, b, 1)
        self.blocks = nn.ModuleList(nn.Sequential(_unit(half, half), _unit(half, half)) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.enter(x).chunk(2, 1)
        parts = [left, right]
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """A backbone of five strides of 2 and a top-down path with joins; its output is P3 (stride 8)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(5)]
        self.stem = _unit(3, widths[0], 3, 2)
        self.down = nn.ModuleList(
            nn.Sequential(_unit(a, b, 3, 2), SplitBlock(b, b, depth))
            for (a, b), depth in zip(pairwise(widths), (1, 2, 2, 1), strict=True)
        )
        self.fuse4 = SplitBlock(widths[4] + widths[3], widths[3], 1)
        self.fuse3 = SplitBlock(widths[3] + widths[2], widths[2], 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.stem(x)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        four = self.fuse4(torch.cat([_twice(levels[4]), levels[3]], 1))
        return self.fuse3(torch.cat([_twice(four), levels[2]], 1))


def _twice(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0)


class Residual(nn.Module):
    """A body and its shortcut."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def temporal(width: int = 64, depth: int = 10) -> nn.Module:
    """A TCN: two stacks of residual blocks whose dilations double from 1 (to 512)."""

    def conv(dilation: int) -> nn.Module:
        return nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def blocks() -> Iterator[nn.Module]:
        for dilation in [2**k for k in range(depth)] * 2:
            yield Residual(nn.Sequential(conv(dilation), nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, 1)))

    return nn.Sequential(nn.Conv1d(1, width, 1), *blocks())


class VolumeUNet(nn.Module):
    """A 3-D U-Net of three levels: two convolutions with norms each, pooling down, transposed convolutions up."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        a, b, c = width, 2 * width, 4 * width
        self.down = nn.ModuleList([_pair(1, a), _pair(a, b), _pair(b, c)])
        self.rise = nn.ModuleList([nn.ConvTranspose3d(c, b, 2, 2), nn.ConvTranspose3d(b, a, 2, 2)])
        self.up = nn.ModuleList([_pair(2 * b, b), _pair(2 * a, a)])

    def forward(self, x: Tensor) -> Tensor:
        first = self.down[0](x)
        second = self.down[1](nn.functional.max_pool3d(first, 2))
        x = self.down[2](nn.functional.max_pool3d(second, 2))
        x = self.up[0](torch.cat([second, self.rise[0](x)], 1))
        return self.up[1](torch.cat([first, self.rise[1](x)], 1))


def _pair(a: int, b: int) -> nn.Module:
    layers: list[nn.Module] = []
    for into in (a, b):
        layers += [nn.Conv3d(into, b, 3, padding=1, bias=False), nn.BatchNorm3d(b), nn.ReLU()]
    return nn.Sequential(*layers)


MODERN: tuple[tuple[str, Callable[[], nn.Module], tuple[int, ...], int], ...] = (
    ("ConvNeXt-T 512", convnext_tiny, (3, 512, 512), 32),
    ("MobileNetV3-L 512", lambda: zoo.mobilenet_v3_large().features, (3, 512, 512), 32),
    ("EfficientNet-B0 512", lambda: zoo.efficientnet_b0().features, (3, 512, 512), 32),
    ("DenseNet-121 512", lambda: zoo.densenet121().features, (3, 512, 512), 32),
    ("Swin-T 224", SwinTiny, (3, 224, 224), 32),
    ("YOLO-like FPN 512", Pyramid, (3, 512, 512), 32),
    ("HRNet-W18 512", HRNet, (3, 512, 512), 32),
    ("TCN 16000", temporal, (1, 16000), 1),
    ("3-D U-Net 64", VolumeUNet, (1, 64, 64, 64), 4),
)
