"""Convolutional networks: ConvNeXt, U-Net, FPN, DeepLab, YOLO-like, generators, sub-pixel, wavelets, unpooling."""

import torch
import torchvision.models as zoo
from tests.engine.cases.case import Case, Net, around, conv
from tests.engine.steps.step import to_first, to_last
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d


class ConvNeXtBlock(nn.Module):
    """Depthwise 7×7, LayerNorm and two Linear with the channels last."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.spatial, self.norm = conv(c, c, 7, groups=c), nn.LayerNorm(c)
        self.wide, self.narrow, self.scale = nn.Linear(c, 2 * c), nn.Linear(2 * c, c), nn.Parameter(torch.ones(c))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(to_last(self.spatial(x)))
        return x + to_first(self.scale * self.narrow(F.gelu(self.wide(y))))


class UNet(nn.Module):
    """Three levels, transposed convolutions up, joined with what was there."""

    def __init__(self, up: str = "transposed") -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 4), conv(4, 6), conv(6, 8)
        kinds = {"transposed": lambda i, o: nn.ConvTranspose2d(i, o, 2, 2),
                 "nearest": lambda i, o: nn.Sequential(nn.Upsample(scale_factor=2), conv(i, o, 1))}  # fmt: skip
        self.up_two, self.up_one = kinds[up](8, 6), kinds[up](6, 4)
        self.join_two, self.join_one = conv(12, 6), conv(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        one = torch.relu(self.one(x))
        two = torch.relu(self.two(F.max_pool2d(one, 2)))
        three = torch.relu(self.three(F.max_pool2d(two, 2)))
        two = torch.relu(self.join_two(torch.cat([self.up_two(three), two], 1)))
        return self.join_one(torch.cat([one, self.up_one(two)], 1))


class Pyramid(nn.Module):
    """A feature pyramid: strides 2, 4, 8 and back, the deep branch first in each join; returns all levels."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([conv(3, 4, stride=2), conv(4, 4, stride=2), conv(4, 4, stride=2)])
        self.lateral, self.out = nn.ModuleList(conv(4, 4, 1) for _ in range(3)), conv(4, 4)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = list[Tensor]()
        for down in self.down:
            x = F.silu(down(x))
            levels.append(x)
        merged = [self.lateral[2](levels[2])]
        for k in (1, 0):
            merged.append(F.interpolate(merged[-1], scale_factor=2) + self.lateral[k](levels[k]))
        return [self.out(each) for each in merged]


class DeepLab(nn.Module):
    """Stride 4, then parallel dilations and an image-level branch."""

    def __init__(self, image_level: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 6, stride=2), nn.ReLU(), conv(6, 6, stride=2), nn.ReLU())
        self.branches = nn.ModuleList([conv(6, 4, 1), *(conv(6, 4, dilation=d, padding=d) for d in (2, 3))])
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(6, 4, 1)) if image_level else None
        self.head = conv(16 if image_level else 12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        parts = [branch(x) for branch in self.branches]
        if self.pool is not None:
            parts.append(self.pool(x).expand_as(parts[0]))
        return self.head(torch.cat(parts, 1))


class Yolo(nn.Module):
    """A focus stem, split blocks (C2f), pooling in a row (SPPF), a path up, two heads joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = conv(12, 8), conv(8, 8, stride=2)
        self.block, self.mix = conv(4, 4), conv(12, 8, 1)
        self.reduce, self.expand = conv(8, 4, 1), conv(16, 8, 1)
        self.heads = nn.ModuleList([conv(16, 5, 1), conv(8, 5, 1)])

    def forward(self, x: Tensor) -> Tensor:
        fine = F.silu(self.stem(torch.cat([x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)], 1)))
        a, b = F.silu(self.down(fine)).chunk(2, 1)
        coarse = self.mix(torch.cat([a, b, b + F.silu(self.block(b))], 1))
        pools = [self.reduce(coarse)]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        coarse = F.silu(self.expand(torch.cat(pools, 1)))
        fine = torch.cat([F.interpolate(coarse, scale_factor=2.0), fine], 1)
        return torch.cat([self.heads[0](fine).flatten(2), self.heads[1](coarse).flatten(2)], 2)


class Generator(nn.Module):
    """A CycleGAN generator in small: reflection pads, InstanceNorm, residual blocks, transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.InstanceNorm2d
        self.first = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7), norm(4), nn.ReLU(True))
        self.down = nn.Sequential(conv(4, 8, stride=2), norm(8), nn.ReLU(True))
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(8, 8, 3), norm(8), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(8, 8, 3), norm(8),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1), norm(4), nn.ReLU(True),
            nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(self.first(x))
        return self.up(y + self.block(y))


class SegNet(nn.Module):
    """Max pooling with indices, and unpooling by them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep, self.last = conv(3, 4), conv(4, 4), conv(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y, where = F.max_pool2d(torch.relu(self.first(x)), 2, return_indices=True)
        return self.last(F.max_unpool2d(torch.tanh(self.deep(y)), where, 2))


class Deformable(nn.Module):
    """A deformable convolution (v2) between two plain ones."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.offset, self.mask = conv(3, 4), conv(4, 18), conv(4, 9)
        self.deformed, self.last = DeformConv2d(4, 4, 3, padding=1), conv(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.last(self.deformed(y, self.offset(y) / 4, torch.sigmoid(self.mask(y))))


class Haar(nn.Module):
    """A wavelet transform by strided slices, a convolution of the bands, and the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bands = conv(3, 2), conv(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        a, b, c, d = (y[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1))
        bands = torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2
        low, across, down, both = torch.relu(self.bands(bands)).chunk(4, 1)
        image = torch.zeros_like(y)
        image[:, :, 0::2, 0::2] = low + across + down + both
        image[:, :, 0::2, 1::2] = low - across + down - both
        image[:, :, 1::2, 0::2] = low + across - down - both
        image[:, :, 1::2, 1::2] = low - across - down + both
        return image / 2


class Dense(nn.Module):
    """A DenseNet block and its transition, BatchNorm first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 4, stride=2)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(4 + 2 * k), nn.ReLU(), conv(4 + 2 * k, 2)) for k in range(3)
        )
        self.transition = nn.Sequential(nn.BatchNorm2d(10), nn.ReLU(), conv(10, 4, 1), nn.AvgPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return self.transition(torch.cat(features, 1))


class _Gate(nn.Module):
    """A causal, dilated convolution with a gate and a residual."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv, self.back, self.dilation = nn.Conv1d(4, 8, 2, dilation=dilation), nn.Conv1d(4, 4, 1), dilation

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.conv(F.pad(x, (self.dilation, 0))).chunk(2, 1)
        return x + self.back(torch.tanh(a) * torch.sigmoid(b))


def wavenet() -> nn.Module:
    """Four dilated, gated layers, padded in front."""
    return nn.Sequential(nn.Conv1d(1, 4, 1), *(_Gate(d) for d in (1, 2, 4, 8)))


def _circular_along_width(one: nn.Module, two: nn.Module, x: Tensor) -> Tensor:
    wrapped = lambda t: F.pad(t, (1, 1, 0, 0), mode="circular")  # noqa: E731
    return two(wrapped(torch.relu(one(wrapped(x)))))


def _nhwc(linear: nn.Module) -> Net:
    return Net(lambda m, x: to_first(m(to_last(x))), linear)


CASES = {
    "ConvNeXt-T stage 4 at 64": Case(zoo.convnext_tiny, (1, 1), (3, 64, 64), layer="features.7", inputs=(1,),
        tensor=lambda net, x: net.features[:8](x), box=[(-796, 892)] * 2, center=(47.5, 47.5)),
    "convnext_tiny as it is": Case(zoo.convnext_tiny, (0, 1), (3, 64, 64), layer="features", inputs=(1, 2),
        tensor=lambda net, x: net.features(x), channels=(5,), box=[(-828, 860), (-796, 892)]),
    "ConvNeXt blocks": Case(lambda: nn.Sequential(nn.Conv2d(3, 8, 4, 4), *(ConvNeXtBlock(8) for _ in range(3))),
        (5, 6), (3, 48, 48), box=[(-16, 60), (-12, 64)], center=(21.5, 25.5)),
    "Linear with the channels last, corner": Case(lambda: nn.Sequential(conv(3, 4, 7), _nhwc(nn.Linear(4, 4)),
        conv(4, 4, 7), _nhwc(nn.Linear(4, 4)), conv(4, 4, 7)), (0, 0), (3, 20, 20), box=around((0, 0), 9), exact=True),
    "U-Net, transposed": Case(UNet, (9, 10), (3, 32, 24), exact=True),
    "U-Net, nearest": Case(lambda: UNet("nearest"), (8, 12), (3, 32, 24), exact=True, center=(8, 12)),
    "pyramid, coarse level": Case(Pyramid, (1, 2), (3, 32, 32), layer="output.0", tensor=lambda net, x: net(x)[0],
        center=(8, 16), exact=True),
    "pyramid, fine level": Case(Pyramid, (6, 7), (3, 32, 32), layer="output.2", tensor=lambda net, x: net(x)[2],
        center=(12, 14)),
    "DeepLab": Case(DeepLab, (3, 2), (3, 32, 32), center=(12, 8)),
    "DeepLab with an image level": Case(lambda: DeepLab(True), (3, 2), (3, 32, 32), center=(12, 8)),
    "YOLO, focus stem": Case(Yolo, (5, 4), (3, 32, 32), layer="stem",
        tensor=lambda net, x: net.stem(torch.cat([x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)], 1)),
        box=[(8, 14), (6, 12)], center=(10.5, 8.5), exact=True),
    "YOLO, coarse head": Case(Yolo, (4, 3), (3, 32, 32), layer="heads.1",
        tensor=lambda net, x: _captured(net, net.heads[1], x), exact=True, center=(16.5, 12.5)),
    "generator with InstanceNorm": Case(Generator, (11, 9), (3, 24, 20)),
    "unpooling": Case(SegNet, (9, 4), taken="output"),
    "deformable convolution": Case(Deformable, (9, 4), taken="output"),
    "wavelets": Case(Haar, (9, 4), taken="output", exact=True),
    "DenseNet block": Case(Dense, (2, 3), (3, 24, 24), exact=True),
    "ResNet-18 in channels_last": Case(lambda: zoo.resnet18().to(memory_format=torch.channels_last), (1, 1),
        (3, 64, 64), layer="layer4", tensor=lambda net, x: nn.Sequential(*list(net.children())[:-2])(x),
        inputs=(1, 2), box=[(-185, 250)] * 2, center=(32, 32)),
    "channels_last with adaptive pooling": Case(lambda: nn.Sequential(conv(3, 8), nn.AdaptiveAvgPool2d((6, 5)),
        conv(8, 4)).to(memory_format=torch.channels_last), (3, 2), exact=True),
    "sub-pixel upsampling": Case(lambda: nn.Sequential(conv(3, 8, 5), nn.Tanh(), conv(8, 12), nn.PixelShuffle(2)),
        (21, 8), exact=True, box=[(7, 14), (1, 8)]),
    "patches by unfold": Case(lambda: Net(lambda m, x: m((F.unfold(x, 4, stride=4)).unflatten(2, (6, 5))),
        nn.Conv2d(48, 4, 1)), (3, 2), box=[(12, 16), (8, 12)], exact=True),
    "circular along one axis": Case(lambda: Net(_circular_along_width, nn.Conv2d(3, 4, 3, padding=(1, 0)),
        nn.Conv2d(4, 4, 3, padding=(1, 0))), (12, 10), box=around((12, 10), 2), exact=True),
    "3-D U-Net level": Case(lambda: nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.InstanceNorm3d(3),
        nn.MaxPool3d(2), nn.Conv3d(3, 2, 3, padding=1), nn.Upsample(scale_factor=2, mode="trilinear")),
        (4, 5, 3), (1, 8, 10, 8)),
    "dilated WaveNet with gates": Case(wavenet, (30,), (1, 48), box=[(15, 31)], exact=False),
    "1-D strided codec": Case(lambda: nn.Sequential(nn.Conv1d(1, 4, 7, padding=3), nn.ELU(), nn.Conv1d(4, 4, 4, 2, 1),
        nn.ELU(), nn.ConvTranspose1d(4, 4, 4, 2, 1), nn.ELU(), nn.Conv1d(4, 1, 7, padding=3)), (23,), (1, 48),
        exact=True),
}  # fmt: skip


def _captured(net: nn.Module, part: nn.Module, x: Tensor) -> Tensor:
    """What a part of a network gave."""
    outputs = list[Tensor]()
    handle = part.register_forward_hook(lambda module, args, out: outputs.append(out))
    try:
        net(x)
    finally:
        handle.remove()
    return outputs[0]
