"""How a Loop or Scan runs its body: how often, on what, and what becomes of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope.contract.problem import ProblemError
from erfscope_intake.onnx_graph import Program, Step, all_steps

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
    """The refusal of a Loop whose constant trip count is too large; None where it is not, or is not known yet."""
    count = constants.get(step.inputs[0]) if step.node.operator == "Loop" and step.inputs else None
    if count is None or int(count.reshape(-1)[0]) * (len(all_steps(body)) + 1) <= MAX_OPERATORS:
        return None
    return too_long(step.node.operator, step.label)


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
            self._most = None if most is None else int(most.reshape(-1)[0])

    def goes_on(self) -> bool:
        """Whether there is another iteration."""
        if self._most is not None and self._count >= self._most:
            return False
        return self._condition is None or bool(self._condition.reshape(-1)[0])

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
        row = list(tensor.unbind(axis))
        rows.append(row[::-1] if reverse else row)
    if len({len(row) for row in rows}) != 1:
        raise _misfit(step, f"its scanned inputs have different lengths: {[len(row) for row in rows]}")
    return rows


def _misfit(step: Step, detail: str) -> ProblemError:
    operator, node = step.node.operator, step.label[:200]
    return ProblemError("shape-mismatch", f"{operator} (node {node!r}): {detail}.", operator=operator, node=node)
