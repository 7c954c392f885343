"""Whether the weights of a network look untrained: what normalisations and layers hold before any training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from erfscope_contract.untrained import LOOK_UNTRAINED

NOTE = LOOK_UNTRAINED + ": {why}. The ERF of trained weights may differ. {advice}"
OF_A_MODULE = (
    "Load trained weights into the module before it is measured; to measure the architecture alone, average over "
    "draws: `measure(make, shape, draws=16)`, where make() returns a new module."
)
NORMALISED = "all batch normalisations have the values that they start with (mean 0, variance 1)"
DRAWN = "all layers have weights and biases as a usual initialisation draws them"
START = (0.0, 0.0, 1.0)  # shift, mean and variance of a batch normalisation; its scale may start with 0, too
FEWEST_LAYERS = 3  # fewer may be like a fresh draw by chance
FEWEST_WEIGHTS = 256  # a smaller layer tells nothing about its distribution
MOST_WEIGHTS = 1 << 16  # of a layer, at equal distances: they tell its distribution as well as all would
TOLERANCE = 4.0  # standard errors of a deviation or a kurtosis
NORMAL, UNIFORM = 3.0, 1.8  # kurtosis
DENSE = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class Weights:
    """The weights of a convolution or a dense layer, how many inputs and outputs each counts, and the layer's bias."""

    weight: Tensor
    fan_in: int
    fan_out: int
    bias: Tensor | None


def note_on_module(module: nn.Module) -> list[str]:
    """The note where nothing of a module has ever been trained; none where a part of it may have been."""
    if any(parameter.is_meta or is_lazy(parameter) for parameter in module.parameters()):
        return []  # there are no numbers
    norms = [
        (norm.bias, norm.running_mean, norm.running_var)
        for norm in module.modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None
    ]
    dense = [layer for layer in module.modules() if isinstance(layer, DENSE) and _holds_its_weight(layer)]
    layers = [
        Weights(layer.weight, layer.weight[0].numel(), layer.weight.numel() // layer.weight.shape[1], layer.bias)
        for layer in dense
    ]
    return note_on(norms, layers, OF_A_MODULE)


def _holds_its_weight(layer: nn.Module) -> bool:
    """Whether a layer's weight is a parameter: one of a parametrisation is computed, which moves a spectral norm."""
    weight = layer._parameters.get("weight")
    return weight is not None and weight.dim() > 1


def note_on(norms: Sequence[Sequence[Tensor | None]], layers: Sequence[Weights], advice: str) -> list[str]:
    """The note; `norms` are shift, mean and variance of each batch normalisation, `advice` is what to do.

    Sums over weights are taken only of a network whose biases are as they start: of a trained one, this is quick.
    """
    if norms:
        return [NOTE.format(why=NORMALISED, advice=advice)] if all(map(_is_at_start, norms)) else []
    large = [
        one for one in layers if one.weight.numel() >= FEWEST_WEIGHTS and bool(_some(one.weight).any())
    ]  # a head may be 0
    if len(large) < FEWEST_LAYERS or all(one.bias is None for one in large):
        return []
    return [NOTE.format(why=DRAWN, advice=advice)] if all(map(_is_fresh, large)) else []


def _is_at_start(values: Sequence[Tensor | None]) -> bool:
    return all(value is None or bool((value == start).all()) for value, start in zip(values, START, strict=True))


def _is_fresh(layer: Weights) -> bool:
    """Whether a layer's weights have the kurtosis and the deviation of a usual draw, and its biases their start."""
    fan_in, fan_out, bias = layer.fan_in, layer.fan_out, layer.bias
    if bias is not None and bool((bias.detach().abs() > 1.001 / math.sqrt(fan_in)).any()):
        return False  # torch draws biases below this, all others start with 0
    is_zero = bias is None or not bool(bias.any())
    weights = _some(layer.weight.detach())
    squares, count = weights.double().square(), weights.numel()
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


def _some(weight: Tensor) -> Tensor:
    """At most MOST_WEIGHTS of them, at an odd distance: rows are often 2^k long, and 2^j would meet few columns."""
    step = -(-weight.numel() // MOST_WEIGHTS)
    return weight.reshape(-1)[:: step + (step > 1 and step % 2 == 0)]


def _is_near(value: float, wanted: float, margin: float) -> bool:
    return abs(value - wanted) <= margin + 1e-3 * wanted
