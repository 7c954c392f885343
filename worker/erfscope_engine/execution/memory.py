"""What a run of a program takes of memory at its peak, told before it runs: values, what is kept, gradients.

A run keeps what its steps say (`Step.keeps`) until it ends, every other value until its last reader; on the way back a
gradient lives from its first reader to its maker. Views take nothing of their own.
"""

from collections.abc import Mapping
from math import prod

from erfscope_engine.execution.box import lengths
from erfscope_engine.execution.program import Program
from erfscope_engine.execution.step import Step


def peak_bytes(program: Program) -> int:
    """Bytes at the peak of one run forward and back, the batch of inputs included."""
    sizes, roots = _sizes(program), _roots(program)
    held = {roots[value] for value, _ in program.targets}
    for step in program.steps:
        held |= {roots[index] for index in _kept(step)}
    inputs = program.geometry.tape.values[0]
    batch = prod(inputs.shape) * inputs.dtype.itemsize
    return batch + max(_forward(program, sizes, roots, held), _backward(program, sizes, roots, held))


def _sizes(program: Program) -> dict[int, int]:
    values = program.geometry.tape.values
    return {index: prod(lengths(box)) * values[index].dtype.itemsize for index, box in program.boxes.items()}


def _roots(program: Program) -> dict[int, int]:
    """Value → the value whose memory it is a view of."""
    values, calls = program.geometry.tape.values, program.geometry.tape.calls
    roots = dict[int, int]()
    for index in sorted(program.boxes):
        made = values[index].made
        call = None if made is None else calls[made]
        source = call.refs[0].index if call is not None and getattr(call.op, "is_view", False) and call.refs else index
        roots[index] = roots.get(source, index)
    return roots


def _kept(step: Step) -> list[int]:
    """The values that a step keeps for its way back."""
    inputs = [index for index, _ in step.reads] if step.keeps in ("input", "both") else []
    outputs = [index for index, _ in step.writes if index is not None]
    return inputs + (outputs if step.relu or step.keeps in ("output", "both") else [])


def _forward(program: Program, sizes: Mapping[int, int], roots: Mapping[int, int], held: set[int]) -> int:
    last = {roots[index]: n for n, step in enumerate(program.steps) for index, _ in step.reads}
    alive, now, most = {0}, 0, 0
    for n, step in enumerate(program.steps):
        for root in {roots[index] for index, _ in step.writes if index is not None} - alive:
            alive.add(root)
            now += sizes[root]
        most = max(most, now)
        for root in {roots[index] for index, _ in step.reads} - held:
            if last[root] == n and root != 0:
                now -= sizes[root]
    return most


def _backward(program: Program, sizes: Mapping[int, int], roots: Mapping[int, int], held: set[int]) -> int:
    kept = sum(sizes[root] for root in held if root != 0)
    pending = {roots[value] for value, _ in program.targets}
    now = most = sum(sizes[root] for root in pending)
    for step in reversed(program.steps):
        reached = {roots[index] for index, _ in step.writes if index is not None}
        if not reached & pending:
            continue
        for root in {roots[index] for index, _ in step.reads} - pending:
            pending.add(root)
            now += sizes[root]
        most = max(most, now)
        for root in reached & pending - {roots[index] for index, _ in step.reads}:
            pending.discard(root)
            now -= sizes[root]
    return kept + most
