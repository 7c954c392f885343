"""Transfers of normalisations: by stored statistics exactly, by the signal's own in expectation.

A normalisation of N Gaussian numbers to mean 0 and variance 1 has the Jacobian (δ − 1/N − x̂x̂ᵀ/N) / σ, whose squares
are (1 − 2/N)² on the diagonal and 2/N² everywhere on average: the gradient's leak into all it sees. The mean of 1/σ²
is N/(N − 3) over the mean of σ².
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.analytic.moments import Moments
from erfscope_engine.analytic.transfer import Case, Transfer, only_refs, ref_of, transfer
from erfscope_engine.cone.box import Box, clipped, region_of
from erfscope_engine.cone.pointwise import folded_affine
from erfscope_engine.regions.table import needs

OWN = "a normalisation by the signal's own statistics divides by their expected value"


@transfer("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
def batch_norm(case: Case) -> Transfer:
    """Stored statistics: one factor and one shift per channel; else each channel's own."""
    names = [a.name for a in case.entry.op._schema.arguments]
    only_refs(case, "input")
    if "running_mean" in names:
        affine = folded_affine(case.call)
        if affine is not None:
            return _stored(case, *affine)
    weight, bias = case.call.arg("weight"), case.call.arg("bias")
    rank = len(case.call.out_shape)
    return _own(case, tuple(k for k in range(rank) if k != 1), _channels(weight, rank), _channels(bias, rank))


def _channels(values: Tensor | None, rank: int) -> Tensor | None:
    return None if values is None else values.view(1, -1, *[1] * (rank - 2))


def _stored(case: Case, factor: Tensor, shift: Tensor) -> Transfer:
    rank = len(case.box)
    lo, hi = case.box[1]
    scale, move = (_channels(v[lo:hi], rank) for v in (factor, shift))
    assert scale is not None
    assert move is not None
    moves = bool(shift.any())
    square = scale.square()

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        mean = None if x.mean is None and not moves else x.dense_mean * scale + move
        return [Moments(mean, x.variance * square)], True

    return Transfer(
        ((ref_of(case, "input").index, case.box),),
        _first_only(case, case.box),
        forward,
        lambda kept, grads: [None if grads[0] is None else grads[0] * square],
    )


def _first_only(case: Case, box: Box) -> tuple[tuple[int | None, Box], ...]:
    """What is written: the normalised tensor; its statistics are of no use to a gradient."""
    if case.call.out != 0:
        case.refuse("its statistics are read")
    return ((case.entry.outputs[0], box), *[(None, box)] * (len(case.entry.outputs) - 1))


@transfer("native_layer_norm")
def layer_norm(case: Case) -> Transfer:
    """Over the last axes."""
    only_refs(case, "input")
    rank, count = len(case.call.out_shape), len(case.call.arg("normalized_shape"))
    return _own(case, tuple(range(rank - count, rank)), case.call.arg("weight"), case.call.arg("bias"))


@transfer("native_group_norm")
def group_norm(case: Case) -> Transfer:
    """Over the channels of a group and space."""
    only_refs(case, "input")
    rank = len(case.call.out_shape)
    weight, bias = (_channels(case.call.arg(name), rank) for name in ("weight", "bias"))
    return _own(case, tuple(range(1, rank)), weight, bias, groups=case.call.arg("group"))


def _own(case: Case, axes: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, groups: int = 1) -> Transfer:
    """Normalised over `axes` (of `groups` equal parts of axis 1), then weight and bias."""
    ((ref, region),) = needs(case.call, region_of(case.box))
    shape = case.call.shape(ref)
    box = clipped(region, shape)
    lengths = [hi - lo for lo, hi in box]
    split = [lengths[0], groups, lengths[1] // groups, *lengths[2:]] if groups > 1 else lengths
    over = tuple(range(2, len(split))) if groups > 1 else axes
    count = math.prod(split[k] for k in over)
    if count < 4:
        case.refuse(f"it normalises over {count} numbers only")
    scale, move = (_cut_to(v, box) for v in (weight, bias))
    eps = case.call.arg("eps")

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        mean, second = x.dense_mean.reshape(split), x.second.reshape(split)
        middle = mean.mean(over, keepdim=True)
        inverse = 1 / (second.mean(over, keepdim=True) - middle.square() + eps).clamp_min(torch.finfo(mean.dtype).tiny)
        out = ((mean - middle) * inverse.sqrt()).reshape(lengths)
        variance = (x.variance.reshape(split) * inverse).reshape(lengths)
        if scale is not None:
            out, variance = out * scale, variance * scale.square()
        return [Moments(out if move is None else out + move, variance)], inverse

    def backward(inverse: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        g = grads[0]
        if g is None:
            return [None]
        g = (g if scale is None else g * scale.square()).reshape(split)
        spread = g.sum(over, keepdim=True) * (2 / count**2)
        return [((g * (1 - 2 / count) ** 2 + spread) * inverse * (count / (count - 3))).reshape(lengths)]

    return Transfer(((ref.index, box),), _first_only(case, box), forward, backward, note=OWN)


def _cut_to(values: Tensor | None, box: Box) -> Tensor | None:
    """A weight, broadcast from the right, on a box."""
    if values is None:
        return None
    shift = len(box) - values.dim()
    for k, extent in enumerate(values.shape):
        if extent > 1:
            lo, hi = box[k + shift]
            values = values.narrow(k, lo, hi - lo)
    return values
