"""The element-wise operators that carry the traffic, by hand: ReLU, addition and gating."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.moments.rule import Case, linear
from erfscope_engine.moments.weighted import TWO_SIGNALS
from erfscope_engine.operators.joins import pointwise
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Call, Ref

aten = torch.ops.aten

operator("relu", "add", "mul", "sub", "div", "neg", part="broadcast")(pointwise)


@stepped("relu")
def relu(part: Part) -> Step | None:
    """The output is its own mask."""

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        result = torch.relu(inputs[0])
        return [result], result

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [aten.threshold_backward(grads[0], kept, 0)]

    return Step(((part.arg("self").index, part.box),), part.writes, forward, backward, any_format=True, keeps="output")


@stepped("add")
def add(part: Part) -> Step | None:
    """Two tensors of one shape; gradients go to both as they are."""
    left, right, values = part.arg("self"), part.arg("other"), part.tape.values
    both = isinstance(left, Ref) and isinstance(right, Ref) and part.arg("alpha") == 1
    if not both or not part.shape(left) == part.shape(right) == part.out_shape:
        return None
    if values[left.index].dtype != values[right.index].dtype:
        return None
    box, frames = part.box, part.frames
    if frames[left.index].axes != frames[right.index].axes and (part.read(left), part.read(right)) != (box, box):
        return None  # x + xᵀ and its like: one box does not serve both
    return Step(
        ((left.index, box), (right.index, box)),
        part.writes,
        lambda inputs: ([inputs[0] + inputs[1]], True),
        lambda kept, grads: [grads[0], grads[0]],
        any_format=True,
        fresh=True,
        keeps="nothing",
    )


MEETING = "paths that meet again in a sum count as uncorrelated"


@varied("add", "sub", "rsub")
def summed(case: Case) -> Step:
    """Variances add, whatever the sign; the two paths of a skip connection count as uncorrelated."""
    left, right, alpha = case.call.arg("self"), case.call.arg("other"), case.call.arg("alpha")
    if case.name == "rsub":
        left, right = right, left
        return linear(case, _sum(case.call, left, right, 1, alpha**2), shifts=True)
    both = isinstance(left, Ref) and isinstance(right, Ref)
    return linear(case, _sum(case.call, left, right, 1, alpha**2), shifts=not both, note=MEETING if both else "")


def _sum(call: Call, left: Any, right: Any, first: float, second: float) -> Call:
    """first · left + second · right with constants put to 0, as an operator of the cone."""
    if isinstance(left, Ref) and isinstance(right, Ref):
        return replace(call, op=aten.add.Tensor, args=(left, right), kwargs={"alpha": second})
    ref, factor, other = (left, first, right) if isinstance(left, Ref) else (right, second, left)
    return _times(call, ref, factor, like=other)


def _times(call: Call, ref: Ref, factor: float, like: Any) -> Call:
    """factor · ref, broadcast to the shape that the constant `like` would give it."""
    if isinstance(like, Tensor):
        return replace(
            call, op=aten.mul.Tensor, args=(ref, torch.full_like(like, factor, dtype=_real(like))), kwargs={}
        )
    return replace(call, op=aten.mul.Scalar, args=(ref, factor), kwargs={})


def _real(like: Tensor) -> torch.dtype:
    return like.dtype if like.is_floating_point() else torch.get_default_dtype()


@varied("neg")
def negated(case: Case) -> Step:
    """A square has no sign."""
    (ref,) = case.call.refs
    return linear(case, _times(case.call, ref, 1.0, None), shifts=False)


@varied("mul")
def multiplied(case: Case) -> Step:
    """Constants squared."""
    left, right = case.call.arg("self"), case.call.arg("other")
    if isinstance(left, Ref) and isinstance(right, Ref):
        case.refuse(TWO_SIGNALS)
    ref, factor = (left, right) if isinstance(left, Ref) else (right, left)
    op = aten.mul.Tensor if isinstance(factor, Tensor) else aten.mul.Scalar
    return linear(case, replace(case.call, op=op, args=(ref, factor * factor), kwargs={}), shifts=False)


@varied("div")
def divided(case: Case) -> Step:
    """By a constant, squared."""
    left, right = case.call.arg("self"), case.call.arg("other")
    if isinstance(right, Ref):
        case.refuse("it divides by a tensor that depends on the input")
    if case.call.has("rounding_mode") and case.call.arg("rounding_mode") is not None:
        case.refuse("a rounded quotient has no gradient")
    op = aten.div.Tensor if isinstance(right, Tensor) else aten.div.Scalar
    return linear(case, replace(case.call, op=op, args=(left, right * right), kwargs={}), shifts=False)
