"""A training by epochs that goes on where it was stopped, and looks at the ERF along the way."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erfscope._errors import refuse
from erfscope_reproduce.bench import Shot
from erfscope_reproduce.training import fit
from erfscope_reproduce.training.moments import Moment, store, stored
from erfscope_reproduce.training.recipe import Course, Recipe, epoch, optimiser
from erfscope_reproduce.training.store import replaced

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from erfscope_engine.network import Network

Look = Callable[["Network", int], dict[str, Shot]]  # the network and its steps → its ERF in each view
Hear = Callable[[str, float], None]
CHECKPOINT = "checkpoint.pt"
LOOKS = (0.0, 0.07, 0.14, 0.25, 0.4, 0.6, 0.8, 1.0)  # shares of the epochs after which the ERF is measured


@dataclass(frozen=True)
class Training:
    """One network to be trained; `folder` keeps what a later run goes on from (None: nothing is kept)."""

    network: "Network"
    course: Course
    recipe: Recipe
    seed: int
    folder: Path | None
    moments: dict[int, Moment] = field(default_factory=dict)  # by epochs done, of this run
    losses: list[float] = field(default_factory=list)  # of each epoch


def folder_of(resume: Path | None, name: str, recipe: Recipe, seed: int) -> Path | None:
    """The folder of one training: another recipe, another folder."""
    if resume is None:
        return None
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()[:8]
    return resume / f"{name}-{recipe.epochs}-epochs-seed-{seed}-{digest}"


def looked_at(epochs: int) -> list[int]:
    """The epochs after which the ERF is measured: the first, the last, and some between."""
    return sorted({round(share * epochs) for share in LOOKS})


def follow(training: Training, look: Look, hear: Hear) -> list[Moment]:
    """Train to the last epoch, from the checkpoint where there is one; the moments along the way."""
    epochs = training.recipe.epochs
    steps_by = optimiser(training.network, training.recipe)
    first = _restore(training, steps_by)
    clock = _Clock(first, epochs)
    _look_if_due(training, first, look)
    for number in range(first, epochs):

        def told(share: float, number: int = number) -> None:
            hear(clock.words(number + share), (number + share) / epochs)

        loss = epoch(training.network, training.course, training.recipe, steps_by, number, training.seed, told)
        _keep(training, steps_by, number + 1, loss)
        _look_if_due(training, number + 1, look)
    return [_looked(training, number) for number in looked_at(epochs)]


def _looked(training: Training, number: int) -> Moment:
    place = _place(training, number)
    return training.moments[number] if place is None else stored(place)


class _Clock:
    """How long the rest takes, at the pace since this run began."""

    def __init__(self, first: int, epochs: int) -> None:
        self.first, self.epochs, self.start = first, epochs, time.monotonic()

    def words(self, done: float) -> str:
        """`epoch 3 of 15, 42 min left`."""
        left = (time.monotonic() - self.start) / max(done - self.first, 1e-6) * (self.epochs - done)
        return f"epoch {min(int(done) + 1, self.epochs)} of {self.epochs}, {max(1, round(left / 60))} min left,"


def _look_if_due(training: Training, number: int, look: Look) -> None:
    """Measure after epoch `number`, unless it is not due or was measured by an earlier run."""
    place = _place(training, number)
    if number not in looked_at(training.recipe.epochs) or (place is not None and place.is_file()):
        return
    fit.settle(training.network, training.course.batches(np.random.default_rng([training.seed, number, 1])))
    step = number * training.course.steps
    moment = Moment(step, training.course.score(training.network), look(training.network, step))
    training.moments[number] = moment
    if place is not None:
        store(moment, place)


def _place(training: Training, number: int) -> Path | None:
    return None if training.folder is None else training.folder / f"epoch-{number:03}.json"


def _keep(training: Training, steps_by: "Optimizer", done: int, loss: float) -> None:
    """The checkpoint after `done` epochs, in place of the one before; the losses of all epochs beside it."""
    import torch

    training.losses.append(loss)
    if training.folder is None:
        return
    state = {
        "epochs": done,
        "recipe": asdict(training.recipe),
        "seed": training.seed,
        "losses": training.losses,
        "weights": [module.state_dict() for module in fit.modules(training.network)],
        "optimiser": steps_by.state_dict(),
        "random": torch.get_rng_state(),
    }
    with replaced(training.folder / CHECKPOINT) as partial:
        torch.save(state, partial)


def _restore(training: Training, steps_by: "Optimizer") -> int:
    """Put the checkpoint's state in place; the number of epochs that are done."""
    import torch

    place = training.folder / CHECKPOINT if training.folder else None
    if place is None or not place.is_file():
        return 0
    state: dict[str, Any] = torch.load(place, weights_only=True)
    if state["recipe"] != asdict(training.recipe) or state["seed"] != training.seed:
        raise refuse(
            "bad-request", f"{place} is the checkpoint of another recipe or seed: give another --resume folder"
        )
    for module, weights in zip(fit.modules(training.network), state["weights"], strict=True):
        module.load_state_dict(weights)
    steps_by.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"])
    training.losses[:] = state["losses"]
    return int(state["epochs"])
