"""The networks of the atlas: every classifier of torchvision, and of each family of timm those with fewest weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import timm
import torch
import torchvision
from torch import nn

from benchmarks.children import in_child
from benchmarks.timm_networks import SEED, Features, by_parameters, families, plain

SIDE = 224  # pixels of the input
LISTING_LIMIT = 600.0  # seconds to build a family without memory
OF_A_FAMILY = 3  # networks of each family of timm


@dataclass(frozen=True)
class Entry:
    """One network of the atlas: the library that builds it, its family there, and its name."""

    source: str  # torchvision or timm
    family: str
    network: str


def entries() -> Iterator[Entry]:
    """The networks one by one: a family of timm is built, without memory, only when it is reached."""
    for name in torchvision.models.list_models(module=torchvision.models):
        builder = torchvision.models.get_model_builder(name)
        yield Entry("torchvision", builder.__module__.rsplit(".", 1)[-1], name)
    for family in families():
        ending = in_child(_smallest, family, limit=LISTING_LIMIT)  # the parent of forks must not run an operator
        if ending.failure:
            raise RuntimeError(f"the networks of timm's family {family} cannot be listed: {ending.words}")
        for name in ending.value:
            yield Entry("timm", family, name)


def _smallest(family: str) -> list[str]:
    return [name for _, name in by_parameters(family)[:OF_A_FAMILY]]


def built(entry: Entry) -> nn.Module:
    """The network in evaluation mode, with the random weights of SEED."""
    if entry.source == "timm":
        return Features(plain(entry.network, SIDE)).eval()
    torch.manual_seed(SEED)
    return torchvision.models.get_model(entry.network, weights=None).eval()


def versions() -> str:
    """What the networks were built with."""
    return f"timm {timm.__version__}, torchvision {torchvision.__version__}, torch {torch.__version__}"
