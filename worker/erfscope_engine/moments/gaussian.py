"""Nonlinearities of Gaussian variables: E f, Var f and E f'² (the gain), in closed form or by quadrature.

Everything is element by element on tensors of means and standard deviations.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from erfscope_engine.moments.state import Moments

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor | None]]  # x → f(x), f'(x); None where there is no derivative
SPAN = 7.0  # standard deviations on either side: beyond lie 2.6e-12
FINEST = 0.25  # in units of x: nodes per unit of the fastest function here (tanh turns within 1)
MOST_NODES = 4096


@dataclass(frozen=True)
class Piece:
    """f(x) = slope · x + shift on (start, stop]."""

    start: float
    stop: float
    slope: float
    shift: float


@dataclass(frozen=True)
class Response:
    """Moments of f(x) and the mean square of f'(x)."""

    out: Moments
    gain: Tensor


def piecewise(x: Moments, pieces: Sequence[Piece]) -> Response:
    """A piecewise linear function, exactly, by the partial moments of a Gaussian."""
    mean, deviation = x.dense_mean, x.deviation
    sharp = deviation == 0
    scale = torch.where(sharp, torch.ones_like(deviation), deviation)
    first, second, gain = (torch.zeros_like(deviation) for _ in range(3))
    for piece in pieces:
        share, one, two = _partial(piece, mean, scale, sharp)
        at, by = piece.slope * mean + piece.shift, piece.slope * scale
        first += at * share + by * one
        second += at * at * share + 2 * at * by * one + by * by * two
        gain += piece.slope**2 * share
    return Response(Moments(first, (second - first.square()).clamp_min(0)), gain)


def _partial(piece: Piece, mean: Tensor, scale: Tensor, sharp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """∫ 1, z, z² over the piece; where the variance is 0, whether the mean lies in it."""
    below, density_low, moment_low = _edge(piece.start, mean, scale)
    up_to, density_high, moment_high = _edge(piece.stop, mean, scale)
    share = up_to - below
    inside = ((mean > piece.start) & (mean <= piece.stop)).to(share.dtype)
    none = torch.zeros_like(share)
    return (
        torch.where(sharp, inside, share),
        torch.where(sharp, none, density_low - density_high),
        torch.where(sharp, none, share + moment_low - moment_high),
    )


def _edge(at: float, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Φ(a), φ(a) and a·φ(a) of a breakpoint in standard units."""
    if math.isinf(at):
        none = torch.zeros_like(scale)
        return (torch.ones_like(scale) if at > 0 else none), none, none
    a = (at - mean) / scale
    density = torch.exp(-a.square() / 2) / math.sqrt(2 * math.pi)
    return torch.special.ndtr(a), density, a * density


def quadrature(x: Moments, evaluate: Evaluate, *, smooth: bool) -> Response:
    """Any function, by the midpoint rule over ±7 standard deviations, which converges exponentially where it is smooth.

    A kink costs up to a node's share: functions that are not known to be smooth get four times the nodes.
    """
    mean, deviation = x.dense_mean, x.deviation
    widest = float(deviation.max()) if deviation.numel() else 0.0
    nodes = max(2 * SPAN / FINEST, 2 * SPAN * widest / FINEST) * (1 if smooth else 4)
    nodes = min(2 * math.ceil(nodes / 2), MOST_NODES)
    step = 2 * SPAN / nodes
    weights = [math.exp(-(((n + 0.5) * step - SPAN) ** 2) / 2) for n in range(nodes)]
    total = sum(weights)
    first, second, gain = (torch.zeros_like(deviation) for _ in range(3))
    for n, weight in enumerate(weights):
        value, slope = evaluate(mean + deviation * ((n + 0.5) * step - SPAN))
        first += value * (weight / total)
        second += value.square() * (weight / total)
        if slope is not None:
            gain += slope.square() * (weight / total)
    return Response(Moments(first, (second - first.square()).clamp_min(0)), gain)


def larger(a: Moments, b: Moments) -> Moments:
    """Moments of max(a, b) of independent Gaussians (Clark, Operations Research 1961)."""
    spread = (a.variance + b.variance).sqrt()
    gap = a.dense_mean - b.dense_mean
    ratio = gap / spread.clamp_min(torch.finfo(gap.dtype).tiny)
    share = torch.where(spread > 0, torch.special.ndtr(ratio), (gap > 0).to(gap.dtype))
    density = torch.where(spread > 0, torch.exp(-ratio.square() / 2), torch.zeros_like(gap)) / math.sqrt(2 * math.pi)
    first = a.dense_mean * share + b.dense_mean * (1 - share) + spread * density
    both = (a.dense_mean + b.dense_mean) * spread * density
    second = a.second * share + b.second * (1 - share) + both
    return Moments(first, (second - first.square()).clamp_min(0))
