"""One trial: a network trained on objects of one size, what it then gets right, and its receptive fields."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.objects.networks import Contender
from erfscope_reproduce.objects.scenes import Batch, batches
from erfscope_reproduce.training import fit

if TYPE_CHECKING:
    from torch import Tensor

    from erfscope_engine.network import Network

TESTS = 1_000_000  # the first scene that no training sees
SETTLED = 8
METRICS = ("erf_size", "mass_50_side", "r90")


@dataclass(frozen=True)
class Trial:
    """What one training gave; sizes in pixels, of the unit in the middle, on scenes of the test set."""

    network: str
    family: str
    radius: int
    seed: int
    iou: float  # of the insides, over the test scenes
    trf: float
    erf_size: float
    mass_50_side: float
    r90: float
    erf_untrained: float
    steps: int

    def over_object(self, metric: str) -> float:
        """A size of the receptive field over the object's diameter."""
        size: float = getattr(self, metric)
        return size * (2 if metric == "r90" else 1) / (2 * self.radius)


@dataclass(frozen=True)
class Effort:
    """How much a trial costs: training steps, scenes a step, scenes of the test, inputs of a measurement."""

    steps: int
    batch: int
    tests: int
    inputs: int


def trial(bench: Bench, contender: Contender, radius: int, seed: int, effort: Effort) -> Trial:
    """Train and measure; a trial that the bench's folder of finished ones has is read from it."""
    earlier = finished(bench, contender, radius, seed, effort)
    if earlier is not None:
        return earlier
    fresh = _run(bench, contender, radius, seed, effort)
    place = _place(bench.resume, contender.name, radius, seed, effort)
    if place is not None:
        _write(place, json.dumps(asdict(fresh)))
    return fresh


def finished(bench: Bench, contender: Contender, radius: int, seed: int, effort: Effort) -> Trial | None:
    """The trial that the bench's folder of finished ones has; None where it has none."""
    place = _place(bench.resume, contender.name, radius, seed, effort)
    return Trial(**json.loads(place.read_text("utf-8"))) if place is not None and place.is_file() else None


def _place(folder: Path | None, name: str, radius: int, seed: int, effort: Effort) -> Path | None:
    if folder is None:
        return None
    amounts = "-".join(str(value) for value in asdict(effort).values())
    return folder / "objects" / f"{name}-r{radius}-s{seed}-{amounts}.json"


def _write(place: Path, text: str) -> None:
    """Whole or not at all: a run may be stopped at any time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, place)


def _run(bench: Bench, contender: Contender, radius: int, seed: int, effort: Effort) -> Trial:
    network = fit.drawn(contender.architecture(), seed)
    fit.lay_out(network)
    training = batches(radius, effort.batch, first=seed * 100_000)
    fit.settle(network, training, SETTLED)
    before = _shot(bench, network, contender, radius, effort)
    fit.train(network, training, effort.steps, loss, lambda share: None)
    fit.settle(network, training, SETTLED)
    after = _shot(bench, network, contender, radius, effort)
    sizes = {name: after.quantity(name).value for name in METRICS}
    return Trial(
        network=contender.name,
        family=contender.family,
        radius=radius,
        seed=seed,
        iou=_iou(network, radius, effort),
        trf=float(np.prod(after.result.trf.size) ** (1 / len(after.result.trf.size))),
        erf_untrained=before.quantity("erf_size").value,
        steps=effort.steps,
        **sizes,
    )


def loss(out: "Tensor", truth: "Tensor") -> "Tensor":
    """Cross entropy at every pixel."""
    from torch.nn import functional

    return functional.cross_entropy(out, truth)


def _shot(bench: Bench, network: "Network", contender: Contender, radius: int, effort: Effort) -> Shot:
    images, _ = next(batches(radius, effort.inputs, first=TESTS))
    return bench.measure_network(network, contender.name, list(images), inputs=effort.inputs)


def _iou(network: "Network", radius: int, effort: Effort) -> float:
    """The IoU over so many test scenes."""
    return iou_of(network, islice(batches(radius, effort.batch, first=TESTS), -(-effort.tests // effort.batch)))


def iou_of(network: "Network", tests: Iterable[Batch]) -> float:
    """Intersection over union of the insides, counted over all scenes; 0 where there is no inside."""
    import torch

    both = either = 0
    with torch.no_grad():
        for images, truth in tests:
            inside = fit.forward(network, images).argmax(1).numpy() == 1
            both += int((inside & (truth == 1)).sum())
            either += int((inside | (truth == 1)).sum())
    return both / either if either else 0.0
