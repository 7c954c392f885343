"""Activations by hand: forward as torch does it, backward by torch's own kernels, into the gradient's memory.

What is kept is the input or the output, whichever the derivative is told by; autograd would keep both.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step, pointwise
from erfscope_engine.operators import joins
from erfscope_engine.operators.table import OPERATORS, operator, stepped
from erfscope_engine.recording.tape import Call, Ref

aten = torch.ops.aten


class Derivative(NamedTuple):
    """The backward of an activation: torch's operator, what it reads beside the gradient, and its options.

    `in_place`: it takes `grad_input`, where it writes to.
    """

    operator: Any
    of_output: bool = False
    in_place: bool = True
    options: Callable[[Call], Sequence[Any]] = lambda call: ()
    named: Callable[[Call], dict[str, Any]] = lambda call: {}


DERIVATIVES = {
    "silu": Derivative(aten.silu_backward.grad_input),
    "gelu": Derivative(aten.gelu_backward.grad_input, named=lambda call: {"approximate": call.arg("approximate")}),
    "hardswish": Derivative(aten.hardswish_backward.default, in_place=False),  # its `out` form copies
    "hardsigmoid": Derivative(aten.hardsigmoid_backward.grad_input),
    "sigmoid": Derivative(aten.sigmoid_backward.grad_input, of_output=True),
    "tanh": Derivative(aten.tanh_backward.grad_input, of_output=True),
    "hardtanh": Derivative(
        aten.hardtanh_backward.grad_input, options=lambda call: (call.arg("min_val"), call.arg("max_val"))
    ),
    "leaky_relu": Derivative(
        aten.leaky_relu_backward.grad_input, options=lambda call: (call.arg("negative_slope"), False)
    ),
}


def activation(part: Part) -> Step | None:
    """One of `DERIVATIVES` on a real tensor."""
    call, ref = part.call, part.arg("self")
    if not isinstance(ref, Ref) or not part.tape.values[ref.index].dtype.is_floating_point:
        return None
    rule = DERIVATIVES[part.name]
    rest, options, named = call.args[1:], rule.options(call), rule.named(call)

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        result = call.op(inputs[0], *rest, **call.kwargs)
        return [result], result if rule.of_output else inputs[0]

    def backward(kept: Any, g: Tensor, target: Tensor | None) -> Tensor:
        if not rule.in_place:
            return rule.operator(g, kept, *options, **named)  # type: ignore[no-any-return]
        if target is None or target.stride() != kept.stride():
            target = torch.empty_like(kept, dtype=g.dtype)
        rule.operator(g, kept, *options, **named, grad_input=target)
        return target

    return pointwise(
        (ref.index, part.box), part.writes, forward, backward, keeps="output" if rule.of_output else "input"
    )


for name in DERIVATIVES:
    if name not in OPERATORS:
        operator(name, part="broadcast")(joins.pointwise)
stepped(*DERIVATIVES)(activation)
