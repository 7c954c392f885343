"""Operators that hold graphs: If takes a branch, Loop and Scan run their body again and again."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from onnx import GraphProto, NodeProto

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters import TABLE, Row
from erfscope_intake.onnx_graph import Build, Iteration, Lost, Program, Step, attributes_of
from erfscope_intake.onnx_place import decided_by_values, label_of, lose, lose_reader, place, step_of
from erfscope_intake.onnx_unroll import check_length
from erfscope_intake.onnx_words import unsupported

Building = Callable[[GraphProto, Build], Program]
Control = Callable[[NodeProto, Program, Build, Building], None]
OLDEST_SCAN = 9  # before, a Scan had an axis of samples of its own
MOST_GUESSES = 2  # builds of a body that follow one carried value after another; then all are taken to follow


def add_if(proto: NodeProto, program: Program, state: Build, build: Building) -> None:
    """A condition that is known decides now; one that depends on the input's shape decides at each run."""
    label, ways = label_of(proto, state.names), _graphs(proto)
    branches = [ways.get(name) for name in ("then_branch", "else_branch")]
    if len(proto.input) != 1 or any(way is None or len(way.output) != len(proto.output) for way in branches):
        raise ProblemError("invalid-model", f"If (node {label[:200]!r}) needs a condition and two branches.")
    condition = proto.input[0]
    if condition in state.constants:
        taken = ways["then_branch" if bool(state.constants[condition].reshape(-1)[0]) else "else_branch"]
        _add_branch(proto, taken, program, state, build)
        return
    if condition in state.lost:
        lose_reader(proto, state)
        return
    step = step_of(proto, Row("If", _no_converter, reads=(0,)), label, state)
    if condition in state.follows:
        place(step, program, state)
        return
    _add_walked(step, [build(ways[name], state) for name in ("then_branch", "else_branch")], None, program, state)


def _add_branch(proto: NodeProto, taken: GraphProto, program: Program, state: Build, build: Building) -> None:
    """The steps of a branch in the place of its If."""
    label = label_of(proto, state.names)
    inner = build(taken, state)
    program.steps += inner.steps
    for made, name in zip(proto.output, inner.outputs, strict=False):
        if name in state.lost:
            state.lost[made] = state.lost[name]
            continue
        alias = replace(step_of(proto, TABLE["", "Identity"], label, state), inputs=(name,), outputs=(made,))
        node = replace(alias.node, operator="Identity", attributes={}, constant=name not in state.follows)
        place(replace(alias, node=node), program, state)


def add_loop(proto: NodeProto, program: Program, state: Build, build: Building) -> None:
    """A Loop: trip count and condition may depend on the input's shape, not on its values."""
    body = _graphs(proto).get("body")
    carried = len(proto.input) - 2
    label = label_of(proto, state.names)
    if not all(proto.input[2:]):
        raise ProblemError("invalid-model", f"Loop (node {label[:200]!r}): one of its inputs is left out.")
    if body is None or carried < 0 or len(body.input) != carried + 2 or len(body.output) != len(proto.output) + 1:
        raise ProblemError(
            "invalid-model", f"Loop (node {label[:200]!r}): its body does not fit its inputs and outputs."
        )
    axes = (0,) * (len(proto.output) - carried)
    iteration = Iteration(_names(body), carried, output_axes=axes, output_reverse=(False,) * len(axes))
    _add_iterated(proto, body, iteration, program, state, build, reads=(0, 1))


def add_scan(proto: NodeProto, program: Program, state: Build, build: Building) -> None:
    """A Scan, as it is since opset 9."""
    label, body = label_of(proto, state.names), _graphs(proto).get("body")
    attributes = attributes_of(proto)
    slices = attributes.get("num_scan_inputs")
    slices = slices if isinstance(slices, int) else 0
    carried = len(proto.input) - slices
    scanned = len(proto.output) - carried
    if state.versions.get("", 0) < OLDEST_SCAN:
        lose(
            proto,
            label,
            unsupported("Scan", "", label, "is of opset 8; export the network with opset 9 or later"),
            state,
        )
        return
    if not all(proto.input):
        raise ProblemError("invalid-model", f"Scan (node {label[:200]!r}): one of its inputs is left out.")
    if body is None or slices < 1 or carried < 0 or scanned < 0 or not _fits(body, proto):
        raise ProblemError(
            "invalid-model", f"Scan (node {label[:200]!r}): its body does not fit its inputs and outputs."
        )

    def listed(name: str, count: int) -> tuple[int, ...]:
        values = attributes.get(name) or [0] * count
        if not isinstance(values, list) or len(values) != count or not all(isinstance(one, int) for one in values):
            raise ProblemError("invalid-model", f"Scan (node {label[:200]!r}): {name} must have {count} integers.")
        return tuple(values)

    iteration = Iteration(
        _names(body), carried, listed("scan_input_axes", slices),
        tuple(map(bool, listed("scan_input_directions", slices))),
        listed("scan_output_axes", scanned), tuple(map(bool, listed("scan_output_directions", scanned))),
    )  # fmt: skip
    _add_iterated(proto, body, iteration, program, state, build, reads=())


def _fits(body: GraphProto, proto: NodeProto) -> bool:
    return len(body.input) == len(proto.input) and len(body.output) == len(proto.output)


def _names(body: GraphProto) -> tuple[str, ...]:
    return tuple(value.name for value in body.input)


def _add_iterated(
    proto: NodeProto, body: GraphProto, iteration: Iteration, program: Program, state: Build, build: Building,
    reads: tuple[int, ...],
) -> None:  # fmt: skip
    label = label_of(proto, state.names)
    if lose_reader(proto, state):
        return
    if label in state.refused:
        lose(proto, label, state.refused[label], state)
        return
    step = step_of(proto, Row(proto.op_type, _no_converter, reads=reads), label, state)
    if any(proto.input[k] in state.follows for k in reads if k < len(proto.input)):
        state.lost |= dict.fromkeys(step.outputs, Lost(proto.op_type, label, decided_by_values(step)))
        return
    inner = _body(proto, body, iteration, state, build)
    if proto.op_type == "Loop" and inner.outputs[0] in state.follows:
        state.lost |= dict.fromkeys(step.outputs, Lost(proto.op_type, label, decided_by_values(step)))
        return
    problem = check_length(replace(step, iteration=iteration), inner, state.constants)
    if problem is not None:
        lose(proto, label, problem, state)
        return
    _add_walked(step, [inner], iteration, program, state)


def _body(proto: NodeProto, body: GraphProto, iteration: Iteration, state: Build, build: Building) -> Program:
    """The body's program, built anew until what it carries on follows the input where its first values do not."""
    follows = {name for name, outer in zip(iteration.inputs, proto.input, strict=True) if outer in state.follows}
    before = _kept(state)
    for guess in range(MOST_GUESSES + 1):
        _restore(state, before)
        state.follows |= follows
        state.shaped.update(name for name in iteration.inputs if name not in follows)
        inner = build(body, state)
        more = {
            name for name, made in zip(_carried_in(iteration), _carried_out(iteration, inner), strict=True)
            if made in state.follows and name not in follows
        }  # fmt: skip
        if not more:
            break
        follows |= more if guess < MOST_GUESSES - 1 else set(_carried_in(iteration))
    return inner


def _carried_in(iteration: Iteration) -> tuple[str, ...]:
    first = 0 if iteration.axes else 2
    return iteration.inputs[first : first + iteration.carried]


def _carried_out(iteration: Iteration, inner: Program) -> list[str]:
    first = 0 if iteration.axes else 1
    return inner.outputs[first : first + iteration.carried]


Kept = tuple[set[str], set[str], dict[str, Lost], set[str]]


def _kept(state: Build) -> Kept:
    return set(state.follows), set(state.shaped), dict(state.lost), set(state.constants)


def _restore(state: Build, before: Kept) -> None:
    state.follows.clear()
    state.follows.update(before[0])
    state.shaped.clear()
    state.shaped.update(before[1])
    state.lost.clear()
    state.lost.update(before[2])
    for name in [name for name in state.constants if name not in before[3]]:
        del state.constants[name]


def _add_walked(
    step: Step, branches: list[Program], iteration: Iteration | None, program: Program, state: Build
) -> None:
    """A step whose programs are walked at each run; it follows the input where one of their ends does."""
    ends = [name for branch in branches for name in branch.outputs]
    blame = next((state.lost[name] for name in ends if name in state.lost), None)
    if blame is not None:
        state.lost |= dict.fromkeys(filter(None, step.outputs), blame)
        return
    follows = step.follows_input or any(name in state.follows for name in ends)
    (state.follows if follows else state.shaped).update(filter(None, step.outputs))
    node = replace(step.node, constant=not follows)
    program.steps.append(replace(step, node=node, branches=tuple(branches), iteration=iteration))


def _graphs(proto: NodeProto) -> Mapping[str, GraphProto]:
    return {attribute.name: attribute.g for attribute in proto.attribute if attribute.HasField("g")}


def _no_converter(*_: object) -> None:
    raise AssertionError("what holds graphs is walked, not converted")


CONTROL: Mapping[str, Control] = {"If": add_if, "Loop": add_loop, "Scan": add_scan}
