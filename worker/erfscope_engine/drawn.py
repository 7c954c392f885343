"""A function that makes a network with fresh weights, as a Network whose weights can be drawn again."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from erfscope_contract.problem import ProblemError
from erfscope_engine.network import Mark, Network

Make = Callable[[], nn.Module]


def network_of_draws(make: Make, network_of: Callable[[nn.Module], Network], *, seed: int, draws: int) -> Network:
    """The network of draw 0; `redraw(n)` puts that of draw n into its place, so every draw is recorded anew.

    `make` is called with torch's generator seeded by (seed, n), which is put back afterwards. Raises ProblemError where
    it does not give modules, or gives the same weights for two draws.
    """
    first = _drawn(make, seed, 0)
    if draws > 1 and _are_alike(first, _drawn(make, seed, 1)):
        raise ProblemError(
            "invalid-request",
            f"draws={draws}: the function gives the same weights at every call. It must draw them from torch's "
            "generator: leave torch.manual_seed and checkpoints out of it.",
        )
    beginning = network_of(first)
    now = [beginning]

    def redraw(draw: int) -> None:
        now[0] = network_of(_drawn(make, seed, draw)) if draw else beginning

    def run(x: Tensor, mark: Mark) -> object:
        return now[0].run(x, mark)

    def at(dtype: torch.dtype) -> Network:
        assert now[0].at is not None  # as of every module
        return now[0].at(dtype)

    return replace(beginning, run=run, redraw=redraw, at=at)


def _drawn(make: Make, seed: int, draw: int) -> nn.Module:
    module: object = make
    if callable(make):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((seed, draw)).generate_state(1, np.uint64)[0] >> 1))
            module = make()
    if not isinstance(module, nn.Module):
        raise ProblemError(
            "invalid-request",
            f"{type(module).__name__} is not a torch.nn.Module; give a module, or a function without arguments that "
            "returns one with fresh weights.",
        )
    return module


def _are_alike(one: nn.Module, other: nn.Module) -> bool:
    pairs = list(zip(one.state_dict().values(), other.state_dict().values(), strict=False))
    return all(torch.equal(a, b) for a, b in pairs if isinstance(a, torch.Tensor))
