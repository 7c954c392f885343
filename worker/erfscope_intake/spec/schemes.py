"""Schemes that draw a weight tensor from a counter-based stream: one key, one tensor, whatever came before.

Fans are counted as torch.nn.init does: fan_in = shape[1] · taps, fan_out = shape[0] · taps.
"""

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from erfscope_contract.architecture import Init, InitOptions

Stream = np.random.Generator
Rim = NDArray[np.float64]  # distance of each tap from the kernel's middle, 0 to 1

CHUNK = 2**22  # elements drawn at once: float64 draws of a 100 M weight layer would take 1 GB


def stream(*key: object) -> Stream:
    """An independent stream per key (seed, draw, name); it owes nothing to any global generator."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))


def fill_weight(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    """Draw a weight of shape (a, b, *taps) in place; `rim` is only read by low_center."""
    SCHEMES[options.scheme](weight, options, source, rim)


def fill_bias(bias: Tensor, weight: Tensor, options: InitOptions, source: Stream) -> None:
    """Biases are 0, but for torch's default, which draws them from U(±1/√fan_in)."""
    if options.scheme is Init.DEFAULT:
        fill_uniform(bias, source, 1 / math.sqrt(fans(weight.shape)[0]))
    else:
        bias.zero_()


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight."""
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def fill_normal(target: Tensor, source: Stream, std: float, mean: float = 0.0) -> None:
    """N(mean, std²) in place."""
    _fill(target, lambda count: source.standard_normal(count) * std + mean)


def fill_uniform(target: Tensor, source: Stream, high: float, low: float | None = None) -> None:
    """U(low, high) in place; without `low`, U(−high, high)."""
    start = -high if low is None else low
    _fill(target, lambda count: start + (high - start) * source.random(count))


def fill_mask(target: Tensor, source: Stream, p: float) -> None:
    """A dropout mask in place: 0 with probability p, 1/(1 − p) otherwise."""
    _fill(target, lambda count: (source.random(count) >= p) / (1 - p))


def _fill(target: Tensor, draw: Callable[[int], NDArray[np.float64]]) -> None:
    flat = target.view(-1)
    for start in range(0, flat.numel(), CHUNK):
        part = flat[start : start + CHUNK]
        part.copy_(torch.from_numpy(draw(part.numel())))


def box_rim(taps: Sequence[int]) -> Rim:
    """Distance of each tap of a dense kernel from its middle: largest over axes, 1 on the rim."""
    axes = [np.abs(np.arange(k) - (k - 1) / 2) / max((k - 1) / 2, 0.5) for k in taps]
    grid = np.meshgrid(*axes, indexing="ij") if axes else [np.zeros(1)]
    rim: Rim = np.max(np.stack([axis.ravel() for axis in grid]), axis=0)
    return rim


def tap_rim(offsets: Sequence[Sequence[int]]) -> Rim:
    """The same for a pattern of taps, relative to the farthest one."""
    distance = np.abs(np.asarray(offsets, dtype=np.float64)).max(axis=1)
    rim: Rim = distance / max(float(distance.max()), 1.0)
    return rim


def kaiming_std(weight: Tensor, options: InitOptions) -> float:
    """Standard deviation after He et al. 2015."""
    fan_in, fan_out = fans(weight.shape)
    return (options.gain or math.sqrt(2)) / math.sqrt(fan_out if options.mode == "fan_out" else fan_in)


def xavier_std(weight: Tensor, options: InitOptions) -> float:
    """Standard deviation after Glorot and Bengio 2010."""
    return (options.gain or 1.0) * math.sqrt(2 / sum(fans(weight.shape)))


def _default(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    fill_uniform(weight, source, 1 / math.sqrt(fans(weight.shape)[0]))


def _ones(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    weight.fill_(1.0)


def _kaiming_normal(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    fill_normal(weight, source, kaiming_std(weight, options))


def _kaiming_uniform(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    fill_uniform(weight, source, math.sqrt(3) * kaiming_std(weight, options))


def _xavier_normal(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    fill_normal(weight, source, xavier_std(weight, options))


def _xavier_uniform(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    fill_uniform(weight, source, math.sqrt(3) * xavier_std(weight, options))


def _normal(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    std = 1 / math.sqrt(fans(weight.shape)[0]) if options.std is None else options.std
    fill_normal(weight, source, std, options.mean or 0.0)


def uniform_bounds(weight: Tensor, options: InitOptions) -> tuple[float, float]:
    """(low, high) as given; by default those that keep the variance of a linear network."""
    bound = math.sqrt(3 / fans(weight.shape)[0])
    return (-bound, bound) if options.low is None or options.high is None else (options.low, options.high)


def _uniform(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    low, high = uniform_bounds(weight, options)
    fill_uniform(weight, source, high, low)


def _orthogonal(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    """Saxe et al. 2014: the (shape[0], rest) matrix has orthonormal rows or columns, uniformly drawn."""
    rows, columns = weight.shape[0], weight[0].numel()
    drawn = source.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    matrix = (q if rows >= columns else q.T) * (options.gain or 1.0)
    weight.copy_(torch.from_numpy(np.ascontiguousarray(matrix)).view(weight.shape))


def _low_center(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    """Luo et al. 2016: weights low in the kernel's middle, high on its rim, at Kaiming's total variance."""
    fill_normal(weight, source, kaiming_std(weight, options))
    weight.view(*weight.shape[:2], -1).mul_(torch.from_numpy(rim_scale(options, rim)).to(weight))


def rim_scale(options: InitOptions, rim: Rim) -> Rim:
    """Factor per tap of low_center, with mean square 1."""
    middle = 0.1 if options.center is None else options.center
    scale = middle + (1 - middle) * rim
    power = float(np.mean(scale**2))
    return scale / math.sqrt(power) if power > 0 else np.ones_like(scale)  # a kernel of one tap has no rim


def _taps(weight: Tensor, options: InitOptions, source: Stream, rim: Rim) -> None:
    """The kernel as given, for every pair of channels; its length was checked with the spec."""
    weight.view(*weight.shape[:2], -1).copy_(torch.tensor(options.taps, dtype=torch.float64))


SCHEMES: dict[Init, Callable[[Tensor, InitOptions, Stream, Rim], None]] = {
    Init.DEFAULT: _default,
    Init.ONES: _ones,
    Init.KAIMING_NORMAL: _kaiming_normal,
    Init.KAIMING_UNIFORM: _kaiming_uniform,
    Init.XAVIER_NORMAL: _xavier_normal,
    Init.XAVIER_UNIFORM: _xavier_uniform,
    Init.ORTHOGONAL: _orthogonal,
    Init.NORMAL: _normal,
    Init.UNIFORM: _uniform,
    Init.LOW_CENTER: _low_center,
    Init.TAPS: _taps,
}
