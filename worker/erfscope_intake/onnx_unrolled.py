"""Recurrent layers and loops take many operators: what is too long, and what `auto` does without, is not unrolled."""

from collections.abc import Callable
from dataclasses import replace

from erfscope_contract.problem import ProblemError
from erfscope_engine.network import Network
from erfscope_engine.plan import plan_for
from erfscope_engine.recording.recorder import record
from erfscope_intake.converters.recurrent import RECURRENT, stand_in
from erfscope_intake.onnx_graph import Program, Step, all_steps
from erfscope_intake.onnx_notes import nodes_called

Networked = Callable[[Program], Network]


def too_long_in(program: Program, networked: Networked) -> ProblemError | None:
    """The refusal of a loop or recurrent layer of which too many operators would be unrolled, if there is one.

    `networked` makes a network of a program. Its `node` is the one to leave out.
    """
    if not any(step.iteration or _is_recurrent(step) for step in all_steps(program)):
        return None
    network = networked(_with_stand_ins(program))
    try:
        record(network, network.batch or 1)
    except ProblemError as problem:
        if problem.kind == "model-too-complex":
            return problem
    return None


def without_idle_recurrence(program: Program, networked: Networked) -> Program:
    """`program` without its recurrent layers and what follows them, if `auto` takes none of that.

    Which layer it takes is found out on stand-ins, which have the shapes and read the steps of recurrent layers and
    are a few operators each.
    """
    recurrent = [step for step in all_steps(program) if _is_recurrent(step)]
    if not recurrent:
        return program
    behind = _behind(program, {name for step in recurrent for name in step.outputs if name})
    left = replace(program, steps=[step for step in program.steps if behind.isdisjoint(step.outputs)])
    try:
        layer = plan_for(networked(_with_stand_ins(program)), "auto", samples=1).layer.name
        before = {each.name for each in plan_for(networked(left), "auto", samples=1).traced.layers}
    except ProblemError:
        return program
    if layer not in before:
        return program
    notes = [
        f"{nodes_called(operator, [step.label for step in recurrent if step.node.operator == operator])} recurrent; "
        "auto takes nothing behind, so that is left out."
        for operator in dict.fromkeys(step.node.operator for step in recurrent)
    ]
    return replace(left, notes=[*program.notes, *notes])


def _is_recurrent(step: Step) -> bool:
    return step.node.operator in RECURRENT and step.follows_input


def _with_stand_ins(program: Program) -> Program:
    return replace(program, steps=[_stood_in(step) for step in program.steps])


def _stood_in(step: Step) -> Step:
    step = replace(step, branches=tuple(map(_with_stand_ins, step.branches)))
    if not _is_recurrent(step):
        return step
    return replace(step, row=replace(step.row, function=stand_in))


def _behind(program: Program, reached: set[str]) -> set[str]:
    """The values that depend on `reached`, those included."""
    reached = set(reached)
    for step in program.steps:
        within = [inner for branch in step.branches for inner in all_steps(branch)]
        read = {name for inner in (step, *within) for name in inner.inputs}
        ends = {name for branch in step.branches for name in branch.outputs}
        made = {name for inner in within for name in inner.outputs}
        if not reached.isdisjoint(read | ends | made):
            reached |= {name for name in step.outputs if name} | made
    return reached
