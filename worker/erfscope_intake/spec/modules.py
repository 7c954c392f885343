"""The layer table: layer type → torch module. A new type is a row here and one in the contract's RULES."""

from collections.abc import Callable
from typing import Any

from torch import nn

from erfscope_contract.architecture import layers as leaf
from erfscope_contract.architecture import pointwise
from erfscope_contract.architecture.axes import groups_of, per_axis, same_padding, sides
from erfscope_contract.architecture.base import Layer
from erfscope_contract.architecture.shapes import Shape, crop_bounds
from erfscope_intake.spec import blocks

Factory = Callable[[Any, Shape], nn.Module]


def make_module(layer: Layer, shape: Shape) -> nn.Module:
    """The module of a layer that takes `shape` = (channels, *spatial), which the contract checked."""
    return FACTORIES[type(layer)](layer, shape)


def _ranked(family: str, shape: Shape) -> Callable[..., nn.Module]:
    """torch.nn's class of a family for the shape's dimension: Conv → Conv2d."""
    module: Callable[..., nn.Module] = getattr(nn, f"{family}{max(1, len(shape) - 1)}d")
    return module


def _conv(layer: leaf.Conv, shape: Shape) -> nn.Module:
    rank = len(shape) - 1
    kernel, dilation = (per_axis(getattr(layer, field), rank, field) for field in ("kernel_size", "dilation"))
    if layer.padding == "same":
        pads = same_padding(kernel, dilation)
    else:
        numbers = per_axis(0 if layer.padding == "valid" else layer.padding, rank, "padding")
        pads = tuple((pad, pad) for pad in numbers)
    apart = layer.padding_mode != "zeros" or any(before != after for before, after in pads)
    convolution = _ranked("Conv", shape)(
        shape[0],
        layer.out_channels or shape[0],
        kernel,
        stride=per_axis(layer.stride, rank, "stride"),
        padding=0 if apart else tuple(before for before, _ in pads),
        dilation=dilation,
        groups=groups_of(layer.groups, shape[0]),
        bias=layer.bias,
    )
    if not apart:
        return convolution
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return nn.Sequential(blocks.Pad(pads, mode), convolution)


def _conv_transpose(layer: leaf.ConvTranspose, shape: Shape) -> nn.Module:
    fields = ("kernel_size", "stride", "padding", "output_padding", "dilation")
    return _ranked("ConvTranspose", shape)(
        shape[0],
        layer.out_channels or shape[0],
        groups=groups_of(layer.groups, shape[0]),
        bias=layer.bias,
        **{field: per_axis(getattr(layer, field), len(shape) - 1, field) for field in fields},
    )


def _sparse_conv(layer: leaf.SparseConv, shape: Shape) -> nn.Module:
    return blocks.SparseConv(
        shape[0],
        layer.out_channels or shape[0],
        offsets=layer.offsets,
        stride=per_axis(layer.stride, len(shape) - 1, "stride"),
        groups=groups_of(layer.groups, shape[0]),
        bias=layer.bias,
    )


def _window(layer: leaf.MaxPool | leaf.AvgPool | leaf.LpPool, shape: Shape, *fields: str) -> dict[str, Any]:
    """Keyword arguments of a pooling layer, per axis."""
    numbers = {field: per_axis(getattr(layer, field), len(shape) - 1, field) for field in ("kernel_size", *fields)}
    stride = per_axis(layer.stride or layer.kernel_size, len(shape) - 1, "stride")
    return numbers | {"stride": stride, "ceil_mode": layer.ceil_mode}


def _max_pool(layer: leaf.MaxPool, shape: Shape) -> nn.Module:
    return _ranked("MaxPool", shape)(**_window(layer, shape, "padding", "dilation"))


def _avg_pool(layer: leaf.AvgPool, shape: Shape) -> nn.Module:
    return _ranked("AvgPool", shape)(**_window(layer, shape, "padding"), count_include_pad=layer.count_include_pad)


def _lp_pool(layer: leaf.LpPool, shape: Shape) -> nn.Module:
    window = _window(layer, shape)
    if len(shape) == 2:  # LPPool1d alone does not take its window as a tuple
        window |= {"kernel_size": window["kernel_size"][0], "stride": window["stride"][0]}
    return _ranked("LPPool", shape)(layer.norm_type, **window)


def _adaptive_pool(layer: leaf.AdaptivePool, shape: Shape) -> nn.Module:
    wanted = per_axis(layer.output_size, len(shape) - 1, "output_size")
    size = tuple(want or extent for want, extent in zip(wanted, shape[1:], strict=True))
    family = {"adaptive_avg_pool": "AdaptiveAvgPool", "adaptive_max_pool": "AdaptiveMaxPool"}[layer.type]
    return _ranked(family, shape)(size)


def _norm(family: str) -> Factory:
    def make(layer: pointwise.BatchNorm | pointwise.InstanceNorm, shape: Shape) -> nn.Module:
        return _ranked(family, shape)(shape[0], eps=layer.eps, affine=layer.affine)

    return make


def _layer_norm(layer: pointwise.LayerNorm, shape: Shape) -> nn.Module:
    if layer.over == "all":
        return nn.LayerNorm(list(shape), eps=layer.eps, elementwise_affine=layer.affine)
    return blocks.ChannelNorm(shape[0], eps=layer.eps, elementwise_affine=layer.affine)


def _dropout(layer: pointwise.Dropout, shape: Shape) -> nn.Module:
    if not layer.active:
        return nn.Identity()
    return blocks.DropMask((shape[0], *(1 for _ in shape[1:])) if layer.channelwise else shape, layer.p)


def _upsample(layer: leaf.Upsample, shape: Shape) -> nn.Module:
    rank = len(shape) - 1
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank] if layer.mode == "linear" else layer.mode
    return nn.Upsample(
        size=None if layer.size is None else per_axis(layer.size, rank, "size"),
        scale_factor=None if layer.scale_factor is None else per_axis(layer.scale_factor, rank, "scale_factor"),
        mode=mode,
        align_corners=None if mode.startswith("nearest") else layer.align_corners,
    )


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "hardtanh": nn.Hardtanh,
    "softsign": nn.Softsign,
    "logsigmoid": nn.LogSigmoid,
    "identity": nn.Identity,
}

FACTORIES: dict[type[Layer], Factory] = {
    leaf.Conv: _conv,
    leaf.ConvTranspose: _conv_transpose,
    leaf.SparseConv: _sparse_conv,
    leaf.MaxPool: _max_pool,
    leaf.AvgPool: _avg_pool,
    leaf.LpPool: _lp_pool,
    leaf.AdaptivePool: _adaptive_pool,
    leaf.GlobalAvgPool: lambda layer, shape: _ranked("AdaptiveAvgPool", shape)(1),
    pointwise.Activation: lambda layer, shape: ACTIVATIONS[layer.type](),
    pointwise.Gelu: lambda layer, shape: nn.GELU(approximate=layer.approximate),
    pointwise.LeakyRelu: lambda layer, shape: nn.LeakyReLU(layer.negative_slope),
    pointwise.Prelu: lambda layer, shape: nn.PReLU(1 if layer.num_parameters == 1 else shape[0], init=layer.init),
    pointwise.Elu: lambda layer, shape: {"elu": nn.ELU, "celu": nn.CELU}[layer.type](layer.alpha),
    pointwise.Softplus: lambda layer, shape: nn.Softplus(layer.beta, layer.threshold),
    pointwise.Softmax: lambda layer, shape: nn.Softmax(dim=1),
    pointwise.BatchNorm: _norm("BatchNorm"),
    pointwise.InstanceNorm: _norm("InstanceNorm"),
    pointwise.GroupNorm: lambda layer, shape: nn.GroupNorm(
        layer.num_groups, shape[0], eps=layer.eps, affine=layer.affine
    ),
    pointwise.LayerNorm: _layer_norm,
    pointwise.LocalResponseNorm: lambda layer, shape: blocks.LocalResponseNorm(
        layer.size, layer.alpha, layer.beta, layer.k
    ),
    pointwise.Dropout: _dropout,
    leaf.Upsample: _upsample,
    leaf.PixelShuffle: lambda layer, shape: nn.PixelShuffle(layer.upscale_factor),
    leaf.PixelUnshuffle: lambda layer, shape: nn.PixelUnshuffle(layer.downscale_factor),
    leaf.Pad: lambda layer, shape: blocks.Pad(sides(layer.padding, len(shape) - 1, "padding"), layer.mode, layer.value),
    leaf.Crop: lambda layer, shape: blocks.Crop(crop_bounds(layer, shape[1:])),
    leaf.Flatten: lambda layer, shape: nn.Flatten(1),
    leaf.Linear: lambda layer, shape: nn.Linear(shape[0], layer.out_features, bias=layer.bias),
    leaf.Attention: lambda layer, shape: blocks.SelfAttention(shape[0], layer.num_heads, layer.bias),
    leaf.PositionEmbedding: lambda layer, shape: blocks.PositionEmbedding(shape, layer.std),
    leaf.Concat: lambda layer, shape: blocks.Concat(),
    leaf.Add: lambda layer, shape: blocks.Add(),
    leaf.Multiply: lambda layer, shape: blocks.Multiply(),
}
