"""Bodies with patch stems: ConvNeXt and a vision transformer."""

from collections.abc import Callable

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InitOptions, InputSpec
from erfscope_contract.architecture.layers import Attention, Conv, PositionEmbedding
from erfscope_contract.architecture.pointwise import Gelu, LayerNorm
from erfscope_contract.architecture.spec import Repeat, Residual, Sequential

INIT = InitOptions(scheme=Init.NORMAL, std=0.02)


def _mlp(width: int) -> list[AnyLayer]:
    """Two layers at each position, four times as wide in between."""
    return [Conv(out_channels=4 * width, kernel_size=1), Gelu(), Conv(out_channels=width, kernel_size=1)]


def convnext_tiny() -> Architecture:
    """ConvNeXt-T (Liu et al. 2022) without layer scale, whose start at 1e-6 would hide every block."""
    layers: list[AnyLayer] = [Conv(out_channels=96, kernel_size=4, stride=4), LayerNorm(eps=1e-6)]
    for index, (blocks, width) in enumerate([(3, 96), (3, 192), (9, 384), (3, 768)]):
        if index > 0:
            layers += [LayerNorm(eps=1e-6), Conv(out_channels=width, kernel_size=2, stride=2)]
        depthwise = Conv(kernel_size=7, padding=3, groups="depthwise")
        block = Residual(layers=[depthwise, LayerNorm(eps=1e-6), *_mlp(width)])
        layers.append(Repeat(name=f"stage{index + 1}", times=blocks, layers=[block]))
    return Architecture(name="convnext-tiny", input=InputSpec(size=[224, 224]), init=INIT, layers=layers)


def vit_tiny() -> Architecture:
    """ViT-Ti/16 (Dosovitskiy et al. 2020) without a class token: every unit sees the whole input."""
    width = 192
    block = Sequential(
        layers=[
            Residual(layers=[LayerNorm(eps=1e-6), Attention(num_heads=3)]),
            Residual(layers=[LayerNorm(eps=1e-6), *_mlp(width)]),
        ]
    )
    return Architecture(
        name="vit-tiny",
        input=InputSpec(size=[224, 224]),
        init=INIT,
        layers=[
            Conv(name="patches", out_channels=width, kernel_size=16, stride=16),
            PositionEmbedding(),
            Repeat(name="blocks", times=12, layers=[block]),
            LayerNorm(eps=1e-6),
        ],
    )


PRESETS: dict[str, Callable[[], Architecture]] = {"convnext-tiny": convnext_tiny, "vit-tiny": vit_tiny}
