"""Products element by element, by hand: with a constant, of two tensors, and with a gate (squeeze and excite).

A gate has one number per channel: its gradient is a sum of gradient · tensor over all places, which is taken block by
block, so that the products stay near the cores; the tensor's own gradient is left as a product for whoever adds to it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box, cut, full
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Gradient, Scaled, Step, pointwise
from erfscope_engine.operators.table import stepped
from erfscope_engine.recording.tape import Ref

# Numbers of a product that is summed at once, and of a block of a larger one: 4 samples of 120 channels of 64² pixels
# took 0.64 ms at once, 0.70 by blocks; 96 channels of 256² pixels 62 ms at once, 12 by blocks (1 thread).
AT_ONCE, BLOCK = 1 << 22, 1 << 18


@stepped("mul")
def product(part: Part) -> Step | None:
    """A constant scales in place; two tensors give each the other's product with the gradient."""
    left, right = part.arg("self"), part.arg("other")
    if isinstance(left, Ref) and isinstance(right, Ref):
        return _of_two(part, left, right)
    return _scaled(part, left, right) if isinstance(left, Ref) else _scaled(part, right, left)


def _is_plain(part: Part, ref: Ref) -> bool:
    """Whether an operand has the number type of the result, and a real one."""
    values, out = part.tape.values, part.call.outputs[part.out]
    assert out is not None  # a product is a tensor
    return values[ref.index].dtype == values[out].dtype and values[out].dtype.is_floating_point


def _scaled(part: Part, ref: Ref, factor: Any) -> Step | None:
    rank = len(part.box)
    if part.shape(ref) != part.out_shape or part.read(ref) != part.box or not _is_plain(part, ref):
        return None
    if isinstance(factor, Tensor):
        shape = (*(1,) * (rank - factor.dim()), *factor.shape)
        factor = cut(factor.reshape(shape), full(shape), _on(part.box, shape))
    elif not isinstance(factor, int | float):
        return None

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [torch.mul(inputs[0], factor)], True

    def backward(kept: Any, g: Tensor, target: Tensor | None) -> Tensor:
        if target is None:
            return torch.mul(g, factor)
        return target.mul_(factor)

    return pointwise((ref.index, part.box), part.writes, forward, backward, fresh=True, keeps="nothing")


def _on(box: Box, shape: Sequence[int]) -> Box:
    """A box of an operand that is broadcast to what `box` is part of."""
    return tuple((0, 1) if n == 1 else span for span, n in zip(box, shape, strict=True))


def _of_two(part: Part, left: Ref, right: Ref) -> Step | None:
    shapes = part.shape(left), part.shape(right)
    if any(len(shape) != len(part.box) for shape in shapes) or not (_is_plain(part, left) and _is_plain(part, right)):
        return None
    boxes = [_on(part.box, shape) for shape in shapes]
    if [part.read(left), part.read(right)] != boxes:  # x · xᵀ and its like: one box does not serve both
        return None

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        x, y = inputs
        return [x * y], (x, y)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Gradient]:
        (x, y), (g,) = kept, grads
        assert g is not None
        return [_back(g, y, x.shape), _back(g, x, y.shape)]

    reads = (left.index, boxes[0]), (right.index, boxes[1])
    return Step(reads, part.writes, forward, backward, any_format=True, fresh=True, keeps="input")


def _back(g: Tensor, other: Tensor, shape: Sequence[int]) -> Gradient:
    """The gradient of one factor of `shape`."""
    over = [k for k, (n, m) in enumerate(zip(shape, g.shape, strict=True)) if n != m]
    return summed_product(g, other, over) if over else Scaled(g, other)


def summed_product(a: Tensor, b: Tensor, over: Sequence[int]) -> Tensor:
    """The sum of a · b over some axes, which stay as 1; both broadcast against each other."""
    dense = all(x.is_contiguous(memory_format=torch.channels_last) for x in (a, b) if x.dim() == 4)
    if a.dim() != 4 or a.shape != b.shape or list(over) != [2, 3] or a.numel() <= AT_ONCE or not dense:
        return (a * b).sum(list(over), keepdim=True)
    rows_a, rows_b = (x.permute(0, 2, 3, 1).flatten(1, 2) for x in (a, b))
    count, (samples, places, channels) = max(BLOCK // a.shape[1], 1), rows_a.shape
    block, ones, total = a.new_empty(count, channels), a.new_ones(1, count), a.new_zeros(samples, channels)
    for n in range(samples):
        for first in range(0, places, count):
            size = min(count, places - first)
            torch.mul(rows_a[n, first : first + size], rows_b[n, first : first + size], out=block[:size])
            total[n : n + 1].addmm_(ones[:, :size], block[:size])
    return total[:, :, None, None]
