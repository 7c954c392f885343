"""What a step of the cone is: one operator on boxes, forward without autograd, backward by hand or per operator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from erfscope_engine.cone.box import Box
from erfscope_engine.regions.table import Call

Forward = Callable[[Sequence[Tensor]], tuple[Sequence[Tensor], Any]]
Backward = Callable[[Any, Sequence[Tensor | None]], Sequence[Tensor | None]]


@dataclass(frozen=True)
class Step:
    """`forward(inputs) → (outputs, kept)`, `backward(kept, output gradients) → input gradients`, None for none.

    Inputs come cut to `reads` (value, box), outputs fill `writes` (value or None, box). Inputs must not be changed;
    gradients may be handed on as they are. `kept` is None where the output does not depend differentiably on the input.
    `relu` puts a ReLU behind the (first) output: in place where the output is `fresh`, nobody else's memory.
    """

    reads: tuple[tuple[int, Box], ...]
    writes: tuple[tuple[int | None, Box], ...]
    forward: Forward
    backward: Backward
    fresh: bool = False
    relu: bool = False


Maker = Callable[[Call, Box], Step | None]
KERNELS: dict[str, Maker] = {}


def kernel(*operators: str) -> Callable[[Maker], Maker]:
    """Enter a function into the table: it makes the step that fills a box, or None where it cannot work on a part."""

    def enter(function: Maker) -> Maker:
        for operator in operators:
            KERNELS[operator] = function
        return function

    return enter
