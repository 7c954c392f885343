"""Builds the runnable network of a spec: modules, drawn weights and the order in which they run."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erfscope_contract.architecture import Architecture, Checked, Init, InitOptions, InitSpec, Step, infer
from erfscope_contract.architecture.plan import INPUT
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions, Weights
from erfscope_engine.network import Mark, Network
from erfscope_intake.spec.draw import Drawing
from erfscope_intake.spec.modules import make_module

INPUT_NAME = "input"


def build_network(
    architecture: Architecture,
    options: InputOptions,
    *,
    dtype: torch.dtype,
    device: torch.device,
    weights: Weights,
    seed: int,
    drawn: bool = True,
) -> Network:
    """The spec's network with the weights of draw 0, in evaluation mode and frozen.

    Where they are not to be `drawn`, each weight is the standard deviation of its draws: what an expectation reads.

    `options.shape` overrides the spec's input size; `weights` other than given overrides every `init`. On the
    meta device the weights stay undrawn: shapes only. Raises ProblemError: what `check` raises, and
    invalid-request for an input name other than `input`.
    """
    if options.name not in (None, INPUT_NAME):
        raise ProblemError(
            "invalid-request",
            f"input.name is {options.name!r}, but a spec has one input, called {INPUT_NAME!r}; leave it out",
        )
    checked = infer(architecture, options.shape)
    modules = [_place_module(step, checked, dtype, device) for step in checked.plan.steps]
    schemes = [_scheme(step.init, weights) for step in checked.plan.steps]
    made = _network(architecture.name, checked, modules, schemes, seed, dtype, device)
    assert made.redraw is not None
    assert made.spread is not None
    if drawn:
        made.redraw(0)
    else:
        made.spread()
    return made


def _network(
    name: str, checked: Checked, modules: Sequence[nn.Module], schemes: Sequence[InitOptions], seed: int,
    dtype: torch.dtype, device: torch.device,
) -> Network:  # fmt: skip
    steps = checked.plan.steps
    drawing = Drawing(
        tuple((step.name, module, scheme) for step, module, scheme in zip(steps, modules, schemes, strict=True)), seed
    )

    def at(other: torch.dtype) -> Network:
        """With the weights as they are now: they may have been drawn anew, or trained."""
        copies = [copy.deepcopy(module).to(other) for module in modules]
        return _network(name, checked, copies, schemes, seed, other, device)

    return Network(
        name=name,
        run=Execution(steps, tuple(modules), _last_uses(steps), outputs_of(steps)),
        input_name=INPUT_NAME,
        input_shape=checked.input_shape,
        dtype=dtype,
        device=device,
        redraw=drawing.draw,
        weights=drawing.weights,
        spread=drawing.spread,
        aliases=checked.plan.aliases,
        notes=drawing.notes,
        at=at,
    )


@dataclass(frozen=True)
class Execution:
    """Runs the steps in order; a value is dropped behind the last step that takes it, outputs stay."""

    steps: tuple[Step, ...]
    modules: tuple[nn.Module, ...]
    releases: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]

    def __call__(self, x: Tensor, mark: Mark) -> Tensor | tuple[Tensor, ...]:
        """x of shape (B, C, *S) → the network's output, several in their order; every layer's output is marked."""
        values: dict[int, Tensor] = {INPUT: x}
        for index, (step, module) in enumerate(zip(self.steps, self.modules, strict=True)):
            values[index] = module(*(values[value] for value in step.inputs))
            mark(step.name, step.operator, values[index])
            for value in self.releases[index]:
                del values[value]
        made = tuple(values[value] for value in self.outputs)
        return made[0] if len(made) == 1 else made


def _last_uses(steps: tuple[Step, ...]) -> tuple[tuple[int, ...], ...]:
    """Which values each step is the last to take; the network's own outputs are never released."""
    outputs = outputs_of(steps)
    last = {value: index for index, step in enumerate(steps) for value in (index, *step.inputs)}
    releases: list[list[int]] = [[] for _ in steps]
    for value, index in last.items():
        if value not in outputs:
            releases[index].append(value)
    return tuple(tuple(values) for values in releases)


def outputs_of(steps: Sequence[Step]) -> tuple[int, ...]:
    """The network's outputs: what no layer takes, so at least the last layer's."""
    taken = {value for step in steps for value in step.inputs}
    return tuple(value for value in range(len(steps)) if value not in taken)


def _place_module(step: Step, checked: Checked, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A step's module on its device, without torch's own draw, which would move the global generator."""
    with torch.device("meta"):
        module = make_module(step.layer, checked.inputs(step)[0])
    return module.to(dtype).to_empty(device=device).eval().requires_grad_(False)


def _scheme(own: InitSpec, weights: Weights) -> InitOptions:
    if weights is not Weights.GIVEN:
        return InitOptions(scheme=Init(weights.value))
    return own if isinstance(own, InitOptions) else InitOptions(scheme=own)
