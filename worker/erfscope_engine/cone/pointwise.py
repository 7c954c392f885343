"""The element-wise operators that carry the traffic, by hand: ReLU and addition; stored-statistics normalisation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.cone.box import Box
from erfscope_engine.cone.step import Step, kernel
from erfscope_engine.regions.table import Call
from erfscope_engine.tape import Ref

aten = torch.ops.aten


@kernel("relu")
def relu(call: Call, box: Box) -> Step | None:
    """The output is its own mask."""

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        out = torch.relu(inputs[0])
        return [out], out

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [aten.threshold_backward(grads[0], kept, 0)]

    return Step(((call.arg("self").index, box),), ((call.entry.outputs[0], box),), forward, backward)


@kernel("add")
def add(call: Call, box: Box) -> Step | None:
    """Two tensors of one shape; gradients go to both as they are."""
    left, right = call.arg("self"), call.arg("other")
    both = isinstance(left, Ref) and isinstance(right, Ref)
    if not both or call.arg("alpha") != 1 or call.shape(left) != call.out_shape or call.shape(right) != call.out_shape:
        return None
    return Step(
        ((left.index, box), (right.index, box)),
        ((call.entry.outputs[0], box),),
        lambda inputs: ([inputs[0] + inputs[1]], True),
        lambda kept, grads: [grads[0], grads[0]],
        fresh=True,
    )


@kernel("native_batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(call: Call, box: Box) -> Step | None:
    """With stored statistics: one factor and one shift per channel."""
    affine = folded_affine(call)
    x = call.arg("input")
    if affine is None or not isinstance(x, Ref) or len(call.shape(x)) < 3 or call.out != 0:
        return None
    lo, hi = box[1]
    factor, shift = (v[lo:hi].view(1, -1, *[1] * (len(box) - 2)) for v in affine)
    return Step(
        ((x.index, box),),
        ((call.entry.outputs[0], box), *[(None, box)] * (len(call.entry.outputs) - 1)),
        lambda inputs: ([torch.addcmul(shift, inputs[0], factor)], True),
        lambda kept, grads: [grads[0] * factor if grads[0] is not None else None],
        fresh=True,
    )


def folded_affine(call: Call) -> tuple[Tensor, Tensor] | None:
    """(factor, shift) per channel of a normalisation with constant, stored statistics; None where it has none."""
    names = [a.name for a in call.entry.op._schema.arguments]
    if "training" in names and call.arg("training"):
        return None
    mean, var = call.arg("running_mean"), call.arg("running_var")
    weight, bias = call.arg("weight"), call.arg("bias")
    if mean is None or any(isinstance(item, Ref) for item in (mean, var, weight, bias)):
        return None
    factor = (var.double() + call.arg("eps")).rsqrt()
    factor = factor if weight is None else factor * weight.double()
    shift = -mean.double() * factor + (0 if bias is None else bias.double())
    return factor.to(mean.dtype), shift.to(mean.dtype)
