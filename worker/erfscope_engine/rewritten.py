"""Functions of torch that hide what reads what, written as operators that can be followed; the numbers are the same."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class Rewritten(TorchFunctionMode):
    """While a network is recorded."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        ours = REWRITTEN.get(func)
        found = NotImplemented if ours is None else ours(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if found is NotImplemented else found


def padded(input: Tensor, pad: list[int], mode: str = "constant", value: float | None = None) -> Any:
    """Circular padding as joined slices: torch writes it into an empty tensor."""
    if mode != "circular":
        return NotImplemented
    x = input
    for k in range(len(pad) // 2):
        axis, n = x.dim() - 1 - k, x.shape[-1 - k]
        before, after = pad[2 * k], pad[2 * k + 1]
        parts = [x.narrow(axis, n - before, before)] if before > 0 else []
        parts += [x.narrow(axis, max(-before, 0), n + min(before, 0) + min(after, 0))]
        parts += [x.narrow(axis, 0, after)] if after > 0 else []
        x = torch.cat(parts, axis)
    return x


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows as columns, (N, C, H, W) → (N, C·taps, places): a slice of the padded image for each tap."""
    x = input
    if x.dim() != 4:
        return NotImplemented
    kernel, reach, border, step = (_pair(v) for v in (kernel_size, dilation, padding, stride))
    wide = F.pad(x, [border[1], border[1], border[0], border[0]])
    places = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(wide.shape[2:], kernel, reach, step, strict=True)]
    taps = []
    for tap in product(*map(range, kernel)):
        part = wide
        for axis, (t, d, n, s) in enumerate(zip(tap, reach, places, step, strict=True), start=2):
            part = part[(slice(None),) * axis + (slice(t * d, t * d + (n - 1) * s + 1, s),)]
        taps.append(part)
    return torch.stack(taps, 2).reshape(len(x), -1, places[0] * places[1])


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Columns summed back into an image: a transposed convolution in which each tap passes its own column on."""
    x = input
    if x.dim() != 3:
        return NotImplemented
    size, kernel, reach, border, step = (_pair(v) for v in (output_size, kernel_size, dilation, padding, stride))
    spans = [d * (k - 1) + 1 for d, k in zip(reach, kernel, strict=True)]
    places = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(size, border, spans, step, strict=True)]
    taps, left_over = kernel[0] * kernel[1], []
    for n, p, r, m, s in zip(size, border, spans, places, step, strict=True):
        left_over.append(n - ((m - 1) * s - 2 * p + r))
    channels = x.shape[1] // taps
    one_each = torch.eye(taps, dtype=x.dtype, device=x.device).view(taps, 1, *kernel).repeat(channels, 1, 1, 1)
    image = x.reshape(len(x), x.shape[1], *places)
    return F.conv_transpose2d(image, one_each, None, step, border, left_over, channels, reach)


def _pair(value: Any) -> Pair:
    first, *rest = value if isinstance(value, (tuple, list)) else [value]
    return int(first), int(rest[0] if rest else first)


REWRITTEN: dict[Any, Callable[..., Any]] = {
    F.pad: padded,
    torch._C._nn.pad: padded,
    F.unfold: unfold,
    torch._C._nn.im2col: unfold,
    F.fold: fold,
    torch._C._nn.col2im: fold,
}
