"""The layers of the spec language, with torch.nn's own argument names; the dimension follows the input."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from erfscope_contract.architecture.base import (
    Channels,
    Finite,
    Layer,
    Margins,
    Padding,
    PaddingMode,
    Reference,
    Sides,
    Size,
    Sizes,
    Weighted,
)

Kernel = Annotated[Sizes, Field(description="Kernel size: one number, or one per spatial axis.")]
Stride = Annotated[Sizes, Field(description="Stride: one number, or one per spatial axis.")]
PoolStride = Annotated[Sizes | None, Field(description="Stride; null is the kernel size.")]
Dilation = Annotated[Sizes, Field(description="Distance of the kernel's taps: one number, or one per axis.")]
Pads = Annotated[Margins, Field(description="Padding on both sides: one number, or one per spatial axis.")]
Bias = Annotated[bool, Field(description="Whether there is a bias.")]
Groups = Annotated[
    Annotated[int, Field(ge=1, le=65_536)] | Literal["depthwise"],
    Field(description="Groups of channels; depthwise is one per input channel."),
]
OutChannels = Annotated[Channels | None, Field(description="Output channels; null keeps the input's.")]
CeilMode = Annotated[bool, Field(description="Round the output size up instead of down.")]


class Conv(Weighted):
    """Convolution (torch.nn.Conv1d/2d/3d)."""

    type: Literal["conv"] = "conv"
    out_channels: OutChannels = None
    kernel_size: Kernel
    stride: Stride = 1
    padding: Padding = Field(0, description="Zeros on both sides; `same` keeps the size (stride 1), `valid` is 0.")
    dilation: Dilation = 1
    groups: Groups = 1
    bias: Bias = True
    padding_mode: PaddingMode = Field("zeros", description="What the padding holds.")


class ConvTranspose(Weighted):
    """Transposed convolution (torch.nn.ConvTranspose1d/2d/3d)."""

    type: Literal["conv_transpose"] = "conv_transpose"
    out_channels: OutChannels = None
    kernel_size: Kernel
    stride: Stride = 1
    padding: Pads = 0
    output_padding: Margins = Field(0, description="Extra positions at the output's end, per axis.")
    dilation: Dilation = 1
    groups: Groups = 1
    bias: Bias = True


Offset = Annotated[int, Field(ge=-4096, le=4096)]
Tap = Annotated[list[Offset], Field(min_length=1, max_length=3)]


class SparseConv(Weighted):
    """Convolution with any pattern of taps: out[p] = Σ_t W_t · x[p · stride + offset_t], zeros outside."""

    type: Literal["sparse_conv"] = "sparse_conv"
    out_channels: OutChannels = None
    offsets: list[Tap] = Field(
        min_length=1,
        max_length=1024,
        description="One tap each: its offset from the output position, per spatial axis.",
        examples=[[[0, 0], [-7, 3], [5, 5]]],
    )
    stride: Stride = 1
    groups: Groups = 1
    bias: Bias = True

    @model_validator(mode="after")
    def _taps_differ(self) -> Self:
        if len({tuple(tap) for tap in self.offsets}) < len(self.offsets):
            raise ValueError("offsets names a tap twice")
        return self


class MaxPool(Layer):
    """Maximum pooling (torch.nn.MaxPool)."""

    type: Literal["max_pool"] = "max_pool"
    kernel_size: Kernel
    stride: PoolStride = None
    padding: Pads = 0
    dilation: Dilation = 1
    ceil_mode: CeilMode = False


class AvgPool(Layer):
    """Average pooling (torch.nn.AvgPool)."""

    type: Literal["avg_pool"] = "avg_pool"
    kernel_size: Kernel
    stride: PoolStride = None
    padding: Pads = 0
    ceil_mode: CeilMode = False
    count_include_pad: bool = Field(True, description="Whether the padding's zeros count in the average.")


class LpPool(Layer):
    """Power-average pooling (torch.nn.LPPool)."""

    type: Literal["lp_pool"] = "lp_pool"
    norm_type: float = Field(2.0, ge=1, le=64, description="The power p.")
    kernel_size: Kernel
    stride: PoolStride = None
    ceil_mode: CeilMode = False


class AdaptivePool(Layer):
    """Pooling to a given size (torch.nn.AdaptiveAvgPool, AdaptiveMaxPool)."""

    type: Literal["adaptive_avg_pool", "adaptive_max_pool"]
    output_size: Size | list[Size | None] = Field(
        description="Output size: one number, or one per spatial axis; null keeps that axis."
    )


class GlobalAvgPool(Layer):
    """Mean over all positions; the spatial axes stay, with extent 1."""

    type: Literal["global_avg_pool"] = "global_avg_pool"


class Upsample(Layer):
    """Interpolation to a size or by a factor (torch.nn.Upsample)."""

    type: Literal["upsample"] = "upsample"
    size: Sizes | None = Field(None, description="Output size; or give scale_factor.")
    scale_factor: (
        Annotated[float, Field(gt=0, le=1024)]
        | Annotated[list[Annotated[float, Field(gt=0, le=1024)]], Field(max_length=3)]
        | None
    ) = Field(None, description="Factor: one number, or one per spatial axis.")
    mode: Literal["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear"] = Field(
        "nearest", description="linear follows the dimension; bilinear and bicubic are 2-D, trilinear is 3-D."
    )
    align_corners: bool = Field(False, description="Whether the corners' centres stay; not for nearest.")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.size is None) == (self.scale_factor is None):
            raise ValueError("give exactly one of size and scale_factor")
        if self.align_corners and self.mode.startswith("nearest"):
            raise ValueError(f"align_corners does not apply to mode {self.mode!r}")
        return self


class PixelShuffle(Layer):
    """Channels to space (torch.nn.PixelShuffle); 2-D."""

    type: Literal["pixel_shuffle"] = "pixel_shuffle"
    upscale_factor: Size = Field(description="Factor per axis.")


class PixelUnshuffle(Layer):
    """Space to channels (torch.nn.PixelUnshuffle); 2-D."""

    type: Literal["pixel_unshuffle"] = "pixel_unshuffle"
    downscale_factor: Size = Field(description="Factor per axis.")


SidesField = Field(
    description="One number for all sides, or (before, after) per axis, last axis first, as torch has it."
)


class Pad(Layer):
    """Padding as a layer of its own."""

    type: Literal["pad"] = "pad"
    padding: Sides = SidesField
    mode: Literal["constant", "reflect", "replicate", "circular"] = Field("constant", description="What it holds.")
    value: Finite = Field(0.0, description="For mode constant.")


class Crop(Layer):
    """Cuts positions away: to a size around the middle, or a margin off each side."""

    type: Literal["crop"] = "crop"
    size: Sizes | None = Field(None, description="Size of the middle part that is kept.")
    margin: Sides | None = Field(
        None, description="What is cut off: one number, or (before, after) per axis, last axis first."
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.size is None) == (self.margin is None):
            raise ValueError("give exactly one of size and margin")
        return self


class Flatten(Layer):
    """Channels and positions into one vector."""

    type: Literal["flatten"] = "flatten"


class Linear(Weighted):
    """Fully connected layer on a vector (after flatten); per position, use a conv of kernel size 1."""

    type: Literal["linear"] = "linear"
    out_features: Channels = Field(description="Output features.")
    bias: Bias = True


class Attention(Weighted):
    """Multi-head self-attention over all positions, with its input and output projections."""

    type: Literal["attention"] = "attention"
    num_heads: Annotated[int, Field(ge=1, le=1024)] = Field(description="Heads; must divide the channels.")
    bias: Bias = True


class PositionEmbedding(Layer):
    """A learnt tensor, one value per channel and position, that is added (vision transformers)."""

    type: Literal["position_embedding"] = "position_embedding"
    std: float = Field(0.02, ge=0, le=1e6, description="Its values are drawn from N(0, std²).")


Merged = Annotated[
    list[Reference],
    Field(min_length=2, max_length=1024, description="The tensors: names, paths, `previous` or `input`."),
]


class Concat(Layer):
    """Channels of several tensors, one after another."""

    type: Literal["concat"] = "concat"
    inputs: Merged


class Add(Layer):
    """Sum of several tensors; an extent of 1 is stretched."""

    type: Literal["add"] = "add"
    inputs: Merged


class Multiply(Layer):
    """Product of several tensors; an extent of 1 is stretched (squeeze-and-excitation)."""

    type: Literal["multiply"] = "multiply"
    inputs: Merged
