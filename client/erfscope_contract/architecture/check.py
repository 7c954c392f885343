"""Checks a spec as a whole: every layer's shape and weights, bounded, with errors that name the layer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from erfscope_contract.architecture import layers as leaf
from erfscope_contract.architecture import pointwise
from erfscope_contract.architecture.axes import MisfitError, groups_of, per_axis
from erfscope_contract.architecture.base import MAX_CHANNELS, InitOptions, Weighted
from erfscope_contract.architecture.plan import INPUT, Plan, Step, plan
from erfscope_contract.architecture.shapes import RULES, Shape
from erfscope_contract.architecture.spec import Architecture
from erfscope_contract.problem import ProblemError

MAX_PARAMETERS = 2**29  # 2 GiB in float32
MAX_ELEMENTS = 2**36  # of one tensor: beyond any machine, and keeps the arithmetic here short


@dataclass(frozen=True)
class NamedShape:
    """One layer's output: unique name, type, (channels, *spatial), and the layer's number of weights."""

    name: str
    operator: str
    shape: Shape
    parameters: int


@dataclass(frozen=True)
class Checked:
    """A spec that fits together: its steps, and the output shape of each."""

    plan: Plan
    input_shape: Shape
    shapes: tuple[Shape, ...]

    def inputs(self, step: Step) -> list[Shape]:
        """The shapes that a step takes."""
        return [self.input_shape if value == INPUT else self.shapes[value] for value in step.inputs]


def check(architecture: Architecture, shape: Sequence[int] | None = None) -> list[NamedShape]:
    """Every layer's output shape, for the spec's own input or for `shape` = [C, *spatial].

    Raises ProblemError: invalid-architecture (names the layer), shape-mismatch (`shape` does not suit the
    spec), resource-limit (too many weights).
    """
    checked = infer(architecture, shape)
    return [
        NamedShape(step.name, step.operator, out, parameter_count(step, checked.inputs(step)[0]))
        for step, out in zip(checked.plan.steps, checked.shapes, strict=True)
    ]


def infer(architecture: Architecture, shape: Sequence[int] | None = None) -> Checked:
    """The spec written out, with all shapes; raises what `check` raises."""
    written = plan(architecture)
    start = _input_shape(architecture, shape)
    shapes: list[Shape] = []
    total = 0
    for step in written.steps:
        taken = [start if value == INPUT else shapes[value] for value in step.inputs]
        shapes.append(_infer_one(step, taken))
        total += parameter_count(step, taken[0])
        if total > MAX_PARAMETERS:
            raise ProblemError(
                "resource-limit",
                f"{step.place}: {total:,} weights up to here, over the limit of {MAX_PARAMETERS:,}",
                layer=step.path,
            )
    return Checked(written, start, tuple(shapes))


def _input_shape(architecture: Architecture, shape: Sequence[int] | None) -> Shape:
    own = (architecture.input.channels, *architecture.input.size)
    if shape is None:
        return own
    if len(shape) != len(own) or shape[0] != own[0]:
        raise ProblemError(
            "shape-mismatch",
            f"input.shape is {list(shape)}, but the spec takes "
            f"{own[0]} channels and {len(own) - 1} spatial axes; "
            f"give [{own[0]}, …] with {len(own)} numbers, or change the spec's input",
        )
    return tuple(shape)


def _infer_one(step: Step, taken: Sequence[Shape]) -> Shape:
    try:
        _check_taps(step, taken[0])
        shape = RULES[type(step.layer)](step.layer, *taken)
        if math.prod(shape) > MAX_ELEMENTS:
            raise MisfitError(f"its output {list(shape)} is over the limit of {MAX_ELEMENTS:,} elements")
        if len(shape) > 1 and shape[0] > MAX_CHANNELS:
            raise MisfitError(f"its output has {shape[0]} channels; at most {MAX_CHANNELS:,} are allowed")
    except MisfitError as misfit:
        raise ProblemError("invalid-architecture", f"{step.place}: {misfit}", layer=step.path) from None
    return shape


def _check_taps(step: Step, shape: Shape) -> None:
    """A kernel that the spec writes out must have as many values as the layer's kernel."""
    given = step.init.taps if isinstance(step.init, InitOptions) else None
    if given is None or not isinstance(step.layer, Weighted):
        return
    count = _taps(step.layer, shape) if isinstance(step.layer, CONVOLUTIONS) else 1
    if len(given) != count:
        raise MisfitError(f"init.taps has {len(given)} values, but its kernel has {count}")


def parameter_count(step: Step, taken: Shape) -> int:
    """How many weights a step has, given the shape it takes."""
    rule = PARAMETER_RULES.get(type(step.layer))
    return rule(step.layer, taken) if rule else 0


CONVOLUTIONS = (leaf.Conv, leaf.ConvTranspose, leaf.SparseConv)


def _taps(layer: leaf.Conv | leaf.ConvTranspose | leaf.SparseConv, shape: Shape) -> int:
    """How many positions a kernel reads per pair of channels."""
    if isinstance(layer, leaf.SparseConv):
        return len(layer.offsets)
    return math.prod(per_axis(layer.kernel_size, len(shape) - 1, "kernel_size"))


def _convolution(layer: leaf.Conv | leaf.ConvTranspose | leaf.SparseConv, shape: Shape) -> int:
    out = layer.out_channels or shape[0]
    return out * shape[0] // groups_of(layer.groups, shape[0]) * _taps(layer, shape) + layer.bias * out


def _norm(layer: pointwise.BatchNorm | pointwise.InstanceNorm | pointwise.GroupNorm, shape: Shape) -> int:
    return 2 * shape[0] * layer.affine


def _layer_norm(layer: pointwise.LayerNorm, shape: Shape) -> int:
    return 2 * layer.affine * (shape[0] if layer.over == "channels" else math.prod(shape))


def _linear(layer: leaf.Linear, shape: Shape) -> int:
    return layer.out_features * (shape[0] + layer.bias)


def _attention(layer: leaf.Attention, shape: Shape) -> int:
    return 4 * shape[0] * (shape[0] + layer.bias)


def _prelu(layer: pointwise.Prelu, shape: Shape) -> int:
    return 1 if layer.num_parameters == 1 else shape[0]


def _per_element(layer: object, shape: Shape) -> int:
    return math.prod(shape)


PARAMETER_RULES: dict[type, Callable[..., int]] = {
    leaf.Conv: _convolution,
    leaf.ConvTranspose: _convolution,
    leaf.SparseConv: _convolution,
    pointwise.BatchNorm: _norm,
    pointwise.InstanceNorm: _norm,
    pointwise.GroupNorm: _norm,
    pointwise.LayerNorm: _layer_norm,
    leaf.Linear: _linear,
    leaf.Attention: _attention,
    pointwise.Prelu: _prelu,
    leaf.PositionEmbedding: _per_element,
}
