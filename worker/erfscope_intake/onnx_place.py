"""One node as a step of a program: which converter it gets, whether it runs now, at each run, or never."""

from collections.abc import Mapping

import torch
from onnx import NodeProto

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters import TABLE, Node, Row
from erfscope_intake.converters.recurrent import RECURRENT
from erfscope_intake.onnx_behind import Behind
from erfscope_intake.onnx_graph import Build, Lost, Program, Step, attributes_of, domain_of
from erfscope_intake.onnx_names import Names
from erfscope_intake.onnx_order import names_read
from erfscope_intake.onnx_run import execute
from erfscope_intake.onnx_words import no_such_output, unsupported


def find_row(proto: NodeProto, versions: Mapping[str, int], behind: Behind, label: str) -> Row:
    """Our converter, else onnx2torch's; ProblemError("unsupported-op") names the operator and node otherwise."""
    domain = domain_of(proto.domain)
    row = TABLE.get((domain, proto.op_type))
    if row is None and domain == "":
        row = behind.row(proto, domain, versions.get(domain, 0), label)
    if row is None:
        raise unsupported(proto.op_type, domain, label)
    return row


def add_node(proto: NodeProto, program: Program, state: Build) -> None:
    """Place an ordinary node; one without a converter is lost, and so is what reads a lost value."""
    if lose_reader(proto, state):
        return
    label = label_of(proto, state.names)
    if label in state.refused and proto.op_type in RECURRENT:
        lose(proto, label, state.refused[label], state)
        return
    try:
        row = find_row(proto, state.versions, state.behind, label)
        step = step_of(proto, row, label, state)
    except ProblemError as problem:
        if problem.kind != "unsupported-op":
            raise
        lose(proto, label, problem, state)
        return
    place(step, program, state)


def step_of(proto: NodeProto, row: Row, label: str, state: Build) -> Step:
    """A node with its converter; raises ProblemError("unsupported-op") where an attribute cannot be read."""
    domain = domain_of(proto.domain)
    outputs = max((i + 1 for i, name in enumerate(proto.output) if name), default=1)
    follows = not row.shape_only and any(name in state.follows for name in proto.input)
    node = Node(
        proto.op_type, state.versions.get(domain, 1), attributes_of(proto, state.outside), outputs,
        state.dtype if follows else torch.float32, not follows, domain,
    )  # fmt: skip
    return Step(node, row, tuple(proto.input), tuple(proto.output), label)


def place(step: Step, program: Program, state: Build) -> None:
    """Run the step now, keep it for later, or give it up with all that follows it."""
    made = [name for name in step.outputs if name]
    depends = [i for i, name in enumerate(step.inputs) if name in state.follows]
    reads = (step.row.selects and depends) or [i for i in depends if i in step.row.reads]
    if reads and step.follows_input:
        state.lost |= dict.fromkeys(made, Lost(step.node.operator, step.label, decided_by_values(step)))
        return
    if step.follows_input:
        state.follows.update(made)
    elif any(name in state.shaped or name in state.follows for name in step.inputs):
        state.shaped.update(made)
    else:
        absent = [name for name in step.inputs if name and name not in state.constants]
        if absent:
            raise no_such_output(state.names.values[absent[0]])
        arguments = [state.constants[name] if name else None for name in step.inputs]
        state.constants.update(zip(step.outputs, execute(step, arguments, "invalid-model"), strict=False))
        return
    program.steps.append(step)


def lose_reader(proto: NodeProto, state: Build) -> bool:
    """Whether a node (or a graph in it) reads a lost value, and so is lost itself."""
    if not state.lost:
        return False
    blame = next((state.lost[name] for name in sorted(names_read(proto)) if name in state.lost), None)
    if blame is None:
        return False
    state.lost |= dict.fromkeys(filter(None, proto.output), blame)
    return True


def lose(proto: NodeProto, label: str, problem: ProblemError, state: Build) -> None:
    """Leave a node out, and (by `lose_reader`) all that reads it."""
    domain = domain_of(proto.domain)
    operator = f"{domain}::{proto.op_type}" if domain else proto.op_type
    state.lost |= dict.fromkeys(filter(None, proto.output), Lost(operator, label, problem))


def decided_by_values(step: Step) -> ProblemError:
    """The verdict on a step that decides shapes or paths by the values of the measured input."""
    return ProblemError(
        "data-dependent",
        f"{step.node.operator} (node {step.label[:200]!r}) decides shapes or paths by the input's values, so what "
        "follows it cannot be measured; name a layer before it.",
        operator=step.node.operator,
        node=step.label[:200],
    )


def label_of(proto: NodeProto, names: Names) -> str:
    """What people call a node: its own name, or its first output's."""
    outputs = (names.values[name] for name in proto.output if name)
    return names.nodes[proto.name] or next(outputs, "")
