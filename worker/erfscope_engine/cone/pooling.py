"""Poolings on boxes: max by its indices, average by hand where no border is in the way."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.cone.box import Box, clipped, lengths, region_of
from erfscope_engine.cone.step import Step, kernel
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.regions.windows import per_axis

aten = torch.ops.aten


@kernel("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool(call: Call, box: Box) -> Step | None:
    """What sticks out of the image is -inf."""
    rank = 2 if "2d" in call.entry.op.overloadpacket.__name__ else 3
    if call.out != 0 or len(box) != rank + 2 or _read_by_any(call, 1):
        return None
    ((ref, region),) = needs(call, region_of(box))
    shape = call.shape(ref)
    read = clipped(region, shape)
    borders = _borders(region, shape, rank)
    kernel_size = per_axis(call.arg("kernel_size"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel_size
    dilation = per_axis(call.arg("dilation"), rank)
    none = [0] * rank
    pool = getattr(aten, f"max_pool{rank}d_with_indices")
    unpool = getattr(aten, f"max_pool{rank}d_with_indices_backward")

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        x = F.pad(inputs[0], borders, value=-torch.inf) if any(borders) else inputs[0]
        out, where = pool(x, kernel_size, stride, none, dilation)
        return [out, where], (x, where)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        x, where = kept
        g = unpool(grads[0], x, kernel_size, stride, none, dilation, False, where)
        return [F.pad(g, [-p for p in borders]) if any(borders) else g]

    return Step(((ref.index, read),), ((call.entry.outputs[0], box), (None, box)), forward, backward)


@kernel("avg_pool2d", "avg_pool3d")
def average_pool(call: Call, box: Box) -> Step | None:
    """Inside the image only: at a border the divisor depends on the options."""
    rank = 2 if "2d" in call.entry.op.overloadpacket.__name__ else 3
    if len(box) != rank + 2:
        return None
    ((ref, region),) = needs(call, region_of(box))
    shape = call.shape(ref)
    if any(_borders(region, shape, rank)):
        return None
    read = clipped(region, shape)
    kernel_size = per_axis(call.arg("kernel_size"), rank)
    stride = per_axis(call.arg("stride"), rank) if call.arg("stride") else kernel_size
    none, divisor = [0] * rank, call.arg("divisor_override")
    pool, unpool = getattr(aten, f"avg_pool{rank}d"), getattr(aten, f"avg_pool{rank}d_backward")
    empty_shape = lengths(read)

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [pool(inputs[0], kernel_size, stride, none, False, True, divisor)], inputs[0].new_empty(1)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        blank = kept.expand(empty_shape)
        return [unpool(grads[0], blank, kernel_size, stride, none, False, True, divisor)]

    return Step(((ref.index, read),), ((call.entry.outputs[0], box),), forward, backward)


def _borders(region: Any, shape: tuple[int, ...], rank: int) -> list[int]:
    """Positions beyond the image, last axis first, as F.pad takes them."""
    edges = [(max(-i.lo, 0), max(i.hi - n, 0)) for i, n in zip(region[-rank:], shape[-rank:], strict=True)]
    return [p for pair in reversed(edges) for p in pair]


def _read_by_any(call: Call, out: int) -> bool:
    index = call.entry.outputs[out]
    return any(ref.index == index for entry in call.tape.entries for ref in entry.refs)
