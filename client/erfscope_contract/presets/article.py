"""The networks of Luo et al. 2016 beyond plain stacks; what the article leaves open is said at each.

Fifteen 3×3 convolutions are the base of its comparisons; the three that get a stride or a dilation are the
4th, 8th and 12th here (the article does not say which).
"""

import math
from collections.abc import Callable, Sequence

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InitOptions, InitSpec, InputSpec
from erfscope_contract.architecture.layers import Conv, Flatten, GlobalAvgPool, Linear, MaxPool, SparseConv
from erfscope_contract.architecture.pointwise import Activation
from erfscope_contract.architecture.spec import Residual
from erfscope_contract.presets.resnets import basic_block, bottleneck, conv_norm, stage

DEPTH = 15
CHANGED = (3, 7, 11)  # indices of the layers that get a stride or a dilation
CHANNELS = 16
TAPS = 9
RADIUS = 3.0


def _stack(name: str, layers: Sequence[AnyLayer], side: int, init: InitSpec = Init.KAIMING_NORMAL) -> Architecture:
    with_relu: list[AnyLayer] = []
    for layer in layers:
        with_relu += [layer] if isinstance(layer, Residual) else [layer, _relu()]
    return Architecture(name=name, input=InputSpec(size=[side, side]), init=init, layers=with_relu)


def _relu() -> Activation:
    return Activation(type="relu")


def _conv(stride: int = 1, dilation: int = 1) -> Conv:
    return Conv(out_channels=CHANNELS, kernel_size=3, stride=stride, dilation=dilation, padding=dilation, bias=False)


def conv_only() -> Architecture:
    """The base of the comparisons: 15 convolutions, receptive field 31."""
    return _stack("luo-conv", [_conv()] * DEPTH, 127)


def subsample() -> Architecture:
    """Three of the 15 convolutions get stride 2: receptive field 105."""
    return _stack("luo-subsample", [_conv(stride=2 if i in CHANGED else 1) for i in range(DEPTH)], 127)


def dilation() -> Architecture:
    """Three of the 15 convolutions get dilation 2, 4 and 8: receptive field 53."""
    factors = dict(zip(CHANGED, (2, 4, 8), strict=True))
    return _stack("luo-dilation", [_conv(dilation=factors.get(i, 1)) for i in range(DEPTH)], 127)


def skip() -> Architecture:
    """Every convolution but the first gets a skip connection around it and its ReLU: receptive field 31."""
    blocks = [Residual(layers=[_conv(), _relu()]) for _ in range(DEPTH - 1)]
    return _stack("luo-skip", [_conv(), *blocks], 127)


def low_center() -> Architecture:
    """The base with weights that are low in the kernel's middle and high on its rim, the first cure.

    The article gives no formula; here the middle's scale is 0.1 of the rim's, at equal total variance.
    """
    return _stack("luo-low-center", [_conv()] * DEPTH, 127, InitOptions(scheme=Init.LOW_CENTER))


def sparse() -> Architecture:
    """The base with nine taps off the grid per layer, the article's other cure; the pattern is ours.

    A layer's taps lie on a sunflower spiral of radius 3 that is turned from layer to layer, so that
    neighbouring layers share no lattice.
    """
    layers = [SparseConv(out_channels=CHANNELS, offsets=spiral(i), bias=False) for i in range(DEPTH)]
    return _stack("luo-sparse", layers, 127)


def spiral(turn: int) -> list[list[int]]:
    """Nine distinct offsets near a disc of radius 3: tap t at radius 3·√(t/8), golden angles apart."""
    golden = math.pi * (3 - math.sqrt(5))
    taps = []
    for t in range(TAPS):
        radius, angle = RADIUS * math.sqrt(t / (TAPS - 1)), golden * t + turn
        taps.append([round(radius * math.sin(angle)), round(radius * math.cos(angle))])
    return taps


def cifar_resnet17() -> Architecture:
    """17 residual blocks for 32×32 images, receptive field 73 (the article: 74).

    Our reading: bottleneck blocks in stages of 6, 6 and 5, stride on the 3×3. Two 3×3 convolutions per block
    give more than 74 with any subsampling.
    """
    stages = [stage(bottleneck, 6, 16, 1), stage(bottleneck, 6, 32, 2), stage(bottleneck, 5, 64, 2)]
    head: list[AnyLayer] = [GlobalAvgPool(), Flatten(), Linear(out_features=10)]
    return Architecture(
        name="cifar-resnet17",
        input=InputSpec(size=[32, 32]),
        init=Init.KAIMING_NORMAL,
        layers=[*conv_norm(16, 3), _relu(), *(block for part in stages for block in part), *head],
    )


def camvid_resnet16(width: int = 32) -> Architecture:
    """16 residual blocks and 4 subsamplings for segmentation, receptive field 505 as in the article.

    Our reading: blocks of two 3×3 convolutions in stages of 2, 2, 4, 4 and 4, a 3×3 max pooling of stride 2
    between the stages, and a classifier at each position. `width` is the channels of the first stage.
    """
    layers: list[AnyLayer] = [*conv_norm(width, 3), _relu()]
    for index, (blocks, factor) in enumerate([(2, 1), (2, 2), (4, 4), (4, 8), (4, 8)]):
        if index > 0:
            layers.append(MaxPool(kernel_size=3, stride=2, padding=1))
        layers += stage(basic_block, blocks, factor * width, 1, project=index > 0)
    layers.append(Conv(name="classes", out_channels=11, kernel_size=1))
    return Architecture(
        name="camvid-resnet16", input=InputSpec(size=[360, 480]), init=Init.KAIMING_NORMAL, layers=layers
    )


PRESETS: dict[str, Callable[[], Architecture]] = {
    "luo-conv": conv_only,
    "luo-subsample": subsample,
    "luo-dilation": dilation,
    "luo-skip": skip,
    "luo-low-center": low_center,
    "luo-sparse": sparse,
    "cifar-resnet17": cifar_resnet17,
    "camvid-resnet16": camvid_resnet16,
}
