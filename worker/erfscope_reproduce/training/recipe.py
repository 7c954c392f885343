"""The recipe of a long training: SGD with momentum, a rate that rises and falls over all steps, bfloat16 if asked."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from erfscope_reproduce.training import fit

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from erfscope_engine.network import Network

Draw = np.random.Generator


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: everything that its weights depend on but the data and the seed."""

    epochs: int
    batch: int  # images of a step
    rate: float  # the highest rate of the schedule
    rising: float = 0.2  # share of all steps in which the rate rises to it
    momentum: float = 0.9  # Nesterov's
    decay: float = 5e-4  # of all weights, those of norms too
    precision: str = "float32"  # or bfloat16: of convolutions and products; weights and norms stay float32


@dataclass(frozen=True)
class Course:
    """What is learnt: `batches` yields the `steps` batches of an epoch in the order that a generator draws."""

    name: str
    steps: int
    batches: Callable[[Draw], Iterator[fit.Batch]]
    loss: fit.Loss
    score: Callable[["Network"], float]  # on the test set, 0 … 1


def rate_at(recipe: Recipe, step: int, total: int) -> float:
    """The rate of a step: a line from 1/25 of the highest up to it, then half a cosine down to 0."""
    rising = recipe.rising * total
    if step < rising:
        return recipe.rate * (1 + 24 * step / rising) / 25
    return recipe.rate * (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2


def optimiser(network: "Network", recipe: Recipe) -> "Optimizer":
    """SGD over the network's weights, which are laid out for fast convolutions."""
    import torch

    fit.lay_out(network)
    weights = [p for module in fit.modules(network) for p in module.parameters()]
    return torch.optim.SGD(
        weights, lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay, nesterov=recipe.momentum > 0
    )


def epoch(
    network: "Network",
    course: Course,
    recipe: Recipe,
    steps_by: "Optimizer",
    number: int,
    seed: int,
    hear: Callable[[float], None],
) -> float:
    """Train epoch `number` (from 0); the mean loss. All that is random comes from the seed and the epoch's number."""
    import torch

    fit.thaw(network)
    torch.manual_seed(seed * 100_003 + number)  # dropout
    losses = []
    for index, (images, truth) in enumerate(course.batches(np.random.default_rng([seed, number]))):
        for group in steps_by.param_groups:
            group["lr"] = rate_at(recipe, number * course.steps + index, recipe.epochs * course.steps)
        steps_by.zero_grad()
        loss = course.loss(_answer(network, images, recipe), torch.from_numpy(truth))
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        steps_by.step()
        losses.append(float(loss.detach()))
        hear((index + 1) / course.steps)
    fit.freeze(network)
    return math.fsum(losses) / len(losses)


def _answer(network: "Network", images: fit.Images, recipe: Recipe) -> "Tensor":
    """The network's output in float32, computed in the recipe's precision."""
    import torch

    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        return fit.forward(network, images).float()


def quick_precision() -> str:
    """`bfloat16` where the processor computes in it, `float32` otherwise."""
    import torch

    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if has else "float32"
