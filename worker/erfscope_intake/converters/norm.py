"""Normalisation layers, in inference mode."""

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import MICROSOFT, Node, axis_of, converts


def _channels(vector: Tensor, x: Tensor) -> Tensor:
    """A vector over channels, ready to meet (N, C, …)."""
    return vector.reshape(-1, *(1,) * (x.ndim - 2))


@converts("BatchNormalization")
def batch_norm(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> Tensor | tuple[Tensor, ...]:
    """Stored statistics always, training mode included: a receptive field is measured at inference."""
    eps = node.float("epsilon", 1e-5)
    if node.version < 9 and not node.int("spatial", 1) and mean.ndim > 1:
        y = (x - mean) * (scale / torch.sqrt(var + eps)) + bias
    else:
        vectors = [v.reshape(-1).to(x.dtype) for v in (mean, var, scale, bias)]
        y = F.batch_norm(x, vectors[0], vectors[1], vectors[2], vectors[3], False, 0.0, eps)
    return y if node.outputs == 1 else (y, mean, var, mean, var)[: node.outputs]


@converts("InstanceNormalization")
def instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Each sample and channel to mean 0 and variance 1 over the plane."""
    axes = list(range(2, x.ndim))
    centred = x - x.mean(axes, keepdim=True)
    spread = torch.rsqrt(centred.square().mean(axes, keepdim=True) + node.float("epsilon", 1e-5))
    return centred * spread * _channels(scale, x) + _channels(bias, x)


@converts("GroupNormalization")
def group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Over groups of channels; the scale belongs to groups in version 18, to channels from 21 on."""
    groups = node.int("num_groups", 1)
    if node.version < 21:
        scale, bias = (v.repeat_interleave(x.shape[1] // groups) for v in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.float("epsilon", 1e-5))


@converts("LayerNormalization")
@converts("LayerNormalization", domain=MICROSOFT)
def layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
    """Over all axes from `axis` on."""
    axis, eps = axis_of(node.int("axis", -1), x.ndim), node.float("epsilon", 1e-5)
    shape = x.shape[axis:]
    if node.outputs == 1 and scale.shape == shape and (bias is None or bias.shape == shape):
        return F.layer_norm(x, shape, scale, bias, eps)
    axes = list(range(axis, x.ndim))
    mean = x.mean(axes, keepdim=True)
    spread = torch.rsqrt((x - mean).square().mean(axes, keepdim=True) + eps)
    y = (x - mean) * spread * scale
    y = y if bias is None else y + bias
    return y if node.outputs == 1 else (y, mean, spread)[: node.outputs]


@converts("SimplifiedLayerNormalization")
@converts("RMSNormalization")
def rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """Divided by the root mean square over all axes from `axis` on."""
    axes = list(range(axis_of(node.int("axis", -1), x.ndim), x.ndim))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + node.float("epsilon", 1e-5)) * scale


@converts("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_norm(
    node: Node, x: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None, bias: Tensor | None = None
) -> Tensor | tuple[Tensor | None, ...]:
    """Layer normalisation of x + skip + bias; the fourth output is that sum."""
    total = x + skip if bias is None else x + skip + bias
    y = F.layer_norm(total, total.shape[-1:], gamma, beta, node.float("epsilon", 1e-12))
    return y if node.outputs == 1 else (y, None, None, total)[: node.outputs]


@converts("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_rms_norm(
    node: Node, x: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None
) -> Tensor | tuple[Tensor | None, ...]:
    """RMS normalisation of x + skip + bias; the fourth output is that sum."""
    total = x + skip if bias is None else x + skip + bias
    spread = torch.rsqrt(total.square().mean(-1, keepdim=True) + node.float("epsilon", 1e-12))
    y = total * spread * gamma
    return y if node.outputs == 1 else (y, None, None, total)[: node.outputs]


@converts("MeanVarianceNormalization")
def mean_variance_norm(node: Node, x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over `axes`."""
    axes = node.ints("axes", (0, 2, 3))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (torch.sqrt(centred.square().mean(axes, keepdim=True)) + 1e-9)


@converts("LpNormalization")
def lp_normalization(node: Node, x: Tensor) -> Tensor:
    """Divided by its 1- or 2-norm along an axis; zero stays zero."""
    axis, p = node.int("axis", -1), node.int("p", 2)
    length = x.abs().sum(axis, keepdim=True) if p == 1 else torch.sqrt(x.square().sum(axis, keepdim=True))
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    return torch.where(length == 0, zero, x / torch.where(length == 0, zero + 1, length))


@converts("LRN")
def lrn(node: Node, x: Tensor) -> Tensor:
    """Local response normalisation across channels."""
    size, alpha = node.int("size", 1), node.float("alpha", 1e-4)
    before = (size - 1) // 2
    squares = F.pad(x.square().unsqueeze(1), [0, 0] * (x.ndim - 2) + [before, size - 1 - before])
    total = squares.unfold(2, size, 1).sum(-1).squeeze(1)
    return x / (node.float("bias", 1.0) + alpha / size * total) ** node.float("beta", 0.75)
