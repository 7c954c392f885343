"""Convolutions of 1×1 as matrix products of rows of channels, on a CPU.

With the channels last in memory a convolution of 1×1 is one product without any copy. On one thread torch takes a
slower way: a third of MobileNetV3-L's time went into copies.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box, layout_of, lengths
from erfscope_engine.execution.step import Gradient, Step
from erfscope_engine.operators.onednn import FEW, convolve_with, is_fused

TYPES = (torch.float32, torch.float64)


def is_product(weight: Tensor, padding: Sequence[int], groups: int) -> bool:
    """Whether a convolution is a product: of 1×1 or 1×1×1 on whole channels, without a border."""
    ones = weight.dim() in (4, 5) and all(n == 1 for n in weight.shape[2:])
    return ones and groups == 1 and not any(padding) and weight.device.type == "cpu" and weight.dtype in TYPES


def product_step(
    read: tuple[int, Box], write: tuple[int | None, Box], weight: Tensor, bias: Tensor | None, stride: Sequence[int]
) -> Step:
    """The product, forward and backward; `read` has the places from the first to the last that are taken."""
    matrix = weight.flatten(1)
    columns = matrix.t()  # a view: a copy of large weights takes as much memory again
    picked = (slice(None), slice(None), *(slice(None, None, s) for s in stride))
    strided, extents = any(s > 1 for s in stride), lengths(read[1])

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        rows = _last(inputs[0][picked] if strided else inputs[0])
        flat = rows.reshape(-1, rows.shape[-1])
        result = torch.mm(flat, columns) if bias is None else torch.addmm(bias, flat, columns)
        return [_first(result.view(*rows.shape[:-1], -1))], True

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Gradient]:
        assert grads[0] is not None
        rows = _last(grads[0])
        g = _first(torch.mm(rows.reshape(-1, rows.shape[-1]), matrix).view(*rows.shape[:-1], -1))
        if not strided:
            return [g]
        whole = _first(g.new_zeros(extents[0], *extents[2:], extents[1]))
        whole[picked].copy_(g)
        return [whole]

    step = Step((read,), (write,), forward, backward, any_format=True, fresh=True, keeps="nothing")
    return _in_one_pass(step, weight, bias, stride) if is_fused(weight) and matrix.shape[1] <= FEW else step


def _in_one_pass(step: Step, weight: Tensor, bias: Tensor | None, stride: Sequence[int]) -> Step:
    """The step with its forward as one pass, by oneDNN."""
    layout, ones, none = layout_of(weight), [1] * len(stride), [0] * len(stride)
    convolve = convolve_with(weight.contiguous(memory_format=layout), bias, stride, none, ones, 1, layout)

    def forward(relu: bool, inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [convolve(inputs[0].contiguous(memory_format=layout), relu)], True

    return replace(step, forward=partial(forward, False), rectified=partial(forward, True))


def _last(x: Tensor) -> Tensor:
    """A view with the channels as the last axis."""
    return x.movedim(1, -1)


def _first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)
