"""Re-draws the weights of an ONNX network: what its layers hold as constants, by the same schemes as a spec's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from erfscope_contract.architecture import Init, InitOptions
from erfscope_contract.request import Weights
from erfscope_engine.network import Redraw, Spread
from erfscope_intake.onnx_graph import Program, Step, all_steps
from erfscope_intake.spec.schemes import box_rim, fill_bias, fill_weight, stream
from erfscope_intake.spec.spread import spread_bias, spread_weight

# Operator → its constants by position: the weight, and how it must be turned to (out, in, *taps); the bias behind it.
LAYERS: dict[str, Callable[[Step], bool]] = {
    "Conv": lambda step: False,
    "ConvTranspose": lambda step: False,
    "Gemm": lambda step: not step.node.int("transB", 0),
    "MatMul": lambda step: True,
}
# Normalisations go back to what they are before training: inputs 1 … 4 are scale, shift, mean, variance.
NORMALISATIONS = ("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization")
IDENTITY = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Weight:
    """A constant to draw: its neutral name, whether it is stored input-first, its bias."""

    name: str
    turned: bool
    bias: str | None


def redraw_of(program: Program, weights: Weights, seed: int) -> Redraw:
    """A function that gives every weight of `program` its value of a draw: it depends on (seed, draw, weight).

    Convolutions and dense layers follow the scheme, normalisations are reset, other constants stay as they are.
    """
    options = InitOptions(scheme=Init(weights.value))
    found = list(drawable(program))

    def redraw(draw: int) -> None:
        for number, weight in enumerate(found):
            _draw(program, weight, options, (seed, draw, number))
        for name, value in _resets(program):
            program.working[name] = torch.full_like(program.working[name], value)

    return redraw


def weights_of(program: Program, weights: Weights) -> Callable[[], list[Tensor]]:
    """A function that lists the tensors of `program` that differ between draws, as they are now, in one order."""
    found = list(drawable(program))
    names = [weight.name for weight in found]
    if weights is Weights.DEFAULT:
        names += [weight.bias for weight in found if weight.bias is not None]
    return lambda: [program.working[name] for name in dict.fromkeys(names)]


def spread_of(program: Program, weights: Weights) -> Spread:
    """A function that puts the standard deviation of its scheme in the place of every weight of `program`."""
    options = InitOptions(scheme=Init(weights.value))
    found = list(drawable(program))

    def spread() -> None:
        for weight in found:
            _spread(program, weight, options)
        for name, value in _resets(program):
            program.working[name] = torch.full_like(program.working[name], value)

    return spread


def _spread(program: Program, weight: Weight, options: InitOptions) -> None:
    stored = program.working[weight.name]
    deviations = torch.empty(_drawn_shape(stored, weight), dtype=torch.float64)
    spread_weight(deviations, options, box_rim(tuple(deviations.shape[2:])), weight.name)
    program.working[weight.name] = (deviations.transpose(-1, -2) if weight.turned else deviations).to(stored)
    if weight.bias is not None:
        bias = torch.empty(program.working[weight.bias].shape, dtype=torch.float64)
        spread_bias(bias, deviations, options)
        program.working[weight.bias] = bias.to(stored)


def _drawn_shape(stored: Tensor, weight: Weight) -> tuple[int, ...]:
    """The shape of a weight as it is drawn: output first."""
    return (*stored.shape[:-2], stored.shape[-1], stored.shape[-2]) if weight.turned else tuple(stored.shape)


def _draw(program: Program, weight: Weight, options: InitOptions, key: tuple[int, ...]) -> None:
    """New tensors in the old ones' places: the old may be views of each other."""
    stored = program.working[weight.name]
    drawn = torch.empty(_drawn_shape(stored, weight), dtype=torch.float64)
    fill_weight(drawn, options, stream(*key, "weight"), box_rim(tuple(drawn.shape[2:])))
    program.working[weight.name] = (drawn.transpose(-1, -2) if weight.turned else drawn).to(stored)
    if weight.bias is not None:
        bias = torch.empty(program.working[weight.bias].shape, dtype=torch.float64)
        fill_bias(bias, drawn, options, stream(*key, "bias"))
        program.working[weight.bias] = bias.to(stored)


def drawable(program: Program) -> Iterator[Weight]:
    """Each drawable constant once, in the order of the nodes."""
    seen: set[str] = set()
    for step in all_steps(program):
        turned = LAYERS.get(step.node.operator)
        if turned is None or not step.follows_input or len(step.inputs) < 2:
            continue
        name = step.inputs[1]
        if name in program.working and name not in seen and _is_weight(program.working[name]):
            seen.add(name)
            bias = step.inputs[2] if len(step.inputs) > 2 and step.inputs[2] in program.working else None
            yield Weight(name, turned(step), bias)


def _is_weight(value: Tensor) -> bool:
    return value.is_floating_point() and value.dim() >= 2


def _resets(program: Program) -> Iterator[tuple[str, float]]:
    for step in all_steps(program):
        if step.node.operator in NORMALISATIONS:
            for name, value in zip(step.inputs[1:], IDENTITY, strict=False):
                if name in program.working:
                    yield name, value
