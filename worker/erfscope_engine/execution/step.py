"""What a step is: one operator on boxes, forward without autograd, backward by hand or per operator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import Tensor

from erfscope_engine.execution.box import Box

if TYPE_CHECKING:
    from erfscope_engine.execution.part import Part
    from erfscope_engine.recording.tape import Ref


class Scaled(NamedTuple):
    """The gradient grad · factor (broadcast), not computed yet: whoever adds to it computes both in one pass."""

    grad: Tensor
    factor: Tensor


Gradient = Tensor | Scaled | None


def computed(g: Gradient) -> Tensor | None:
    """A gradient as a tensor."""
    return g.grad * g.factor if isinstance(g, Scaled) else g


Forward = Callable[[Sequence[Any]], tuple[Sequence[Any], Any]]
Backward = Callable[[Any, Sequence[Tensor | None]], Sequence[Gradient]]
Keeps = Literal["nothing", "input", "output", "both"]
Pointwise = Callable[[Any, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Step:
    """`forward(inputs) → (outputs, kept)`, `backward(kept, output gradients) → input gradients`, None for none.

    Inputs come cut to `reads` (value, box), outputs fill `writes` (value or None, box). Inputs must not be changed;
    gradients may be handed on as they are. `kept` is None where the output does not depend differentiably on the input.
    `any_format` says that the inputs' memory format does not matter, or that the step sees to it; else they come in the
    memory order that was recorded. `relu` puts a ReLU behind the (first) output: by `rectified`, the forward with the
    ReLU in it, where there is one; else in place where the output is `fresh`, nobody else's memory.
    `pointwise(kept, gradient, target)` is the backward of a step that works element by element on one operand: it
    writes into `target`, which may be the gradient itself, where there is one. `autograd`: why the
    operator runs by autograd on whole tensors ("" where it does not). `note`: what is approximate about a step for
    moments.
    """

    reads: tuple[tuple[int, Box], ...]
    writes: tuple[tuple[int | None, Box], ...]
    forward: Forward
    backward: Backward
    any_format: bool = False
    fresh: bool = False
    relu: bool = False
    rectified: Forward | None = None
    pointwise: Pointwise | None = None
    keeps: Keeps = "both"
    autograd: str = ""
    operator: str = ""
    note: str = ""


def pointwise(
    reads: tuple[int, Box],
    writes: tuple[tuple[int | None, Box], ...],
    forward: Forward,
    back: Pointwise,
    **options: Any,
) -> Step:
    """A step that works element by element on one operand; `back` as `Step.pointwise`."""

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Gradient]:
        g = next(each for each in grads if each is not None)
        return [back(kept, g, None)]

    return Step((reads,), writes, forward, backward, any_format=True, pointwise=back, **options)


def linear(
    part: "Part", ref: "Ref", read: Box, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]
) -> Step:
    """A step that is a linear map of one operand, with its transpose."""
    return Step(
        ((ref.index, read),),
        part.writes,
        lambda inputs: ([there(inputs[0])] * len(part.call.outputs), True),
        lambda kept, grads: [back(next(g for g in grads if g is not None))],
        any_format=True,
        keeps="nothing",
    )
