"""Plain stacks of 3×3 convolutions (Luo et al. 2016): n layers have a receptive field of 2n + 1."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from erfscope_contract.architecture import Architecture, Init, InitOptions, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation, ActivationName
from erfscope_contract.architecture.spec import AnyLayer, Repeat

DEPTHS = (5, 10, 20, 40)
MARGIN = 10  # pixels around the receptive field of the middle unit


class Variant(NamedTuple):
    """What stands between the convolutions, how weights are drawn, and how many channels there are."""

    activation: ActivationName | None
    init: InitOptions
    channels: int


def _kaiming(gain: float) -> InitOptions:
    return InitOptions(scheme=Init.KAIMING_NORMAL, gain=gain)


VARIANTS = {
    "ones": Variant(None, InitOptions(scheme=Init.ONES), 1),
    "linear": Variant(None, _kaiming(1), 16),
    "relu": Variant("relu", _kaiming(2**0.5), 16),
    "tanh": Variant("tanh", _kaiming(5 / 3), 16),
    "sigmoid": Variant("sigmoid", _kaiming(1), 16),
}


def plain(depth: int, variant: str) -> Architecture:
    """`depth` convolutions 3×3 with zero padding, `variant`.

    The input's side is odd, so that its middle is a pixel.
    """
    return stack(f"plain-{depth}-{variant}", depth, VARIANTS[variant], 1 if variant == "ones" else 3)


def stack(name: str, depth: int, variant: Variant, input_channels: int) -> Architecture:
    """A plain stack of any variant."""
    layers: list[AnyLayer] = [Conv(out_channels=variant.channels, kernel_size=3, padding="same", bias=False)]
    if variant.activation is not None:
        layers.append(Activation(type=variant.activation))
    side = 2 * (depth + MARGIN) + 1
    return Architecture(
        name=name,
        input=InputSpec(channels=input_channels, size=[side, side]),
        init=variant.init,
        layers=[Repeat(name="stack", times=depth, layers=layers)],
    )


PRESETS: dict[str, Callable[[], Architecture]] = {
    f"plain-{depth}-{variant}": partial(plain, depth, variant) for depth in DEPTHS for variant in VARIANTS
}
