"""How a Loop or Scan runs its body: how often, on what, and what becomes of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.onnx_graph import Iteration, Program, Step
from erfscope_intake.onnx_words import first_of

MAX_OPERATORS = 20_000
"""Operators that the loops of a network run in all: each of them is on the tape."""


def too_long(operator: str, label: str) -> ProblemError:
    """The refusal of a loop that would run too many operators."""
    return ProblemError(
        "model-too-complex",
        f"{operator} (node {label[:200]!r}) would run more than {MAX_OPERATORS} operators, which is the most that is "
        "unrolled. Name a layer before it, or export the network for a shorter input.",
        operator=operator,
        node=label[:200],
    )


def check_length(step: Step, body: Program, constants: Mapping[str, Tensor]) -> ProblemError | None:
    """The refusal of a Loop that is known to run too many operators, or without an end; None where it is not known."""
    if step.node.operator != "Loop":
        return None
    count = _count(step, constants)
    endless = count is None and not step.inputs[0] and _goes_on(body, step.iteration, constants)
    if endless or (count or 0) * operators_in(body, constants) > MAX_OPERATORS:
        return too_long(step.node.operator, step.label)
    return None


def operators_in(program: Program, constants: Mapping[str, Tensor]) -> int:
    """How many operators a program runs at least: of If none of its branches, of loops those with a constant count."""
    total = 1
    for step in program.steps:
        count = _count(step, constants) if step.iteration else None
        total += 1 if count is None else count * operators_in(step.branches[0], constants)
    return total


def _count(step: Step, constants: Mapping[str, Tensor]) -> int | None:
    """The constant trip count of a Loop."""
    count = constants.get(step.inputs[0]) if step.node.operator == "Loop" else None
    return None if count is None else max(int(first_of(count, step.node.operator, step.label)), 0)


def _goes_on(body: Program, iteration: Iteration | None, constants: Mapping[str, Tensor]) -> bool:
    """Whether the condition that a Loop's body answers is always true: a constant, or the one that it was given."""
    aliases = {step.outputs[0]: step.inputs[0] for step in body.steps if step.node.operator == "Identity"}
    name = body.outputs[0]
    while name in aliases:
        name = aliases[name]
    if name in constants:
        return bool(constants[name].any())
    return iteration is not None and name == iteration.inputs[1]


class Course:
    """The run of one Loop or Scan: `arguments` are the step's inputs."""

    def __init__(self, step: Step, arguments: Sequence[Any]) -> None:
        assert step.iteration is not None
        self._step, self._iteration = step, step.iteration
        self._is_scan = bool(step.iteration.axes)
        self._count, self._carried, self._answers = 0, list[Any](), list[list[Any]]()
        self._most: int | None
        if self._is_scan:
            carried = step.iteration.carried
            self._carried = list(arguments[:carried])
            self._slices = _sliced(step, arguments[carried:])
            self._most, self._condition = len(self._slices[0]), None
        else:
            most, self._condition, *self._carried = arguments
            self._most = None if most is None else int(first_of(most, step.node.operator, step.label))

    @property
    def most(self) -> int | None:
        """How many iterations it has at most; None where only a condition ends it."""
        return self._most

    def goes_on(self) -> bool:
        """Whether there is another iteration."""
        if self._most is not None and self._count >= self._most:
            return False
        if self._condition is None:
            return True
        return bool(first_of(self._condition, self._step.node.operator, self._step.label))

    def inputs(self) -> dict[str, Any]:
        """The values of the body's inputs in this iteration, by name."""
        if self._is_scan:
            values = [*self._carried, *(row[self._count] for row in self._slices)]
        else:
            condition = torch.tensor(True) if self._condition is None else self._condition
            values = [torch.tensor(self._count), condition, *self._carried]
        return dict(zip(self._iteration.inputs, values, strict=True))

    def take(self, outputs: Sequence[Any]) -> None:
        """What the body answered."""
        if not self._is_scan:
            self._condition, *outputs = outputs
        carried = self._iteration.carried
        self._carried = list(outputs[:carried])
        self._answers.append(list(outputs[carried:]))
        self._count += 1

    def results(self) -> list[Any]:
        """The step's outputs."""
        joined = []
        kinds = zip(self._iteration.output_axes, self._iteration.output_reverse, strict=True)
        for k, (axis, reverse) in enumerate(kinds):
            row = [answer[k] for answer in self._answers]
            is_read = bool(self._step.outputs[self._iteration.carried + k])
            if not row and is_read:
                raise _misfit(self._step, "it runs no iteration, so its outputs have no shape")
            joined.append(torch.stack(row[::-1] if reverse else row, axis) if is_read else None)
        return [*self._carried, *joined]


def _sliced(step: Step, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """The slices of each scanned input, in the order in which they are read."""
    assert step.iteration is not None
    rows = []
    for tensor, axis, reverse in zip(tensors, step.iteration.axes, step.iteration.reverse, strict=True):
        if not -tensor.dim() <= axis < tensor.dim():
            raise _misfit(step, f"axis {axis} is outside an input of shape {list(tensor.shape)}")
        if tensor.shape[axis] > MAX_OPERATORS:  # before so many slices are made
            raise too_long(step.node.operator, step.label)
        row = list(tensor.unbind(axis))
        rows.append(row[::-1] if reverse else row)
    if len({len(row) for row in rows}) != 1:
        raise _misfit(step, f"its scanned inputs have different lengths: {[len(row) for row in rows]}")
    return rows


def _misfit(step: Step, detail: str) -> ProblemError:
    operator, node = step.node.operator, step.label[:200]
    return ProblemError("shape-mismatch", f"{operator} (node {node!r}): {detail}.", operator=operator, node=node)
