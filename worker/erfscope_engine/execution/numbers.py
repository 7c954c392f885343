"""The steps of a program that runs on numbers: by hand where a record has a step, else by autograd."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from erfscope_engine.execution.box import Box
from erfscope_engine.execution.by_autograd import part_step, whole_step
from erfscope_engine.execution.fusion import Fused, fuse
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.program import Program, Target
from erfscope_engine.execution.scales import with_scales_folded
from erfscope_engine.execution.step import Step
from erfscope_engine.fields import Map
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.recording.tape import Call, Custom


def program_of(geometry: Map, targets: Sequence[Target]) -> Program:
    """The program that holds all targets, for gradients; who asks for the same one again gets the same."""
    asked = tuple(targets)
    if asked not in geometry.latest:
        geometry.latest.clear()  # a program holds copies of weights
        geometry.latest[asked] = _built(geometry, asked)
    program: Program = geometry.latest[asked]
    return program


def _built(geometry: Map, targets: Sequence[Target]) -> Program:
    return Program.of(geometry, items_of(geometry, targets), partial(steps_of, geometry), targets)


def items_of(geometry: Map, targets: Sequence[Target]) -> list[Call | Fused]:
    """The operators that the targets depend on, in order, those that run as one joined."""
    wanted = {value for value, _ in targets}
    tape = geometry.tape
    return with_scales_folded(geometry, fuse(tape, tape.ancestors(wanted), wanted), wanted)


def steps_of(geometry: Map, item: Call | Fused, boxes: dict[int, Box]) -> list[Step]:
    """The steps that fill the boxes that are wanted of an operator's outputs."""
    if isinstance(item, Fused):
        if item.output not in boxes:
            return []
        part = Part.of(geometry, item.head, 0, boxes[item.output])
        return [item.step(_by_part(part) or whole_step(part))]
    wanted = [(out, index) for out, index in enumerate(item.outputs) if index in boxes and index is not None]
    if not wanted:
        return []  # its readers need none of it
    parts = [Part.of(geometry, item, out, boxes[index]) for out, index in wanted]
    steps = [] if isinstance(item.op, Custom) else [_by_part(part) for part in parts]
    chosen = [step for step in steps if step is not None]
    if len(chosen) < len(parts):
        chosen = [whole_step(parts[0])]
    return [_stopped(step) for step in chosen] if item.stops else chosen


def _by_part(part: Part) -> Step | None:
    record = OPERATORS.get(part.name)
    step: Step | None = record.step(part) if record and record.step else None
    return step or (part_step(part) if part.made is not None else None)


def step_for(part: Part) -> Step:
    """The step that fills one part."""
    return _by_part(part) or whole_step(part)


def _stopped(step: Step) -> Step:
    """The same without a way back."""

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        outs, _ = step.forward(inputs)
        return outs, None

    return replace(step, forward=forward)
