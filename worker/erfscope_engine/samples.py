"""Counter-based input samples: sample k of a seed is the same array whatever the batch, the worker or the order."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from erfscope_contract.request import Source

Array = NDArray[Any]
INPUT_STREAM, CHANNEL_STREAM, OTHER_STREAM = 0, 1, 2


def stream(seed: int, k: int, kind: int) -> np.random.Generator:
    """The generator of sample `k`: Philox (Salmon et al., SC 2011) keyed by seed and sample, a block per kind."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, k], np.uint64), counter=[0, 0, 0, kind]))


def _normal(shape: tuple[int, ...], seed: int, k: int) -> Array:
    return stream(seed, k, INPUT_STREAM).standard_normal(shape, np.float32)


def _uniform(shape: tuple[int, ...], seed: int, k: int) -> Array:
    return stream(seed, k, INPUT_STREAM).random(shape, np.float32)


DISTRIBUTIONS: dict[Source, Callable[[tuple[int, ...], int, int], Array]] = {
    Source.NORMAL: _normal,
    Source.UNIFORM: _uniform,
    Source.ZEROS: lambda shape, seed, k: np.zeros(shape, np.float32),
    Source.ONES: lambda shape, seed, k: np.ones(shape, np.float32),
}


def draw(source: Source, shape: tuple[int, ...], seed: int, k: int, images: Sequence[Array]) -> Array:
    """Input sample `k` of `shape` (no batch), float32; images are taken in turn."""
    if source is Source.IMAGES:
        return images[k % len(images)]
    return DISTRIBUTIONS[source](shape, seed, k)


def signs(shape: tuple[int, ...], seed: int, k: int) -> Array:
    """Random signs of sample `k` for the output channels."""
    return stream(seed, k, CHANNEL_STREAM).integers(0, 2, shape).astype(np.float32) * 2 - 1


def other_input(shape: tuple[int, ...], k: int) -> Tensor:
    """What input number `k` of a network with several is fed while another one is measured: normal numbers."""
    return torch.from_numpy(stream(0, k, OTHER_STREAM).standard_normal(shape, np.float32))
