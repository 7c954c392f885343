"""The networks of the atlas: all classifiers of torchvision, and of each family of timm those of small names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import timm
import torch
import torchvision
from torch import nn

from benchmarks.timm_networks import SEED, Features, families, plain

SIDE = 224  # pixels of the input
OF_A_FAMILY = 4  # networks of each family of timm
SIZE_WORDS = (  # of names, the smallest first
    {"zepto", "atto", "femto", "pico"}, {"nano", "micro", "xxt", "xxs", "xxsmall"}, {"mini", "xt", "xs", "xsmall"},
    {"tiny", "t", "ti", "lite", "pt"}, {"small", "s"}, {"medium", "m"}, {"base", "b"},
    {"large", "l", "xl", "xlarge", "huge", "h", "giant", "gigantic", "g", "so150m", "so400m", "x"},
)  # fmt: skip
UNNAMED = 4  # the rank of a name without such a word: that of small
LIGHT = 4.6  # G multiply-adds of a network of torchvision that comes before timm


@dataclass(frozen=True)
class Entry:
    """One network of the atlas: the library that builds it, its family there, and its name."""

    source: str  # torchvision or timm
    family: str
    network: str


PUBLISHED = (  # whose TRF Araujo et al. 2019 give, beside those that are among the others
    Entry("timm", "efficientnet", "mobilenetv1_100"),
    Entry("torchvision", "inception", "inception_v3"),
    Entry("timm", "inception_v4", "inception_v4"),
    Entry("torchvision", "resnet", "resnet101"),
    Entry("torchvision", "vgg", "vgg16"),
    Entry("torchvision", "resnet", "resnet152"),
)


def entries() -> Iterator[Entry]:
    """The light networks of torchvision, PUBLISHED, the first of each family of timm, the second …, the heavy."""
    light, heavy = _of_torchvision()
    yield from [*light, *PUBLISHED]
    for rank in range(OF_A_FAMILY):
        for family in families():
            names = of_family(family)[rank : rank + 1]
            yield from (entry for name in names if (entry := Entry("timm", family, name)) not in PUBLISHED)
    yield from (entry for entry in heavy if entry not in PUBLISHED)


def _of_torchvision() -> tuple[list[Entry], list[Entry]]:
    """Those of up to LIGHT multiply-adds (as torchvision gives them, at its own input size), and the others."""
    cost = {name: _published_macs(name) for name in torchvision.models.list_models(module=torchvision.models)}
    chosen = [_torchvision_entry(name) for name in sorted(cost, key=lambda name: (cost[name], name))]
    count = sum(macs <= LIGHT for macs in cost.values())
    return chosen[:count], chosen[count:]


def _published_macs(name: str) -> float:
    weights = list(torchvision.models.get_model_weights(name))
    return min(float(one.meta["_ops"]) for one in weights)


def _torchvision_entry(name: str) -> Entry:
    builder = torchvision.models.get_model_builder(name)
    return Entry("torchvision", builder.__module__.rsplit(".", 1)[-1], name)


def of_family(family: str) -> list[str]:
    """Up to OF_A_FAMILY architectures of a family, those first whose names promise to be small: none is built here."""
    names = [name for name in timm.list_models(module=family) if not name.startswith("test_")]
    return sorted(names, key=_promise)[:OF_A_FAMILY]


def _promise(name: str) -> tuple[int, list[int], str]:
    """The size that a name speaks of: by its word, then by its numbers (b0 before b1, 18 before 34)."""
    words = re.split("[^a-z0-9]|(?<=[a-z])(?=[0-9])", name)
    if re.search("[0-9]{3}m", name):  # hundreds of millions of parameters
        words.append("large")
    sizes = [rank for rank, same in enumerate(SIZE_WORDS) if not same.isdisjoint(words)]
    return max(sizes, default=UNNAMED), [int(number) for number in re.findall("[0-9]+", name)], name


def built(entry: Entry) -> nn.Module:
    """The network in evaluation mode, with the random weights of SEED."""
    if entry.source == "timm":
        return Features(plain(entry.network, SIDE)).eval()
    torch.manual_seed(SEED)
    return torchvision.models.get_model(entry.network, weights=None).eval()


def versions() -> str:
    """What the networks were built with."""
    return f"timm {timm.__version__}, torchvision {torchvision.__version__}, torch {torch.__version__}"
