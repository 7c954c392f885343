"""Gridding and checkerboards: does the map repeat at the network's strides or dilations?

A map that lives on every p-th pixel is an envelope times a comb, and the comb copies the spectrum's peak from
frequency 0 to the multiples of 1/p. So the score is the energy of the highest such copy relative to that of
the peak.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from erfscope_engine.metrics.moments import Moments
from erfscope_engine.metrics.patch import Array, Patch

DILATIONS = range(2, 9)  # a dilation leaves no trace in the stride, so its usual periods are always looked at
MOST_MULTIPLES = 16  # of one period: a comb has the same copy at all of them
ENVELOPE = 1e-3  # a Gaussian of the map's moments has less energy than this at every frequency looked at


@dataclass(frozen=True)
class Lattice:
    """The score in [0, 1], and the frequency (cycles per pixel, per axis) of the copy that gives it."""

    score: float
    frequency: tuple[float, ...]


def lattice(patch: Patch, measured: Moments | None) -> Lattice | None:
    """Strongest |M(f)|² / |M(0)|², less a Gaussian envelope's share; None for a map too narrow to tell.

    M is the map's Fourier transform; every component of f is 0 or a multiple of 1/p, p = 2 … 8 or the axis'
    stride, f is not 0, and a Gaussian of the map's covariance has |G(f)|² < 0.001, so that the envelope does
    not reach it. 0 for a smooth map (a uniform box has side lobes below 0.05), 1 for a strict lattice,
    whatever its pattern.
    """
    if measured is None:
        return None
    half = [frequencies(stride) for stride in patch.geometry.stride]
    # a real map has |M(-f)| = |M(f)|: all signs on all axes but the last
    axes = [np.concatenate([-f[1:][::-1], f]) for f in half[:-1]] + half[-1:]
    energy = np.abs(_transform(patch, half) / patch.mass) ** 2
    envelope = _envelope(axes, measured.covariance)
    score = np.where(envelope < ENVELOPE, (energy - envelope) / (1 - np.minimum(envelope, ENVELOPE)), -1.0)
    best = np.unravel_index(int(score.argmax()), score.shape)
    if envelope[best] >= ENVELOPE:
        return None
    frequency = tuple(abs(float(f[i])) for f, i in zip(axes, best, strict=True))
    return Lattice(float(np.clip(score[best], 0.0, 1.0)), frequency)


def frequencies(stride: float | None) -> Array:
    """Frequencies from 0 to 1/2 that are looked at on an axis of this stride."""
    periods = [float(p) for p in DILATIONS]
    if stride is not None and stride >= 2:
        periods.append(stride)
    multiples = [k / p for p in periods for k in range(1, min(int(p / 2), MOST_MULTIPLES) + 1)]
    return np.unique([0.0, *multiples])


def _transform(patch: Patch, half: list[Array]) -> npt.NDArray[np.complex128]:
    """M at the product of the axes' frequencies, with both signs on all axes but the last.

    Axis by axis; the phase of the origin drops out.
    """
    result: npt.NDArray[Any] = patch.values
    for axis, (n, f) in enumerate(zip(patch.values.shape, half, strict=True)):
        cosines, sines = _waves(n, f.tobytes())
        # two real products for the first axis, the large one: a complex one would cost four
        parts = [np.tensordot(result, wave, axes=(0, 0)) for wave in (cosines, sines)]
        falling = parts[0] - 1j * parts[1]
        if axis < len(half) - 1:
            rising = parts[0] + 1j * parts[1]
            falling = np.concatenate([rising[..., 1:][..., ::-1], falling], axis=-1)
        result = falling
    return result


@lru_cache(maxsize=8)
def _waves(n: int, frequencies: bytes) -> tuple[Array, Array]:
    """Cosines and sines of the frequencies at pixels 0 … n − 1; maps of one unit are all on the same pixels."""
    phase = 2 * np.pi * np.outer(np.arange(n), np.frombuffer(frequencies))
    return np.cos(phase), np.sin(phase)


def _envelope(axes: list[Array], covariance: Array) -> Array:
    """|G(f)|² of a Gaussian of this covariance."""
    exponent = np.zeros([len(f) for f in axes])
    for a, b in product(range(len(axes)), repeat=2):
        column = [np.expand_dims(f, tuple(i for i in range(len(axes)) if i != k)) for k, f in enumerate(axes)]
        exponent = exponent + column[a] * column[b] * covariance[a, b]
    return np.asarray(np.exp(-4 * np.pi**2 * np.maximum(exponent, 0.0)))
