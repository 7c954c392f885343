"""Sampling at computed places: grids, deformable windows, patches, boxes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import Node, converts, number, numbers, within_limit
from erfscope_intake.converters.windows import Window, window

GRID_MODES = {
    "bilinear": "bilinear",
    "linear": "bilinear",
    "nearest": "nearest",
    "bicubic": "bicubic",
    "cubic": "bicubic",
}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@converts("GridSample", since=16)
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """x at the places that the grid names, in [-1, 1]."""
    mode = GRID_MODES.get(node.text("mode", "bilinear"))
    if mode is None or (mode == "bicubic" and x.ndim == 5) or x.ndim not in (4, 5):
        raise ProblemError(
            "unsupported-op",
            f"GridSample in mode {node.text('mode', '')} over {x.ndim - 2} axes cannot be converted.",
        )
    border = node.text("padding_mode", "zeros")
    return F.grid_sample(x, grid.to(x.dtype), mode, border, bool(node.int("align_corners", 0)))


@converts("AffineGrid", since=20, reads=(1,))
def affine_grid(node: Node, theta: Tensor, size: Tensor) -> Tensor:
    """The grid of places of an affine map."""
    wanted = numbers(size)
    within_limit([wanted[0], *wanted[2:], len(wanted) - 2], theta.dtype)
    return F.affine_grid(theta, wanted, bool(node.int("align_corners", 0)))


@converts("DeformConv", since=19)
def deform_conv(
    node: Node,
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolution whose window's taps are shifted by computed offsets (two axes)."""
    from torchvision.ops import deform_conv2d  # type: ignore[import-untyped] # no types there

    frame = window(node, x.shape[2:], weight.shape[2:])
    (top, bottom), (left, right) = frame.pads
    out_h = (x.shape[2] + top + bottom - frame.spans[0]) // frame.strides[0] + 1
    out_w = (x.shape[3] + left + right - frame.spans[1]) // frame.strides[1] + 1
    if not frame.symmetric:
        x, pads = F.pad(x, [left, right, top, bottom]), [0, 0]
    else:
        pads = frame.begins
    offset = offset[..., :out_h, :out_w]
    y: Tensor = deform_conv2d(x, offset, weight, bias, list(frame.strides), pads, list(frame.dilations), mask)
    return y


@converts("Col2Im", since=18, reads=(1, 2))
def col2im(node: Node, x: Tensor, image: Tensor, block: Tensor) -> Tensor:
    """Columns of patches (batch, channels · taps, places) added up to an image of one to three axes."""
    size, kernel = numbers(image), numbers(block)
    frame = window(node, size, kernel)
    within_limit([x.shape[0], x.shape[1], *size], x.dtype)
    if len(size) == 2 and frame.symmetric:
        begins = (frame.begins[0], frame.begins[1])
        return F.fold(x, (size[0], size[1]), (kernel[0], kernel[1]), frame.dilations, begins, frame.strides)
    return _added_up(x, size, frame)


def _added_up(x: Tensor, size: list[int], frame: Window) -> Tensor:
    """A transposed convolution with a kernel for each tap that is 1 there; torch folds two axes only."""
    taps = math.prod(frame.kernel)
    if x.shape[1] % taps:
        raise ValueError(f"{x.shape[1]} rows are no multiple of the {taps} taps")
    channels = x.shape[1] // taps
    padded = [n + begin + end for n, (begin, end) in zip(size, frame.pads, strict=True)]
    places = [(n - span) // step + 1 for n, span, step in zip(padded, frame.spans, frame.strides, strict=True)]
    within_limit([x.shape[1], taps], x.dtype)
    one_hot = torch.eye(taps, dtype=x.dtype, device=x.device).reshape(taps, 1, *frame.kernel)
    grid = x.reshape(x.shape[0], x.shape[1], *places)
    added = TRANSPOSED[len(size)](
        grid, one_hot.repeat(channels, *[1] * (len(size) + 1)), stride=frame.strides, dilation=frame.dilations,
        groups=channels,
    )  # fmt: skip
    cut: list[int] = []
    for axis in reversed(range(len(size))):
        begin = frame.begins[axis]
        cut += [-begin, begin + size[axis] - added.shape[2 + axis]]
    return F.pad(added, cut)


@converts("NonMaxSuppression", since=10, reads=(0, 1, 2, 3, 4))
def non_max_suppression(
    node: Node,
    boxes: Tensor,
    scores: Tensor,
    at_most: Tensor | None = None,
    overlap: Tensor | None = None,
    least: Tensor | None = None,
) -> Tensor:
    """[batch, class, box] of the boxes kept; corners may come in any order."""
    from torchvision.ops import nms

    limit = numbers(at_most)[0] if at_most is not None else 0
    threshold = number(overlap) if overlap is not None else 0.0
    if node.int("center_point_box", 0):
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        corners = torch.cat([centre - half, centre + half], -1)
    else:
        first, second = boxes[..., :2], boxes[..., 2:]
        corners = torch.cat([torch.minimum(first, second), torch.maximum(first, second)], -1)
    kept = [torch.zeros((0, 3), dtype=torch.int64)]
    for batch in range(scores.shape[0]):
        for kind in range(scores.shape[1]):
            score = scores[batch, kind]
            high = torch.arange(len(score)) if least is None else torch.nonzero(score > number(least)).reshape(-1)
            picked = high[nms(corners[batch][high], score[high], threshold)][:limit]
            place = torch.tensor([batch, kind]).expand(len(picked), 2)
            kept.append(torch.cat([place, picked[:, None]], 1))
    return torch.cat(kept)
