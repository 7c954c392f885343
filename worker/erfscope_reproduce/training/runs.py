"""Trains an experiment's networks, by a recipe to the end or a short way, and measures them along it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from erfscope_contract.architecture import Architecture
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.training import fit
from erfscope_reproduce.training.course import Training, folder_of, follow
from erfscope_reproduce.training.moments import Moment
from erfscope_reproduce.training.recipe import Course, Recipe

if TYPE_CHECKING:
    from erfscope_engine.network import Network

Runs = list[list[Moment]]  # by trained network, by step
RECIPE = """\
The recipe: {epochs} epochs of batches of {batch}, {altered}, SGD with Nesterov momentum {momentum} and weight decay
{decay}, a rate that rises to {rate} in {rising:.0%} of the steps and falls to 0 like a cosine; convolutions in
{precision}. """


@dataclass(frozen=True)
class Trial:
    """The network that is trained, on what, and how its ERF is looked at: the network and words on it → each view."""

    architecture: Architecture
    course: Course
    look: Callable[["Network", str], dict[str, Shot]]


def by_recipe(bench: Bench, trial: Trial, recipe: Recipe, ended: Callable[["Network"], None] | None = None) -> Runs:
    """Train to the recipe's last epoch, from the checkpoints of the bench's folder; one network unless asked.

    `ended` is told the first trained network.
    """
    runs = []
    for seed in range(bench.seeds or 1):
        network = fit.drawn(trial.architecture, seed)
        runs.append(_followed(bench, trial, recipe, seed, network))
        if ended is not None and seed == 0:
            ended(network)
    return runs


def _followed(bench: Bench, trial: Trial, recipe: Recipe, seed: int, network: "Network") -> list[Moment]:
    name = trial.architecture.name
    folder = folder_of(bench.resume, name, recipe, seed)
    how = f"{name}, seed {seed}, {recipe.precision}, batch {recipe.batch}"
    return follow(
        Training(network, trial.course, recipe, seed, folder),
        lambda network, step: trial.look(network, f"{how}, {step} steps"),
        lambda words, share: bench.progress(f"seed {seed}, {words}", share),
    )


def in_words(recipe: Recipe, altered: str) -> str:
    """A sentence on the recipe; `altered` is what is done to images."""
    return RECIPE.format(altered=altered, **asdict(recipe))


def short(bench: Bench, trial: Trial, seed: int, checkpoints: Sequence[int]) -> list[Moment]:
    """Train one network for as many steps as the last checkpoint; the course's batches never end."""
    network, batches = fit.drawn(trial.architecture, seed), trial.course.batches(np.random.default_rng(seed))
    moments, step = [], 0
    for goal in checkpoints:
        fit.train(network, batches, goal - step, trial.course.loss, lambda share: bench.progress("train", share))
        fit.settle(network, batches)
        step = goal
        how = f"{trial.architecture.name}, seed {seed}, {step} steps"
        moments.append(Moment(step, trial.course.score(network), trial.look(network, how)))
    return moments
