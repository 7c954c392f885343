"""Pooling by windows and over the whole plane."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import Node, converts, numbers, within_limit
from erfscope_intake.converters.windows import Window, pad, window

MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _pool_window(node: Node, x: Tensor) -> tuple[Window, list[tuple[int, int]]]:
    """The node's window, and the further (begin, end) that ceil_mode adds after the paddings."""
    frame = window(node, x.shape[2:], node.ints("kernel_shape", ()))
    if not node.int("ceil_mode", 0) or node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return frame, [(0, 0)] * len(frame.kernel)
    tails = []
    for n, span, s, (begin, end) in zip(x.shape[2:], frame.spans, frame.strides, frame.pads, strict=True):
        room = n + begin + end - span
        steps = -(-room // s)
        if steps * s >= n + begin:  # a window may not start in the padding at the end
            steps -= 1
        tails.append((0, max(steps * s - room, 0)))
    return frame, tails


@converts("MaxPool")
def max_pool(node: Node, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over each window; the optional second output holds flat indices into the input."""
    frame, tails = _pool_window(node, x)
    rank = len(frame.kernel)
    small = all(2 * p <= k for p, k in zip(frame.begins, frame.kernel, strict=True))
    padding = frame.begins
    values = x if x.is_floating_point() else x.to(torch.float64)
    if not (frame.symmetric and small and not any(end for _, end in tails)):
        ends = [(b, e + t) for (b, e), (_, t) in zip(frame.pads, tails, strict=True)]
        values, padding = pad(values, ends, -math.inf), [0] * rank
    if node.outputs > 1:
        return _max_pool_indices(node, x, frame)
    return MAX_POOL[rank](values, frame.kernel, frame.strides, padding, frame.dilations).to(x.dtype)


def _max_pool_indices(node: Node, x: Tensor, frame: Window) -> tuple[Tensor, Tensor]:
    """Values, and positions counted over the whole input tensor, row- or (storage_order) column-major."""
    _, tails = _pool_window(node, x)
    ends = [(b, e + t) for (b, e), (_, t) in zip(frame.pads, tails, strict=True)]
    size = list(x.shape[2:])
    order = range(len(size)) if not node.int("storage_order", 0) else range(len(size))[::-1]
    axes = [torch.arange(n, device=x.device) for n in size]
    flat = torch.zeros(size, dtype=torch.int64, device=x.device)
    stride = 1
    for axis in reversed(list(order)):
        flat = flat + (axes[axis] * stride).reshape(-1, *(1,) * (len(size) - axis - 1))
        stride *= size[axis]
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device).reshape(*x.shape[:2], *(1,) * len(size))
    positions = pad(flat + planes * math.prod(size), ends, -1)
    values, where = MAX_POOL[len(size)](
        pad(x.to(torch.float64), ends, -math.inf),
        frame.kernel, frame.strides, 0, frame.dilations, return_indices=True,
    )  # fmt: skip
    picked = positions.flatten(2).gather(2, where.flatten(2)).reshape(where.shape)
    return values.to(x.dtype), picked


def _window_sums(x: Tensor, frame: Window) -> Tensor:
    """Sum over each window of an already padded x; dilated windows are added up from strided slices."""
    rank = len(frame.kernel)
    if all(d == 1 for d in frame.dilations):
        return AVG_POOL[rank](x, frame.kernel, frame.strides) * math.prod(frame.kernel)
    out = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], frame.spans, frame.strides, strict=True)]
    total = None
    for flat in range(math.prod(frame.kernel)):
        piece, rest = x, flat
        for axis in reversed(range(rank)):
            rest, step = divmod(rest, frame.kernel[axis])
            start, s = step * frame.dilations[axis], frame.strides[axis]
            piece = piece[(slice(None),) * (axis + 2) + (slice(start, start + (out[axis] - 1) * s + 1, s),)]
        total = piece if total is None else total + piece
    assert total is not None
    return total


@converts("AveragePool")
def average_pool(node: Node, x: Tensor) -> Tensor:
    """Mean over each window; the padding counts where count_include_pad says so, ceil_mode's overhang never."""
    frame, tails = _pool_window(node, x)
    include = bool(node.int("count_include_pad", 0))
    plain = frame.symmetric and all(d == 1 for d in frame.dilations) and not any(end for _, end in tails)
    if plain and all(0 <= 2 * p <= k for p, k in zip(frame.begins, frame.kernel, strict=True)):
        return AVG_POOL[len(frame.kernel)](x, frame.kernel, frame.strides, frame.begins, count_include_pad=include)
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    counted = pad(pad(ones, frame.pads, 1.0 if include else 0.0), tails)
    return _window_sums(pad(pad(x, frame.pads), tails), frame) / _window_sums(counted, frame)


@converts("LpPool")
def lp_pool(node: Node, x: Tensor) -> Tensor:
    """p-norm over each window."""
    frame, tails = _pool_window(node, x)
    p = node.float("p", 2)
    sums = _window_sums(pad(pad(x.abs() ** p, frame.pads), tails), frame)
    return sums ** (1 / p)


def _plane(x: Tensor) -> list[int]:
    return list(range(2, x.ndim))


@converts("GlobalAveragePool")
def global_average_pool(_node: Node, x: Tensor) -> Tensor:
    """Mean over the whole plane."""
    return x.mean(_plane(x), keepdim=True) if x.ndim > 2 else x


@converts("GlobalMaxPool")
def global_max_pool(_node: Node, x: Tensor) -> Tensor:
    """Maximum over the whole plane."""
    return x.amax(_plane(x), keepdim=True) if x.ndim > 2 else x


@converts("GlobalLpPool")
def global_lp_pool(node: Node, x: Tensor) -> Tensor:
    """p-norm over the whole plane."""
    p = node.float("p", 2)
    return (x.abs() ** p).sum(_plane(x), keepdim=True) ** (1 / p) if x.ndim > 2 else x.abs()


@converts("MaxUnpool", reads=(2,))
def max_unpool(node: Node, x: Tensor, positions: Tensor, shape: Tensor | None = None) -> Tensor:
    """Values back to where MaxPool found them (flat positions over the whole output without `shape`), 0 elsewhere."""
    frame = window(node, x.shape[2:], node.ints("kernel_shape", ()))
    sizes = zip(x.shape[2:], frame.strides, frame.kernel, frame.pads, strict=True)
    plain = [*x.shape[:2], *((n - 1) * s + k - sum(p) for n, s, k, p in sizes)]
    out = within_limit(plain if shape is None else numbers(shape), x.dtype)
    if out == plain and frame.kernel == frame.strides and not any(map(any, frame.pads)):
        return _unpooled_in_place(x, positions, frame)
    flat = torch.zeros(math.prod(out), dtype=x.dtype, device=x.device)
    if out != plain:  # positions count over the extents that the pooling saw
        strides = [math.prod(out[k + 1 :]) for k in range(len(out))]
        places = torch.unravel_index(positions.reshape(-1), plain)
        positions = torch.stack([place * stride for place, stride in zip(places, strides, strict=True)]).sum(0)
    return flat.scatter(0, positions.reshape(-1), x.reshape(-1)).reshape(out)


def _unpooled_in_place(x: Tensor, positions: Tensor, frame: Window) -> Tensor:
    """Windows side by side: each value stays within its own, and a receptive field with it."""
    for axis, times in enumerate(frame.kernel, 2):
        x, positions = x.repeat_interleave(times, axis), positions.repeat_interleave(times, axis)
    own = torch.arange(x.numel(), device=x.device).reshape(x.shape)
    return torch.where(positions == own, x, torch.zeros((), dtype=x.dtype, device=x.device))
