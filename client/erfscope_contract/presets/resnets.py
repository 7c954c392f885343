"""Residual networks (He et al. 2015): blocks, stages, and the ImageNet bodies as torchvision has them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import Conv, MaxPool
from erfscope_contract.architecture.pointwise import Activation, BatchNorm
from erfscope_contract.architecture.spec import Residual, Sequential

EXPANSION = 4  # of a bottleneck's width


class Block(Protocol):
    """Makes one residual block."""

    def __call__(self, width: int, stride: int, *, project: bool) -> Residual:
        """A block of that width; `project` puts a 1×1 convolution on the shortcut."""


def conv_norm(channels: int, kernel: int, stride: int = 1) -> list[AnyLayer]:
    """A convolution that keeps the size up to its stride, and its batch normalisation."""
    return [
        Conv(out_channels=channels, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False),
        BatchNorm(),
    ]


def basic_block(width: int, stride: int, *, project: bool) -> Residual:
    """Two 3×3 convolutions."""
    return Residual(
        layers=[*conv_norm(width, 3, stride), Activation(type="relu"), *conv_norm(width, 3)],
        shortcut=conv_norm(width, 1, stride) if project else None,
        activation="relu",
    )


def bottleneck(width: int, stride: int, *, project: bool, stride_on_1x1: bool = False) -> Residual:
    """1×1, 3×3, 1×1 convolutions; the stride is on the 3×3 (torchvision, v1.5) or on the first 1×1 (v1)."""
    first, second = (stride, 1) if stride_on_1x1 else (1, stride)
    return Residual(
        layers=[
            *conv_norm(width, 1, first),
            Activation(type="relu"),
            *conv_norm(width, 3, second),
            Activation(type="relu"),
            *conv_norm(EXPANSION * width, 1),
        ],
        shortcut=conv_norm(EXPANSION * width, 1, stride) if project else None,
        activation="relu",
    )


def stage(block: Block, blocks: int, width: int, stride: int, *, project: bool = True) -> list[AnyLayer]:
    """`blocks` blocks, the first with the stride and, where channels change, the projection."""
    return [block(width, stride if i == 0 else 1, project=project and i == 0) for i in range(blocks)]


class Body(NamedTuple):
    """An ImageNet body: its block, whether the first stage changes the channels, and blocks per stage."""

    block: Block
    project_first: bool
    stages: tuple[int, int, int, int]


BODIES = {
    "resnet18": Body(basic_block, False, (2, 2, 2, 2)),
    "resnet34": Body(basic_block, False, (3, 4, 6, 3)),
    "resnet50": Body(bottleneck, True, (3, 4, 6, 3)),
    "resnet101": Body(bottleneck, True, (3, 4, 23, 3)),
    "resnet152": Body(bottleneck, True, (3, 8, 36, 3)),
    "resnet50-v1": Body(partial(bottleneck, stride_on_1x1=True), True, (3, 4, 6, 3)),
}


def resnet(name: str) -> Architecture:
    """7×7 stem of stride 2, 3×3 max pooling, four stages named layer1 … layer4."""
    body = BODIES[name]
    layers: list[AnyLayer] = [
        *conv_norm(64, 7, 2),
        Activation(type="relu"),
        MaxPool(kernel_size=3, stride=2, padding=1),
    ]
    for index, blocks in enumerate(body.stages):
        stride, project = (1, body.project_first) if index == 0 else (2, True)
        made = stage(body.block, blocks, 64 * 2**index, stride, project=project)
        layers.append(Sequential(name=f"layer{index + 1}", layers=made))
    return Architecture(name=name, input=InputSpec(size=[224, 224]), init=Init.KAIMING_NORMAL, layers=layers)


PRESETS: dict[str, Callable[[], Architecture]] = {name: partial(resnet, name) for name in BODIES}
