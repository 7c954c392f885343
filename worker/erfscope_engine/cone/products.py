"""Dense layers on boxes: rows times a constant matrix; a matrix that was only repeated over the batch is used once."""

from typing import Any

import torch
from torch import Tensor

from erfscope_engine.cone.box import Box
from erfscope_engine.cone.step import Step, kernel
from erfscope_engine.regions.table import Call
from erfscope_engine.tape import Ref


@kernel("mm")
def matrix_product(call: Call, box: Box) -> Step | None:
    """Rows by a constant matrix."""
    return _rows(call, box, call.arg("self"), call.arg("mat2"), None)


@kernel("addmm")
def affine_product(call: Call, box: Box) -> Step | None:
    """Rows by a constant matrix, and a constant added."""
    if call.arg("alpha") != 1 or call.arg("beta") != 1:
        return None
    return _rows(call, box, call.arg("mat1"), call.arg("mat2"), call.arg("self"))


@kernel("bmm")
def repeated_product(call: Call, box: Box) -> Step | None:
    """A linear layer on tensors that could not be folded: its matrix is one, expanded over the batch."""
    matrix = call.arg("mat2")
    if isinstance(matrix, Ref) or matrix.stride(0) != 0:
        return None
    return _rows(call, box, call.arg("self"), matrix[0], None)


def _rows(call: Call, box: Box, x: Any, matrix: Any, shift: Any) -> Step | None:
    if not isinstance(x, Ref) or isinstance(matrix, Ref) or isinstance(shift, Ref):
        return None
    if shift is not None and shift.dim() > 1 and shift.shape[0] != 1:
        return None
    box = (*box[:-1], (0, call.out_shape[-1]))
    read = (*box[:-1], (0, call.shape(x)[-1]))
    back = matrix.t()

    def times(rows: Any, by: Tensor) -> Tensor:
        flat = rows.reshape(-1, rows.shape[-1])
        return torch.mm(flat, by).view(*rows.shape[:-1], by.shape[1])

    def forward(inputs: Any) -> Any:
        out = times(inputs[0], matrix)
        return [out if shift is None else out.add_(shift)], True

    return Step(
        ((x.index, read),),
        ((call.entry.outputs[0], box),),
        forward,
        lambda kept, grads: [times(grads[0], back)],
        fresh=True,
    )
