"""Shape inference without torch: one rule per layer type; what does not fit is refused at once.

A shape is (channels, *spatial extents) without the batch, or (features,) behind a flatten.
"""

import math
from collections.abc import Callable, Sequence

from erfscope_contract.architecture import layers as leaf
from erfscope_contract.architecture import pointwise
from erfscope_contract.architecture.axes import (
    MisfitError,
    count_axes,
    groups_of,
    per_axis,
    same_padding,
    sides,
)

Shape = tuple[int, ...]


def _spatial(shape: Shape) -> Shape:
    if len(shape) == 1:
        raise MisfitError("it needs positions, but its input is a vector (behind flatten or linear)")
    return shape[1:]


def _grouped(groups: int | str, channels: int, out: int) -> None:
    count = groups_of(groups, channels)
    for which, value in (("input", channels), ("output", out)):
        if value % count:
            raise MisfitError(f"groups={count} does not divide the {value} {which} channels")


def _fits(extent: int, kernel: int, dilation: int, axis: int) -> None:
    span = dilation * (kernel - 1) + 1
    if span > extent:
        raise MisfitError(
            f"the kernel covers {span} positions on axis {axis}, but the padded input has only {extent}; "
            "use a larger input, more padding or a smaller kernel"
        )


def _check_padding_mode(mode: str, pads: Sequence[tuple[int, int]], extents: Sequence[int]) -> None:
    for axis, (pad, extent) in enumerate(zip(pads, extents, strict=True)):
        limit = {"reflect": extent - 1, "circular": extent}.get(mode, max(pad))
        if max(pad) > limit:
            raise MisfitError(
                f"{mode} padding of {max(pad)} on axis {axis} is over what {extent} positions allow ({limit})"
            )


def _conv(layer: leaf.Conv, shape: Shape) -> Shape:
    extents = _spatial(shape)
    rank = len(extents)
    kernel, stride, dilation = (
        per_axis(getattr(layer, field), rank, field) for field in ("kernel_size", "stride", "dilation")
    )
    out = layer.out_channels or shape[0]
    _grouped(layer.groups, shape[0], out)
    if layer.padding == "same":
        if any(step != 1 for step in stride):
            raise MisfitError("padding 'same' needs stride 1, as in torch; give the padding as a number")
        pads = same_padding(kernel, dilation)
    else:
        numbers = per_axis(0 if layer.padding == "valid" else layer.padding, rank, "padding")
        pads = tuple((pad, pad) for pad in numbers)
    _check_padding_mode(layer.padding_mode, pads, extents)
    padded = [extent + sum(pad) for extent, pad in zip(extents, pads, strict=True)]
    for axis in range(rank):
        _fits(padded[axis], kernel[axis], dilation[axis], axis)
    return (out, *((padded[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(rank)))


def _conv_transpose(layer: leaf.ConvTranspose, shape: Shape) -> Shape:
    extents = _spatial(shape)
    fields = ("kernel_size", "stride", "padding", "output_padding", "dilation")
    kernel, stride, pad, extra, dilation = (per_axis(getattr(layer, f), len(extents), f) for f in fields)
    out = layer.out_channels or shape[0]
    _grouped(layer.groups, shape[0], out)
    result = []
    for i, extent in enumerate(extents):
        if extra[i] >= max(stride[i], dilation[i]):
            raise MisfitError("output_padding must be smaller than the stride or the dilation")
        result.append((extent - 1) * stride[i] - 2 * pad[i] + dilation[i] * (kernel[i] - 1) + extra[i] + 1)
        if result[-1] < 1:
            raise MisfitError(f"its padding of {pad[i]} leaves nothing of axis {i}")
    return (out, *result)


def _sparse_conv(layer: leaf.SparseConv, shape: Shape) -> Shape:
    extents = _spatial(shape)
    for tap in layer.offsets:
        per_axis(tap, len(extents), "each entry of offsets")
    out = layer.out_channels or shape[0]
    _grouped(layer.groups, shape[0], out)
    stride = per_axis(layer.stride, len(extents), "stride")
    return (out, *(-(-extent // step) for extent, step in zip(extents, stride, strict=True)))


def _pool(layer: leaf.MaxPool | leaf.AvgPool | leaf.LpPool, shape: Shape) -> Shape:
    extents = _spatial(shape)
    rank = len(extents)
    kernel = per_axis(layer.kernel_size, rank, "kernel_size")
    stride = per_axis(layer.stride or layer.kernel_size, rank, "stride")
    padding = per_axis(getattr(layer, "padding", 0), rank, "padding")
    dilation = per_axis(getattr(layer, "dilation", 1), rank, "dilation")
    result = []
    for i, extent in enumerate(extents):
        span = dilation[i] * (kernel[i] - 1) + 1
        if 2 * padding[i] > kernel[i]:
            raise MisfitError(f"padding {padding[i]} is over half of kernel_size {kernel[i]}, which torch refuses")
        slack = extent + 2 * padding[i] - span
        count = (slack + (stride[i] - 1) * layer.ceil_mode) // stride[i] + 1
        if layer.ceil_mode and (count - 1) * stride[i] >= extent + padding[i]:
            count -= 1  # the last window must start inside the input or its left padding
        if count < 1:
            _fits(extent + 2 * padding[i], kernel[i], dilation[i], i)
        if rank == 3 and isinstance(layer, leaf.AvgPool | leaf.LpPool):
            _fits(extent, kernel[i], 1, i)  # torch does not count the padding there
        result.append(count)
    return (shape[0], *result)


def _adaptive_pool(layer: leaf.AdaptivePool, shape: Shape) -> Shape:
    extents = _spatial(shape)
    wanted = per_axis(layer.output_size, len(extents), "output_size")
    return (shape[0], *(want or extent for want, extent in zip(wanted, extents, strict=True)))


def _global_pool(layer: leaf.GlobalAvgPool, shape: Shape) -> Shape:
    return (shape[0], *(1 for _ in _spatial(shape)))


def _same(layer: object, shape: Shape) -> Shape:
    return shape


def _needs_positions(layer: object, shape: Shape) -> Shape:
    _spatial(shape)
    return shape


def _instance_norm(layer: pointwise.InstanceNorm, shape: Shape) -> Shape:
    if math.prod(_spatial(shape)) == 1:
        raise MisfitError("it normalises over positions, but there is only one")
    return shape


def _group_norm(layer: pointwise.GroupNorm, shape: Shape) -> Shape:
    if shape[0] % layer.num_groups:
        raise MisfitError(f"num_groups={layer.num_groups} does not divide the {shape[0]} channels")
    return shape


_MODE_RANK = {"bilinear": 2, "bicubic": 2, "trilinear": 3}


def _upsample(layer: leaf.Upsample, shape: Shape) -> Shape:
    extents = _spatial(shape)
    rank = len(extents)
    if _MODE_RANK.get(layer.mode, rank) != rank:
        raise MisfitError(f"mode {layer.mode!r} needs {count_axes(_MODE_RANK[layer.mode])}, not {rank}; use 'linear'")
    if layer.size is not None:
        return (shape[0], *per_axis(layer.size, rank, "size"))
    factors = per_axis(layer.scale_factor, rank, "scale_factor")
    result = [math.floor(extent * factor) for extent, factor in zip(extents, factors, strict=True)]
    if min(result) < 1:
        raise MisfitError(f"scale_factor {layer.scale_factor} leaves nothing of {list(extents)}")
    return (shape[0], *result)


def _pixel_shuffle(layer: leaf.PixelShuffle, shape: Shape) -> Shape:
    factor = layer.upscale_factor
    height, width = _plane(shape)
    if shape[0] % factor**2:
        raise MisfitError(f"upscale_factor² = {factor**2} does not divide the {shape[0]} channels")
    return (shape[0] // factor**2, height * factor, width * factor)


def _pixel_unshuffle(layer: leaf.PixelUnshuffle, shape: Shape) -> Shape:
    factor = layer.downscale_factor
    height, width = _plane(shape)
    if height % factor or width % factor:
        raise MisfitError(f"downscale_factor={factor} does not divide the size {height}×{width}")
    return (shape[0] * factor**2, height // factor, width // factor)


def _plane(shape: Shape) -> tuple[int, int]:
    if len(shape) != 3:
        raise MisfitError(f"it is 2-D, but its input has {count_axes(len(shape) - 1)}")
    return shape[1], shape[2]


def _pad(layer: leaf.Pad, shape: Shape) -> Shape:
    extents = _spatial(shape)
    pads = sides(layer.padding, len(extents), "padding")
    _check_padding_mode(layer.mode, pads, extents)
    return (shape[0], *(extent + sum(pad) for extent, pad in zip(extents, pads, strict=True)))


def crop_bounds(layer: leaf.Crop, extents: Sequence[int]) -> list[tuple[int, int]]:
    """[start, stop) per axis of what a crop keeps."""
    rank = len(extents)
    if layer.margin is not None:
        cuts = sides(layer.margin, rank, "margin")
        bounds = [(low, extent - high) for extent, (low, high) in zip(extents, cuts, strict=True)]
    else:
        kept = per_axis(layer.size, rank, "size")
        bounds = [((n - keep) // 2, (n - keep) // 2 + keep) for n, keep in zip(extents, kept, strict=True)]
    if any(start < 0 or stop <= start for start, stop in bounds):
        raise MisfitError(f"it cuts {list(extents)} down to {bounds}, which leaves nothing or is larger than the input")
    return bounds


def _crop(layer: leaf.Crop, shape: Shape) -> Shape:
    return (shape[0], *(stop - start for start, stop in crop_bounds(layer, _spatial(shape))))


def _flatten(layer: leaf.Flatten, shape: Shape) -> Shape:
    return (math.prod(shape),)


def _linear(layer: leaf.Linear, shape: Shape) -> Shape:
    if len(shape) != 1:
        raise MisfitError(
            f"it takes a vector, but its input is {list(shape)}; put a flatten before it, "
            "or use a conv with kernel_size 1 to apply it at each position"
        )
    return (layer.out_features,)


def _attention(layer: leaf.Attention, shape: Shape) -> Shape:
    _spatial(shape)
    if shape[0] % layer.num_heads:
        raise MisfitError(f"num_heads={layer.num_heads} does not divide the {shape[0]} channels")
    return shape


def _concat(layer: leaf.Concat, *shapes: Shape) -> Shape:
    if len({shape[1:] for shape in shapes}) > 1:
        raise MisfitError(f"only channels may differ, but the shapes are {_list(shapes)}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _broadcast(layer: leaf.Add | leaf.Multiply, *shapes: Shape) -> Shape:
    if len({len(shape) for shape in shapes}) > 1:
        raise MisfitError(f"the tensors have different numbers of axes: {_list(shapes)}")
    axes = [set(extents) - {1} for extents in zip(*shapes, strict=True)]
    if any(len(extents) > 1 for extents in axes):
        raise MisfitError(f"the shapes do not fit: {_list(shapes)}; they must agree, or be 1")
    return tuple(next(iter(extents), 1) for extents in axes)


def _list(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes[:6]) + (" …" if len(shapes) > 6 else "")


RULES: dict[type, Callable[..., Shape]] = {
    leaf.Conv: _conv,
    leaf.ConvTranspose: _conv_transpose,
    leaf.SparseConv: _sparse_conv,
    leaf.MaxPool: _pool,
    leaf.AvgPool: _pool,
    leaf.LpPool: _pool,
    leaf.AdaptivePool: _adaptive_pool,
    leaf.GlobalAvgPool: _global_pool,
    pointwise.Activation: _same,
    pointwise.Gelu: _same,
    pointwise.LeakyRelu: _same,
    pointwise.Prelu: _same,
    pointwise.Elu: _same,
    pointwise.Softplus: _same,
    pointwise.Softmax: _same,
    pointwise.BatchNorm: _same,
    pointwise.InstanceNorm: _instance_norm,
    pointwise.GroupNorm: _group_norm,
    pointwise.LayerNorm: _same,
    pointwise.LocalResponseNorm: _needs_positions,
    pointwise.Dropout: _same,
    leaf.Upsample: _upsample,
    leaf.PixelShuffle: _pixel_shuffle,
    leaf.PixelUnshuffle: _pixel_unshuffle,
    leaf.Pad: _pad,
    leaf.Crop: _crop,
    leaf.Flatten: _flatten,
    leaf.Linear: _linear,
    leaf.Attention: _attention,
    leaf.PositionEmbedding: _needs_positions,
    leaf.Concat: _concat,
    leaf.Add: _broadcast,
    leaf.Multiply: _broadcast,
}
