"""The networks of timm that the matrix measures: one small member of each family, ready to be differentiated.

The rule: of a family (a module of `timm.models`) the architecture with the fewest parameters that runs at one of SIZES,
at the smallest of them where its last feature map has several units (where no size leaves several, at the smallest).
The `test_` architectures, made for timm's own tests, are left out. Weights are random, of seed 0, and scales that
close a branch before training (layer scale 1e-6, a last γ of 0) are re-drawn by `opened`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

SIZES = tuple(sorted({*range(64, 225, 8), *range(70, 225, 14)}))  # pixels; patches of 14 divide no multiple of 8
FEWEST_UNITS = 4  # of the last feature map
SMALL = 1e-3  # parameters whose entries all lie below close their branch
OPEN = (0.5, 1.5)  # the range of a re-drawn scale
NOT_SCALES = ("bias", "token", "pos", "head")  # zeros of these close nothing
SEED = 0
REFUSALS = (AssertionError, RuntimeError, ValueError, IndexError, TypeError)  # each family has its own


@dataclass(frozen=True)
class Member:
    """The architecture that stands for its family; `shape` is [C, H, W]."""

    family: str
    network: str
    shape: tuple[int, int, int]
    parameters: int


class Features(nn.Module):
    """A network up to its last feature map: what `forward_features` returns, or the last tensor of several."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> Tensor:
        """Features of images of shape [N, C, H, W], in the network's own layout."""
        return list(_tensors(self.network.forward_features(image)))[-1]


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def families() -> tuple[str, ...]:
    """The modules of `timm.models`, by name."""
    return tuple(sorted(timm.list_modules()))


def member_of(family: str) -> Member:
    """The network that stands for `family`. Raises LookupError where none runs at any of SIZES."""
    reasons = []
    for parameters, name in by_parameters(family):
        try:
            return Member(family, name, smallest_shape(name), parameters)
        except LookupError as error:
            reasons.append(str(error))
    raise LookupError("; ".join(reasons) or f"{family} has no architecture that builds without weights")


def by_parameters(family: str) -> list[tuple[int, str]]:
    """(parameters, name) of the architectures of `family`, the smallest first."""
    names = [name for name in timm.list_models(module=family) if not name.startswith("test_")]
    return sorted((_parameters(name), name) for name in names)


def _parameters(name: str) -> int:
    with torch.device("meta"):  # shapes alone: no arithmetic, no memory
        return sum(one.numel() for one in timm.create_model(name, pretrained=False).parameters())


def smallest_shape(name: str) -> tuple[int, int, int]:
    """The smallest input at which `name` runs and leaves FEWEST_UNITS. Raises LookupError with the last reason."""
    reason, alone = "", None
    for size in SIZES:
        try:
            network = plain(name, size)
            shape = (int(network.default_cfg["input_size"][0]), size, size)
            with torch.no_grad():
                features = Features(network)(torch.randn(1, *shape))
        except REFUSALS as error:
            reason = str(error).split("\n", 1)[0] or type(error).__name__
            continue
        if features.numel() >= FEWEST_UNITS * network.num_features:
            return shape
        alone = alone or shape
    if alone is None:
        raise LookupError(f"{name} runs at none of {SIZES[0]} to {SIZES[-1]} px: {reason}")
    return alone


def plain(name: str, size: int, *, fused: bool = True) -> Any:
    """The architecture for images of `size` pixels, in evaluation mode, with the random weights of SEED.

    `fused`: attention by torch's fused operator; else, where timm lets one choose, by products and a softmax.
    """
    timm.layers.set_fused_attn(fused)
    torch.manual_seed(SEED)
    try:
        network = timm.create_model(name, pretrained=False, img_size=size)
    except TypeError:  # convolutional networks take any size, and no argument for it
        torch.manual_seed(SEED)
        network = timm.create_model(name, pretrained=False)
    return network.eval()


def opened(network: nn.Module) -> int:
    """Re-draw, in place, the parameters that close a branch before training; return how many.

    They are those whose entries all lie below SMALL, but for biases, tokens, positions and heads. A scale (one number
    per channel) is uniform in OPEN, a matrix normal with variance 1 / columns; in the order of parameters, seed SEED.
    """
    generator = torch.Generator().manual_seed(SEED)
    closed = [p for name, p in network.named_parameters() if _closes(name, p)]
    with torch.no_grad():
        for parameter in closed:
            if parameter.numel() == max(parameter.shape, default=1):
                parameter.uniform_(*OPEN, generator=generator)
            else:
                parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)
    return len(closed)


def _closes(name: str, parameter: Tensor) -> bool:
    return not any(word in name for word in NOT_SCALES) and bool(parameter.abs().max() < SMALL)
