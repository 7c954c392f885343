"""Signal operators: Fourier transforms as real matrix products, windows, mel weights."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import Node, axis_of, converts, number, numbers, within_limit


def _waves(steps: int, bins: int, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of shape (steps, bins) over a period of `length`."""
    within_limit([2, steps, bins], torch.float64)
    turns = torch.arange(steps)[:, None] * torch.arange(bins)[None, :] % length
    angle = turns.to(torch.float64) * (2 * math.pi / length)
    return torch.cos(angle).to(like), torch.sin(angle).to(like)


@converts("DFT", since=17, reads=(1, 2))
def dft(node: Node, x: Tensor, length: Tensor | None = None, axis_input: Tensor | None = None) -> Tensor:
    """Discrete Fourier transform along an axis of (…, real | real and imaginary)."""
    given = node.int("axis", 1) if node.version < 20 else (numbers(axis_input) or [-2])[0]
    axis = axis_of(given, x.ndim)
    n = numbers(length)[0] if length is not None and length.numel() else None
    inverse, onesided = bool(node.int("inverse", 0)), bool(node.int("onesided", 0))
    x = x.movedim(axis, -2)
    if inverse and onesided:
        n = n or 2 * (x.shape[-2] - 1)
        mirrored = x[..., 1 : n - x.shape[-2] + 1, :].flip(-2) * torch.tensor([1, -1], device=x.device).to(x.dtype)
        x = torch.cat([x, mirrored], -2)
    n = n or x.shape[-2]
    x = x[..., :n, :] if x.shape[-2] >= n else F.pad(x, [0, 0, 0, n - x.shape[-2]])
    bins = n // 2 + 1 if onesided and not inverse else n
    cos, sin = _waves(n, bins, n, x)
    real, imaginary = x[..., 0], (x[..., 1] if x.shape[-1] == 2 else None)
    sin = -sin if inverse else sin
    parts = [real @ cos, -(real @ sin)]
    if imaginary is not None:
        parts = [parts[0] + imaginary @ sin, parts[1] + imaginary @ cos]
    y = torch.stack(parts, -1) / (n if inverse else 1)
    y = y[..., :1] if inverse and onesided else y
    return y.movedim(-2, axis)


@converts("STFT", since=17, reads=(1, 3))
def stft(node: Node, x: Tensor, step: Tensor, shape: Tensor | None = None, length: Tensor | None = None) -> Tensor:
    """Short-time Fourier transform of a real signal, as a convolution with windowed waves."""
    frame = numbers(length)[0] if length is not None else (shape.numel() if shape is not None else x.shape[1])
    bins = frame // 2 + 1 if node.int("onesided", 1) else frame
    cos, sin = _waves(frame, bins, frame, x)
    weights = torch.cat([cos, -sin], 1).T
    weights = weights if shape is None else weights * shape.to(x)
    signal = x.reshape(x.shape[0], x.shape[1], -1)
    if signal.shape[2] != 1:
        raise ValueError("a short-time transform of complex signals cannot be converted")
    y = torch.convolution(signal.transpose(1, 2), weights[:, None], None, [numbers(step)[0]], [0], [1], False, [0], 1)
    return y.reshape(y.shape[0], 2, bins, -1).permute(0, 3, 2, 1)


def _cosine_window(operator: str, *terms: float) -> None:
    @converts(operator, since=17, reads=(0,))
    def made(node: Node, size: Tensor) -> Tensor:
        n = numbers(size)[0]
        within_limit([n], torch.float64)
        period = n if node.int("periodic", 1) else n - 1
        angle = torch.arange(n, dtype=torch.float64) * (2 * math.pi / period)
        return sum(t * torch.cos(k * angle) for k, t in enumerate(terms)).to(torch.float32)  # type: ignore[union-attr] # never the empty sum


_cosine_window("HannWindow", 0.5, -0.5)
_cosine_window("HammingWindow", 25 / 46, -21 / 46)
_cosine_window("BlackmanWindow", 0.42, -0.5, 0.08)


@converts("MelWeightMatrix", since=17, reads=(0, 1, 2, 3, 4))
def mel_weights(_node: Node, bands: Tensor, size: Tensor, rate: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Triangles, evenly spread over the mel scale, over the bins of a Fourier transform."""
    count, length = numbers(bands)[0], numbers(size)[0]
    bins = length // 2 + 1
    within_limit([bins, count], torch.float64)
    mel = [2595 * math.log10(1 + number(edge) / 700) for edge in (low, high)]
    step = (mel[1] - mel[0]) / (count + 2)
    hertz = [700 * (10 ** ((mel[0] + step * i) / 2595) - 1) for i in range(count + 2)]
    edge = [int((length + 1) * f // number(rate)) for f in hertz]
    weights = torch.zeros(bins, count)
    for band in range(count):
        lower, centre, upper = edge[band : band + 3]
        for i in range(lower, centre + 1):
            weights[i, band] = 1.0 if lower == centre else (i - lower) / (centre - lower)
        for i in range(centre, upper):
            weights[i, band] = (upper - i) / (upper - centre)
    return weights
