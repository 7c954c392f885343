"""The steps of a program that runs on moments, by the records' variance rules."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope_engine.execution.box import Box
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.program import Program, Target
from erfscope_engine.execution.step import Step, computed
from erfscope_engine.fields import Map
from erfscope_engine.moments.functions import function_of
from erfscope_engine.moments.rule import Case, is_float
from erfscope_engine.moments.state import Moments
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.recording.tape import Call

LOW, HIGH = 1e-30, 1e30  # where float32 is left for float64


class OutOfRangeError(Exception):
    """A number came near the end of the range of its type."""


def moment_program(geometry: Map, targets: Sequence[Target], dtype: torch.dtype, *, drawn: bool) -> Program:
    """The program that holds all targets, for moments in a number type; `drawn`: weights are standard deviations."""
    converted = _converted(geometry, dtype)
    calls = converted.tape.ancestors(value for value, _ in targets)
    return Program.of(converted, calls, partial(_steps, converted, drawn), targets)


def _steps(geometry: Map, drawn: bool, call: Call, boxes: dict[int, Box]) -> list[Step]:
    wanted = [(out, index) for out, index in enumerate(call.outputs) if index is not None and index in boxes]
    steps = [_step(Case(Part.of(geometry, call, out, boxes[index]), drawn)) for out, index in wanted]
    whole = [step for step in steps if sum(index is not None for index, _ in step.writes) > 1]
    return whole[:1] or steps  # an operator on whole tensors gives all of its outputs at once


def _step(case: Case) -> Step:
    step = function_of(case)
    if step is None:
        record = OPERATORS.get(case.name)
        if record is None or record.variance is None:
            case.refuse("there is no rule for it")
        step = record.variance(case)
    return _watched(step, stops=case.call.stops)


def _watched(step: Step, *, stops: bool) -> Step:
    """With an eye on the number range, and without a way back where no gradient passes."""

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        outs, kept = step.forward(inputs)
        for (index, _), result in zip(step.writes, outs, strict=False):
            if index is not None:
                _check_range(result.variance)
        return outs, None if stops else kept

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        back = [None if g is None else g.clamp_min(0) for g in map(computed, step.backward(kept, grads))]
        for g in back:
            if g is not None:
                _check_range(g)
        return back

    return replace(step, forward=forward, backward=backward, pointwise=None)


def _check_range(x: Tensor) -> None:
    """Leave float32 before its numbers get lost: squares of gradients span twice the exponents of gradients."""
    if x.dtype == torch.float32 and x.numel():
        top = float(x.max())
        if top and not LOW < top < HIGH:
            raise OutOfRangeError


def _converted(geometry: Map, dtype: torch.dtype) -> Map:
    """The tape with its constants in the pass' number type."""

    def convert(item: Any) -> Any:
        return item.to(dtype) if is_float(item) else item

    calls = []
    for call in geometry.tape.calls:
        args, kwargs = tree_map(convert, (call.args, call.kwargs))
        calls.append(replace(call, args=args, kwargs=kwargs))
    tape = replace(geometry.tape, calls=calls)
    return replace(geometry, tape=tape)
