"""Whether the weights of an ONNX file look untrained: what normalisations and layers hold before any training."""

import math
from collections.abc import Iterable

from torch import Tensor

from erfscope_intake.onnx_draw import Weight, drawable
from erfscope_intake.onnx_graph import Program, all_steps
from erfscope_intake.spec.schemes import fans

NOTE = (
    "These weights look untrained: {why}. The ERF of trained weights may differ. Give the file of the trained network, "
    "or choose drawn weights (`weights`, --weights) to measure the architecture alone."
)
NORMALISED = "all batch normalisations have the values that they start with (mean 0, variance 1)"
DRAWN = "all layers have weights and biases as a usual initialisation draws them"
START = (0.0, 0.0, 1.0)  # shift, mean and variance of a batch normalisation; its scale may start with 0, too
FEWEST_LAYERS = 3  # fewer may be like a fresh draw by chance
FEWEST_WEIGHTS = 256  # a smaller layer tells nothing about its distribution
TOLERANCE = 4.0  # standard errors of a deviation or a kurtosis
NORMAL, UNIFORM = 3.0, 1.8  # kurtosis


def notes_on_training(program: Program) -> list[str]:
    """A note where nothing of the program has ever been trained; none where a part of it may have been.

    Sums over all weights are taken only of a network whose biases are as they start: of a trained one, this is quick.
    """
    normalised = _norms_at_start(program)
    if normalised is not None:
        return [NOTE.format(why=NORMALISED)] if normalised else []
    layers = [one for one in drawable(program) if program.working[one.name].numel() >= FEWEST_WEIGHTS]
    if len(layers) < FEWEST_LAYERS or not any(one.bias for one in layers):
        return []
    return [NOTE.format(why=DRAWN)] if all(_is_fresh(program, one) for one in layers) else []


def is_on_training(note: str) -> bool:
    """Whether a note is about training: where nothing is measured it tells nothing."""
    return note.startswith(NOTE.partition(":")[0])


def _norms_at_start(program: Program) -> bool | None:
    """Whether all batch normalisations are; None where there is none with constants."""
    norms = [
        [program.working[name] for name in step.inputs[2:5]]
        for step in all_steps(program)
        if step.node.operator == "BatchNormalization" and all(name in program.working for name in step.inputs[1:5])
    ]
    return all(_are(values) for values in norms) if norms else None


def _are(values: Iterable[Tensor]) -> bool:
    return all(bool((value == start).all()) for value, start in zip(values, START, strict=True))


def _is_fresh(program: Program, layer: Weight) -> bool:
    """Whether a layer's weights have the kurtosis and the deviation of a usual draw, and its biases their start."""
    stored = program.working[layer.name]
    fan_in, fan_out = fans(stored.transpose(-1, -2).shape if layer.turned else stored.shape)
    bias = None if layer.bias is None else program.working[layer.bias]
    if bias is not None and bool((bias.abs() > 1.001 / math.sqrt(fan_in)).any()):
        return False  # torch draws biases below this, all others start with 0
    is_zero = bias is None or not bool(bias.any())
    squares, count = stored.double().square(), stored.numel()
    variance = float(squares.mean())
    kurtosis = float(squares.square().mean()) / variance**2 if variance else 0.0
    if _is_near(kurtosis, UNIFORM, TOLERANCE * UNIFORM / math.sqrt(count)):
        usual, error = [1 / (3 * fan_in), 2 / fan_in, 2 / (fan_in + fan_out)], math.sqrt(0.8 / count)
    elif is_zero and _is_near(kurtosis, NORMAL, TOLERANCE * math.sqrt(24 / count)):
        usual = [1 / fan_in, 2 / fan_in, 1 / fan_out, 2 / fan_out, 2 / (fan_in + fan_out), 0.02**2, 0.01**2]
        error = math.sqrt(2 / count)
    else:
        return False
    return any(_is_near(variance, one, TOLERANCE * error * one) for one in usual)


def _is_near(value: float, wanted: float, margin: float) -> bool:
    return abs(value - wanted) <= margin + 1e-3 * wanted
