"""Steps that compare features: cost volumes, kernels that the features make, similarity, bilinear forms."""

from itertools import product
from random import Random
from typing import Any

import torch
from tests.engine.steps.step import CHANNELS, EDGES, NOT_ONNX, TABLE, Fn, Place, Step, same_conv, step
from torch import Tensor, nn
from torch.nn import functional as F


@TABLE.add("neighbours", (1, 2))
def cost_volume(random: Random, at: Place) -> Step:
    """Products with each neighbour as channels (FlowNet, PWC-Net), and the same by a sum of columns."""
    reach = random.choice([1, 2])
    shifts = list(product(range(2 * reach + 1), repeat=at.rank))
    mixed = nn.Conv1d if at.rank == 1 else nn.Conv2d

    def volume(conv: Any, x: Tensor) -> Tensor:
        around = F.pad(x, (reach, reach) * at.rank)
        return conv(torch.cat([((x + 1.5) * _at(around, shift, x)).mean(1, keepdim=True) for shift in shifts], 1))

    def written(conv: Any, x: Tensor) -> Tensor:
        around = F.pad(x, (reach, reach) * at.rank)
        volumes = x.new_zeros(len(x), len(shifts), *x.shape[2:])
        for k, shift in enumerate(shifts):
            volumes[:, k] = ((x + 1.5) * _at(around, shift, x)).mean(1)
        return conv(volumes)

    parts = mixed(len(shifts), CHANNELS, 1)
    return step(Fn(volume, parts), Fn(written, parts), EDGES, NOT_ONNX)


def _at(around: Tensor, shift: tuple[int, ...], x: Tensor) -> Tensor:
    for axis, (start, extent) in enumerate(zip(shift, x.shape[2:], strict=True), start=2):
        around = around.narrow(axis, start, extent)
    return around


@TABLE.add("neighbours", (2,))
def involution(random: Random, at: Place) -> Step:
    """A kernel for each place, made of the features there (Li et al. 2021), over columns and over shifts."""
    make = nn.Conv2d(at.channels, 9, 1)

    def columns(kernel: Any, x: Tensor) -> Tensor:
        taken = F.unfold(x, 3, padding=1).view(*x.shape[:2], 9, *x.shape[2:])
        return (taken * kernel(x).unsqueeze(1)).sum(2)

    def shifted(kernel: Any, x: Tensor) -> Tensor:
        around, weights = F.pad(x, (1, 1, 1, 1)), kernel(x)
        parts = [_at(around, (k // 3, k % 3), x) * weights[:, k : k + 1] for k in range(9)]
        return torch.stack(parts).sum(0)

    return step(Fn(columns, make), Fn(shifted, make), NOT_ONNX)


@TABLE.add("neighbours")
def similarity(random: Random, at: Place) -> Step:
    """The cosine between two views of the features: torch bounds the norms behind autograd's back."""
    conv = same_conv(at.rank, at.channels, CHANNELS, 3)
    other = same_conv(at.rank, at.channels, CHANNELS, 3)

    def cosine(a: Any, b: Any, x: Tensor) -> Tensor:
        return a(x) * F.cosine_similarity(a(x), b(x), dim=1).unsqueeze(1)

    def by_hand(a: Any, b: Any, x: Tensor) -> Tensor:
        one, two = a(x), b(x)
        lengths = one.norm(dim=1, keepdim=True) * two.norm(dim=1, keepdim=True)
        return one * ((one * two).sum(1, keepdim=True) / lengths)

    return step(Fn(cosine, conv, other), Fn(by_hand, conv, other), NOT_ONNX)


@TABLE.add("neighbours")
def bilinear_form(random: Random, at: Place) -> Step:
    """A bilinear form of two features at each place, by torch.nn.Bilinear and by einsum."""
    form = nn.Bilinear(at.channels, at.channels, CHANNELS)

    def module(f: Any, x: Tensor) -> Tensor:
        return f(x.movedim(1, -1), x.tanh().movedim(1, -1)).movedim(-1, 1)  # type: ignore[no-any-return]

    def by_einsum(f: Any, x: Tensor) -> Tensor:
        bias = f.bias.view(-1, *[1] * (x.dim() - 2))
        return torch.einsum("ni...,oij,nj...->no...", x, f.weight, x.tanh()) + bias

    return step(Fn(module, form), Fn(by_einsum, form), NOT_ONNX)
