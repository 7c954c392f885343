"""A renamed ONNX graph as a program: steps in order, each with its converter and what it reads.

What depends neither on the measured input nor on its shape is computed here, once. What depends on the shape
alone (Shape → Gather → Concat → Reshape) is computed at each run, outside of any tape, on real numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from onnx import AttributeProto, GraphProto, NodeProto
from torch import Tensor

from erfscope.contract.problem import ProblemError
from erfscope_intake.converters import TABLE, Node, Row
from erfscope_intake.onnx_behind import Behind
from erfscope_intake.onnx_names import Names
from erfscope_intake.onnx_tensors import Outside, not_outside, to_torch
from erfscope_intake.onnx_words import unsupported


@dataclass(frozen=True, eq=False)
class Step:
    """One node: its converter, neutral names of what it reads and makes, and its own name for people."""

    node: Node
    row: Row
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    label: str
    branches: tuple["Program", "Program"] | None = None

    @property
    def follows_input(self) -> bool:
        """Its values depend on the measured input's."""
        return not self.node.constant


@dataclass
class Program:
    """A graph ready to run: `constants` by neutral name, `working` the same in the type networks compute in."""

    steps: list[Step] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    working: dict[str, Tensor] = field(default_factory=dict)
    lost: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Build:
    """What building a program needs to know all the way down."""

    names: Names
    versions: Mapping[str, int]
    behind: Behind
    dtype: torch.dtype
    constants: dict[str, Tensor]
    follows: set[str]  # values that depend on the input's values
    shaped: set[str]  # constants that depend on its shape
    lost: set[str] = field(default_factory=set)
    root_lost: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outside: Outside = not_outside  # reads data that lie beside the model


def attributes_of(proto: NodeProto, outside: Outside = not_outside) -> dict[str, Any]:
    """Attributes as plain values; tensors as torch tensors, graphs left out."""
    return {attribute.name: _value(attribute, outside) for attribute in proto.attribute}


def _value(attribute: AttributeProto, outside: Outside) -> Any:
    kinds: dict[int, Any] = {
        AttributeProto.FLOAT: lambda a: a.f,
        AttributeProto.INT: lambda a: a.i,
        AttributeProto.STRING: lambda a: a.s.decode("utf-8", "replace"),
        AttributeProto.TENSOR: lambda a: to_torch(a.t, outside),
        AttributeProto.FLOATS: lambda a: list(a.floats),
        AttributeProto.INTS: lambda a: list(a.ints),
        AttributeProto.STRINGS: lambda a: [s.decode("utf-8", "replace") for s in a.strings],
    }
    read = kinds.get(attribute.type)
    return None if read is None else read(attribute)


def domain_of(domain: str) -> str:
    """The default domain has two spellings."""
    return "" if domain == "ai.onnx" else domain


def find_row(proto: NodeProto, versions: Mapping[str, int], behind: Behind, label: str) -> Row:
    """Our converter, else onnx2torch's; ProblemError("unsupported-op") names the operator and node otherwise."""
    domain = domain_of(proto.domain)
    row = TABLE.get((domain, proto.op_type))
    if row is None and domain == "":
        row = behind.row(proto, domain, versions.get(domain, 0), label)
    if row is None:
        raise unsupported(proto.op_type, domain, label)
    return row


def build(graph: GraphProto, state: Build) -> Program:
    """The program of `graph`; values that its steps make are entered into `state` on the way."""
    program = Program(constants=state.constants)
    for tensor in graph.initializer:
        state.constants[tensor.name] = to_torch(tensor, state.outside)
    for proto in graph.node:
        _add(proto, program, state)
    program.outputs = [value.name for value in graph.output]
    return program


def _add(proto: NodeProto, program: Program, state: Build) -> None:
    if proto.op_type == "If" and domain_of(proto.domain) == "":
        _add_if(proto, program, state)
        return
    label = _label(proto, state.names)
    row = find_row(proto, state.versions, state.behind, label)
    _place(_step(proto, row, label, state), program, state)


def _step(proto: NodeProto, row: Row, label: str, state: Build) -> Step:
    domain = domain_of(proto.domain)
    wanted = max((i + 1 for i, name in enumerate(proto.output) if name), default=1)
    follows = not row.shape_only and any(name in state.follows for name in proto.input)
    node = Node(
        proto.op_type, state.versions.get(domain, 1), attributes_of(proto, state.outside), wanted,
        state.dtype if follows else torch.float32, not follows, domain,
    )  # fmt: skip
    return Step(node, row, tuple(proto.input), tuple(proto.output), label)


def _place(step: Step, program: Program, state: Build) -> None:
    """Run the step now, keep it for later, or give it up with all that follows it."""
    made = [name for name in step.outputs if name]
    depends = [i for i, name in enumerate(step.inputs) if name in state.follows]
    reads = (step.row.selects and depends) or [i for i in depends if i in step.row.reads]
    if any(name in state.lost for name in step.inputs) or (reads and step.follows_input):
        if not any(name in state.lost for name in step.inputs):
            state.root_lost.append(step)
        state.lost.update(made)
        return
    if step.follows_input:
        state.follows.update(made)
    elif any(name in state.shaped or name in state.follows for name in step.inputs):
        state.shaped.update(made)
    else:
        from erfscope_intake.onnx_run import execute

        arguments = [state.constants[name] if name else None for name in step.inputs]
        state.constants.update(zip(step.outputs, execute(step, arguments, "invalid-model"), strict=False))
        return
    program.steps.append(step)


def _label(proto: NodeProto, names: Names) -> str:
    """What people call a node: its own name, or its first output's."""
    outputs = [names.values[name] for name in proto.output if name]
    return names.nodes[proto.name] or next(iter(outputs), "")


def _add_if(proto: NodeProto, program: Program, state: Build) -> None:
    """A condition that is known decides now; one that hangs on the input's shape decides at each run."""
    graphs = {a.name: a.g for a in proto.attribute if a.HasField("g")}
    label = _label(proto, state.names)
    ways = [graphs.get(name) for name in ("then_branch", "else_branch")]
    if len(proto.input) != 1 or any(way is None or len(way.output) != len(proto.output) for way in ways):
        raise ProblemError("invalid-model", f"If (node {label[:200]!r}) needs a condition and two branches.")
    condition = proto.input[0]
    row = Row("If", _no_converter, reads=(0,))
    if condition in state.constants:
        taken = graphs["then_branch" if bool(state.constants[condition].reshape(-1)[0]) else "else_branch"]
        inner = build(taken, state)
        program.steps += inner.steps
        for made, name in zip(proto.output, inner.outputs, strict=False):
            alias = replace(_step(proto, TABLE["", "Identity"], label, state), inputs=(name,), outputs=(made,))
            node = replace(alias.node, operator="Identity", attributes={}, constant=name not in state.follows)
            _place(replace(alias, node=node), program, state)
        return
    step = _step(proto, row, label, state)
    if condition in state.follows or condition in state.lost:
        _place(step, program, state)
        return
    branches = (build(graphs["then_branch"], state), build(graphs["else_branch"], state))
    ends = [name for branch in branches for name in branch.outputs]
    follows = any(name in state.follows for name in ends)
    if any(name in state.lost for name in ends):
        state.lost.update(proto.output)
        return
    (state.follows if follows else state.shaped).update(filter(None, proto.output))
    program.steps.append(replace(step, node=replace(step.node, constant=not follows), branches=branches))


def _no_converter(*_: object) -> None:
    raise AssertionError("If is walked, not converted")


def finish(program: Program, state: Build, device: torch.device) -> None:
    """Drop constants that nothing reads, and hold those that meet the input in the working type and place."""
    read: set[str] = set(program.outputs)
    meet: set[str] = set()
    for step in all_steps(program):
        for position, name in enumerate(step.inputs):
            converts = step.follows_input and position not in step.row.reads
            (meet if converts else read).add(name)
        read.update(name for branch in step.branches or () for name in branch.outputs)
    program.working = {
        name: to_working(value, state.dtype, device) for name, value in state.constants.items() if name in meet
    }
    for name in [name for name in state.constants if name not in read]:
        del state.constants[name]
    program.notes = state.notes
    program.lost = state.root_lost


def all_steps(program: Program) -> list[Step]:
    """The steps of a program and of the branches in it."""
    found, pending = [], [program]
    while pending:
        part = pending.pop()
        found += part.steps
        pending += [branch for step in part.steps for branch in step.branches or ()]
    return found


def to_working(value: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A constant as networks compute with it."""
    if isinstance(value, list):
        return value
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)


def last_uses(steps: Sequence[Step]) -> dict[str, int]:
    """For every value, the last step that reads it (branches read for their If)."""
    last: dict[str, int] = {}
    for position, step in enumerate(steps):
        names = list(step.inputs)
        for branch in step.branches or ():
            names += [name for inner in all_steps(branch) for name in inner.inputs] + branch.outputs
        last.update(dict.fromkeys(names, position))
    return last
