"""Convolutional bodies that are not residual: AlexNet, VGG, MobileNet, DenseNet, U-Net."""

from collections.abc import Callable

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import AvgPool, Concat, Conv, ConvTranspose, MaxPool
from erfscope_contract.architecture.pointwise import Activation, BatchNorm
from erfscope_contract.architecture.spec import Dense, Sequential
from erfscope_contract.presets.resnets import conv_norm


def _relu() -> Activation:
    return Activation(type="relu")


def _imagenet(name: str, layers: list[AnyLayer]) -> Architecture:
    return Architecture(name=name, input=InputSpec(size=[224, 224]), init=Init.KAIMING_NORMAL, layers=layers)


def alexnet() -> Architecture:
    """The features of the one-tower AlexNet (Krizhevsky 2014), with the last pooling: receptive field 195."""
    return _imagenet(
        "alexnet",
        [
            Conv(out_channels=64, kernel_size=11, stride=4, padding=2),
            _relu(),
            MaxPool(kernel_size=3, stride=2),
            Conv(out_channels=192, kernel_size=5, padding=2),
            _relu(),
            MaxPool(kernel_size=3, stride=2),
            *_vgg_convs(384, 256, 256),
            MaxPool(kernel_size=3, stride=2),
        ],
    )


def _vgg_convs(*channels: int) -> list[AnyLayer]:
    return [layer for c in channels for layer in (Conv(out_channels=c, kernel_size=3, padding=1), _relu())]


def vgg16() -> Architecture:
    """The features of VGG-16 (Simonyan and Zisserman 2014), with the last pooling: receptive field 212."""
    layers: list[AnyLayer] = []
    for count, channels in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]:
        layers += [*_vgg_convs(*[channels] * count), MaxPool(kernel_size=2)]
    return _imagenet("vgg16", layers)


MOBILENET_V1 = [
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
]  # fmt: skip  # (output channels, stride) of the 13 separable layers


def mobilenet_v1() -> Architecture:
    """Depthwise separable layers (Howard et al. 2017): receptive field 315."""
    layers: list[AnyLayer] = [*conv_norm(32, 3, 2), _relu()]
    for channels, stride in MOBILENET_V1:
        depthwise = Conv(kernel_size=3, stride=stride, padding=1, groups="depthwise", bias=False)
        layers += [depthwise, BatchNorm(), _relu(), *conv_norm(channels, 1), _relu()]
    return _imagenet("mobilenet-v1", layers)


def densenet121() -> Architecture:
    """Dense blocks of 6, 12, 24 and 16 layers, growth 32 (Huang et al. 2016)."""
    layers: list[AnyLayer] = [*conv_norm(64, 7, 2), _relu(), MaxPool(kernel_size=3, stride=2, padding=1)]
    channels = 64
    for index, times in enumerate((6, 12, 24, 16)):
        if index > 0:
            channels //= 2
            halve = Conv(out_channels=channels, kernel_size=1, bias=False)
            layers += [BatchNorm(), _relu(), halve, AvgPool(kernel_size=2)]
        layers.append(Dense(name=f"block{index + 1}", times=times, layers=_dense_layer(32)))
        channels += 32 * times
    return _imagenet("densenet121", [*layers, BatchNorm(), _relu()])


def _dense_layer(growth: int) -> list[AnyLayer]:
    narrow = Conv(out_channels=4 * growth, kernel_size=1, bias=False)
    return [
        BatchNorm(),
        _relu(),
        narrow,
        BatchNorm(),
        _relu(),
        Conv(out_channels=growth, kernel_size=3, padding=1, bias=False),
    ]


def unet() -> Architecture:
    """Four levels down and up with skips (Ronneberger et al. 2015), padded so that the size stays."""
    widths = (64, 128, 256, 512)
    layers: list[AnyLayer] = []
    for level, width in enumerate(widths):
        layers += [
            Sequential(name=f"down{level}", layers=_vgg_convs(width, width)),
            MaxPool(kernel_size=2),
        ]
    layers.append(Sequential(name="bottom", layers=_vgg_convs(1024, 1024)))
    for level, width in reversed(list(enumerate(widths))):
        layers += [
            ConvTranspose(out_channels=width, kernel_size=2, stride=2),
            Concat(inputs=[f"down{level}", "previous"]),
            Sequential(name=f"up{level}", layers=_vgg_convs(width, width)),
        ]
    layers.append(Conv(name="classes", out_channels=2, kernel_size=1))
    return Architecture(name="unet", input=InputSpec(size=[256, 256]), init=Init.KAIMING_NORMAL, layers=layers)


PRESETS: dict[str, Callable[[], Architecture]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "mobilenet-v1": mobilenet_v1,
    "densenet121": densenet121,
    "unet": unet,
}
