"""An ONNX file as a Network: audit → neutral names → program → a function of one input."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from onnx import ModelProto, NodeProto, TensorProto
from torch import Tensor

from erfscope.contract.problem import ProblemError
from erfscope.contract.request import InputOptions, Weights
from erfscope_engine.network import Mark, Network, Run
from erfscope_intake.converters import TABLE
from erfscope_intake.converters.recurrent import RECURRENT
from erfscope_intake.onnx_audit import OnnxFile, graphs, read_model
from erfscope_intake.onnx_behind import Behind, registered
from erfscope_intake.onnx_draw import redraw_of, spread_of, weights_of
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_graph import Build, Program, all_steps, build, domain_of, finish
from erfscope_intake.onnx_inputs import Measured, declared_inputs, measured_input, other_inputs
from erfscope_intake.onnx_layout import CHANNELS_SECOND
from erfscope_intake.onnx_names import Names, renamed
from erfscope_intake.onnx_run import Walk
from erfscope_intake.onnx_shapes import fitting
from erfscope_intake.onnx_words import unsupported

Edit = Callable[[ModelProto], None]
QUANTISED = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM",
)  # fmt: skip


@dataclass(frozen=True)
class InputInfo:
    """One input as the file declares it; None where an extent is free."""

    name: str
    type: str
    shape: list[int | None]


@dataclass(frozen=True)
class OnnxSummary:
    """What is in a file: operators by number, and those that cannot be converted."""

    name: str
    inputs: list[InputInfo]
    outputs: list[str]
    operators: dict[str, int]
    unsupported: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Opened:
    """A network with what else is known of its file: its own input, and what the others are fed."""

    network: Network
    measured: Measured
    others: dict[str, Tensor]  # by the file's names, for a batch of one
    program: Program


def load_onnx(
    path: Path,
    options: InputOptions,
    *,
    dtype: torch.dtype,
    device: torch.device,
    weights: Weights = Weights.GIVEN,
    seed: int = 0,
    edit: Edit | None = None,
    data: Sent | None = None,
) -> Network:
    """The network in `path`, to be measured on one input of shape (batch, channels, *space).

    With a scheme for `weights` every layer's weights are drawn anew (draw 0 of `seed`); Network.redraw draws others.
    `edit` may change the model that was read, in place, before it is built. `data` are the files that came with the
    model, by name; without it, the files that it names are looked for in its folder.

    Raises ProblemError: invalid-model, external-data, unsupported-model, unsupported-op, model-too-complex,
    resource-limit, shape-mismatch, data-dependent, no-gradient.
    """
    opened = open_onnx(path, options, dtype=dtype, device=device, edit=edit, data=data)

    def at(other: torch.dtype) -> Network:
        return load_onnx(path, options, dtype=other, device=device, weights=weights, seed=seed, edit=edit, data=data)

    if weights is Weights.GIVEN:
        return replace(opened.network, at=at)
    redraw = redraw_of(opened.program, weights, seed)
    redraw(0)
    return replace(
        opened.network,
        at=at,
        redraw=redraw,
        weights=weights_of(opened.program, weights),
        spread=spread_of(opened.program, weights),
    )


def open_onnx(
    path: Path,
    options: InputOptions,
    *,
    dtype: torch.dtype,
    device: torch.device,
    edit: Edit | None = None,
    data: Sent | None = None,
) -> Opened:
    """Like load_onnx, with the model's own view of its inputs."""
    file = read_model(path, data)
    if edit is not None:
        edit(file.proto)
    check_operators(file.proto)
    name = file.proto.graph.name or path.stem
    opened = _opened(file, name, options, dtype, device)
    if options.shape is not None or not opened.measured.free:
        return opened

    def at(shape: Sequence[int]) -> Network:
        if opened.others:  # what they are fed may hang on the shape
            return _opened(file, name, options.model_copy(update={"shape": list(shape)}), dtype, device).network
        return replace(opened.network, input_shape=tuple(shape))

    return replace(opened, network=fitting(opened.network, opened.measured.alternatives(), at))


def _opened(file: OnnxFile, name: str, options: InputOptions, dtype: torch.dtype, device: torch.device) -> Opened:
    graph, names = renamed(file.proto.graph)
    measured = measured_input(graph, names, options)
    feeds = other_inputs(graph, measured)
    state = Build(
        names, versions_of(file.proto), Behind(graph, file.data), dtype,
        constants={name: value for name, (value, batched) in feeds.items() if not batched},
        follows={measured.declared.name},
        shaped={name for name, (_, batched) in feeds.items() if batched},
        outside=file.data.array,
    )  # fmt: skip
    program = build(graph, state)
    finish(program, state, device)
    _check_something_left(program)
    _check_not_only_recurrent(program)
    repeated = {name: value for name, (value, batched) in feeds.items() if batched}
    network = Network(
        name=name,
        run=_runner(Walk(program, names.values, dtype, device), measured, repeated),
        input_name=names.values[measured.declared.name],
        input_shape=measured.shape,
        dtype=dtype,
        device=device,
        batch=measured.batch,
        aliases=_aliases(program, names),
        notes=(*measured.notes, *_notes(program)),
    )
    return Opened(network, measured, {names.values[name]: value for name, (value, _) in feeds.items()}, program)


def _runner(walk: Walk, measured: Measured, repeated: dict[str, Tensor]) -> Run:
    def run(x: Tensor, mark: Mark) -> object:
        own = measured.layout.to_model(x)
        others = {name: value.expand(len(x), *value.shape[1:]) for name, value in repeated.items()}
        outputs = walk.run({measured.declared.name: own, **others}, mark)
        return {walk.names[name]: value for name, value in outputs.items()}

    return run


def check_operators(model: ModelProto) -> None:
    """Every operator of the main graph must have a converter, before anything else is asked of the model."""
    versions = versions_of(model)
    for node in model.graph.node:
        if not convertible(node, versions):
            raise unsupported(node.op_type, domain_of(node.domain), node.name)


def versions_of(model: ModelProto) -> dict[str, int]:
    """Operator set version by domain."""
    return {domain_of(entry.domain): entry.version for entry in model.opset_import}


def _check_something_left(program: Program) -> None:
    if program.lost and not any(step.follows_input for step in program.steps):
        step = program.lost[0]
        raise ProblemError(
            "data-dependent",
            f"{step.node.operator} (node {step.label[:200]!r}) decides shapes or paths by the input's values, "
            "and nothing before it can be measured.",
            operator=step.node.operator,
            node=step.label[:200],
        )


def _check_not_only_recurrent(program: Program) -> None:
    """A recurrent layer behind a convolution leaves that to be measured; one that reads the input itself, nothing."""
    for step in program.steps:
        if step.node.operator in RECURRENT and step.follows_input:
            raise unsupported(step.node.operator, step.node.domain, step.label)
        if step.node.operator in CHANNELS_SECOND and step.follows_input:
            return


def _aliases(program: Program, names: Names) -> dict[str, str]:
    """Other names that people use for a tensor: its node's, and both without exporters' trimmings."""
    aliases: dict[str, str] = {}
    for step in all_steps(program):
        first = next((names.values[name] for name in step.outputs if name), None)
        if first is None or not step.follows_input:
            continue
        for name in _spellings(step.label, first):
            aliases.setdefault(name, first)
    taken = {names.values[name] for step in all_steps(program) for name in step.outputs if name}
    return {name: tensor for name, tensor in aliases.items() if name not in taken}


def _spellings(label: str, tensor: str) -> Iterator[str]:
    for name in (label, tensor.removesuffix("_output_0"), tensor.removesuffix(":0")):
        if name:
            yield name
            yield name.lstrip("/")


def _notes(program: Program) -> list[str]:
    notes = list(program.notes)
    steps = all_steps(program)
    if any(s.node.operator in QUANTISED or s.node.operator.startswith("QLinear") for s in steps if s.follows_input):
        notes.append(
            "The network is quantised; it is computed in real numbers: scales and saturation stay, rounding goes."
        )
    if any(s.node.operator == "BatchNormalization" and s.node.int("training_mode", 0) for s in steps):
        notes.append("BatchNormalization in training mode is computed with its stored statistics.")
    if any(s.node.operator.startswith("Random") for s in steps):
        notes.append("The network draws random numbers of its own; here they are the same in every run.")
    for step in steps:
        if step.node.operator in RECURRENT and step.follows_input:
            notes.append(f"{step.node.operator} (node {step.label[:200]!r}) is recurrent; nothing behind it has units.")
    for lost in program.lost:
        notes.append(
            f"{lost.node.operator} (node {lost.label[:200]!r}) decides shapes or paths by the input's values; "
            "it and what follows it are left out."
        )
    return notes


def describe_onnx(path: Path, data: Sent | None = None) -> OnnxSummary:
    """What is in the file, converted or not; raises ProblemError where the audit refuses it."""
    model = read_model(path, data).proto
    versions = versions_of(model)
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    operators = Counter(_qualified(node) for node in nodes)
    bad = sorted({_qualified(node) for node in nodes if not convertible(node, versions)})
    inputs = [InputInfo(one.name, _type_name(one.element), list(one.extents)) for one in declared_inputs(model.graph)]
    outputs = [value.name for value in model.graph.output]
    return OnnxSummary(model.graph.name or path.stem, inputs, outputs, dict(operators.most_common()), bad)


def convertible(node: NodeProto, versions: dict[str, int]) -> bool:
    """Whether a converter exists for a node's operator."""
    domain = domain_of(node.domain)
    if (domain, node.op_type) in TABLE or (domain, node.op_type) == ("", "If"):
        return True
    return domain == "" and registered(node.op_type, domain, versions.get(domain, 0)) is not None


def _qualified(node: NodeProto) -> str:
    return f"{domain_of(node.domain)}::{node.op_type}" if domain_of(node.domain) else node.op_type


def _type_name(element: int) -> str:
    return TensorProto.DataType.Name(element).lower() if element in TensorProto.DataType.values() else str(element)
