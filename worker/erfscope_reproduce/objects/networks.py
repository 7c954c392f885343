"""Networks of nearly equal parameters whose ERF differs: by dilation, kernel, depthwise kernel, stride, skips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import Conv, Upsample
from erfscope_contract.architecture.pointwise import Activation, BatchNorm
from erfscope_contract.architecture.spec import Residual
from erfscope_reproduce.objects.scenes import SIDE

CHANNELS = 16
CLASSES = 2


@dataclass(frozen=True)
class Contender:
    """A network of the experiment; `family` is how its ERF is made, for the chart's legend."""

    name: str
    family: str
    layers: Callable[[], list[AnyLayer]]

    def architecture(self) -> Architecture:
        """The spec, with a classifier at each pixel."""
        head = Conv(name="classes", out_channels=CLASSES, kernel_size=1)
        return Architecture(
            name=self.name,
            input=InputSpec(channels=1, size=[SIDE, SIDE]),
            init=Init.KAIMING_NORMAL,
            layers=[*self.layers(), head],
        )


def _unit(channels: int, kernel: int, dilation: int = 1, stride: int = 1) -> list[AnyLayer]:
    """A convolution that keeps the size up to its stride, its normalisation and ReLU."""
    padding = dilation * (kernel - 1) // 2
    conv = Conv(
        out_channels=channels, kernel_size=kernel, dilation=dilation, stride=stride, padding=padding, bias=False
    )
    return [conv, BatchNorm(), Activation(type="relu")]


def _dilated(*dilations: int) -> list[AnyLayer]:
    return [layer for dilation in dilations for layer in _unit(CHANNELS, 3, dilation)]


def _skipped(*dilations: int) -> list[AnyLayer]:
    """The same layers, each but the first with an identity around it: paths that see less carry most."""
    first, *others = dilations
    return [*_unit(CHANNELS, 3, first), *(Residual(layers=_unit(CHANNELS, 3, one)) for one in others)]


def _wide(channels: int, kernel: int) -> list[AnyLayer]:
    return [layer for _ in range(6) for layer in _unit(channels, kernel)]


def _depthwise(kernel: int) -> list[AnyLayer]:
    """Six depthwise convolutions, each with a 1×1 convolution behind it."""
    large = Conv(kernel_size=kernel, padding=kernel // 2, groups="depthwise", bias=False)
    stem = Conv(out_channels=CHANNELS, kernel_size=1, bias=False)
    return [stem, *(layer for _ in range(6) for layer in (large, *_unit(CHANNELS, 1)))]


def _strided(*dilations: int) -> list[AnyLayer]:
    """Two layers, four at half the resolution behind a stride, and linear interpolation back."""
    first, second, *inner = dilations
    return [
        *_unit(CHANNELS, 3, first),
        *_unit(CHANNELS, 3, second, stride=2),
        *(layer for one in inner for layer in _unit(CHANNELS, 3, one)),
        Upsample(scale_factor=2, mode="bilinear"),
    ]


CONTENDERS: Sequence[Contender] = (
    Contender("dilation-6", "dilation", lambda: _dilated(1, 1, 1, 1, 1, 1)),
    Contender("dilation-10", "dilation", lambda: _dilated(1, 1, 2, 2, 2, 2)),
    Contender("dilation-15", "dilation", lambda: _dilated(1, 2, 2, 4, 4, 2)),
    Contender("dilation-21", "dilation", lambda: _dilated(1, 2, 4, 8, 4, 2)),
    Contender("dilation-31", "dilation", lambda: _dilated(1, 2, 4, 8, 8, 8)),
    Contender("dilation-47", "dilation", lambda: _dilated(1, 2, 4, 8, 16, 16)),
    Contender("skip-31", "skip", lambda: _skipped(1, 2, 4, 8, 8, 8)),
    Contender("skip-47", "skip", lambda: _skipped(1, 2, 4, 8, 16, 16)),
    Contender("one-far-31", "one wide dilation", lambda: _dilated(1, 1, 1, 1, 1, 26)),
    Contender("kernel-5", "kernel", lambda: _wide(10, 5)),
    Contender("kernel-7", "kernel", lambda: _wide(7, 7)),
    Contender("depthwise-11", "depthwise", lambda: _depthwise(11)),
    Contender("stride-2", "stride", lambda: _strided(1, 1, 1, 1, 1, 1)),
    Contender("stride-2-dilated", "stride", lambda: _strided(1, 1, 2, 4, 4, 2)),
)
