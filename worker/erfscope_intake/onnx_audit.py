"""The audit: is this parsed file something that may be converted? Iterative and bounded, before any ONNX pass."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from erfscope_contract.problem import ProblemError
from erfscope_intake.bounds import (
    MAX_EXTENT,
    MAX_GRAPH_DEPTH,
    MAX_INT,
    MAX_NODES,
    check_axes,
    check_list,
    check_ports,
    too_complex,
)
from erfscope_intake.onnx_external import DataFiles, Sent, attach, of_graph, of_node, words_for
from erfscope_intake.onnx_functions import inline
from erfscope_intake.onnx_order import sort_nodes, subgraphs
from erfscope_intake.onnx_scan import scan
from erfscope_intake.onnx_tensors import check_tensor

OLDEST_OPSET = 6
POSITIVE = {"strides", "dilations", "kernel_shape", "group", "blocksize", "num_groups", "num_outputs"}


@dataclass(frozen=True)
class OnnxFile:
    """An audited model, and the files beside it that large tensors have their data in."""

    proto: ModelProto
    data: DataFiles


def read_model(path: Path, sent: Sent | None = None) -> OnnxFile:
    """The audited model in `path`, local functions inlined.

    `sent` are the files that came with it, by name; without it, its folder is where the files lie that it names.
    Raises ProblemError: invalid-model, external-data, unsupported-model, unsupported-op, model-too-complex.
    """
    data = path.read_bytes()
    if not data:
        raise ProblemError("invalid-model", "The file is empty.")
    scan(data)
    try:
        model = ModelProto.FromString(data)
    except DecodeError as error:
        raise ProblemError("invalid-model", "It is not ONNX at all, or it is cut short.") from error
    beside = attach(_tensors(model), path, sent)
    return OnnxFile(audited(model), beside)


def audited(model: ModelProto) -> ModelProto:
    """`model` after all checks, local functions inlined; data beside it were attached before."""
    if not model.HasField("graph") or not model.opset_import:
        raise ProblemError("invalid-model", "The file holds no ONNX graph.")
    _check_text(model.graph.name, *(entry.domain for entry in model.opset_import))
    if model.training_info:
        raise ProblemError("unsupported-model", "The model carries training graphs; export it for inference.")
    check_opset(model)
    for function in model.functions:
        _check_text(function.name, function.domain, function.overload)
    for node in _nodes_of_functions(model):
        _check_attributes(node)
    for graph in graphs(model.graph):
        _check_graph(graph)
    if model.functions:
        model = inline(model)
        for graph in graphs(model.graph):
            _check_graph(graph)
    sort_nodes(model.graph)
    check_names(model.graph)
    return model


def _tensors(model: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    """Every tensor that can be computed with, each with words for where it is."""
    for graph in graphs(model.graph):
        yield from of_graph(graph)
    for function in model.functions:
        for node in function.node:
            yield from of_node(node)
            for sub in subgraphs(node):
                for graph in graphs(sub):
                    yield from of_graph(graph)


def check_opset(model: ModelProto) -> None:
    """The version of ONNX's own operators must be one that is known."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    for version in versions:
        if not OLDEST_OPSET <= version <= newest:
            raise ProblemError(
                "unsupported-op",
                f"The model uses opset {version}; {OLDEST_OPSET} to {newest} can be converted. "
                "Export it again with one of those.",
                opset=version,
            )


def graphs(root: GraphProto) -> Iterator[GraphProto]:
    """`root` and every subgraph in it, breadth first, with bounds on depth and number of nodes."""
    level, total = [root], 0
    for _ in range(MAX_GRAPH_DEPTH):
        below: list[GraphProto] = []
        for graph in level:
            total += len(graph.node)
            if total > MAX_NODES:
                too_complex(f"The model has more than {MAX_NODES} nodes.", MAX_NODES)
            yield graph
            below += [sub for node in graph.node for sub in subgraphs(node)]
        if not below:
            return
        level = below
    raise ProblemError("model-too-complex", f"Subgraphs are nested more than {MAX_GRAPH_DEPTH} deep.")


def _nodes_of_functions(model: ModelProto) -> Iterator[NodeProto]:
    for function in model.functions:
        yield from _nodes_of_function(function)


def _nodes_of_function(function: FunctionProto) -> Iterator[NodeProto]:
    for node in function.node:
        yield node
        for sub in subgraphs(node):
            for graph in graphs(sub):
                _check_graph(graph)


def _check_graph(graph: GraphProto) -> None:
    if graph.sparse_initializer:
        raise ProblemError("unsupported-model", "Sparse weights cannot be converted; save them dense.")
    for named in (*graph.initializer, *graph.input, *graph.output):
        _check_text(named.name)
    for tensor in graph.initializer:
        check_tensor(tensor, f"Weight {tensor.name[:80]!r}")
    for value in (*graph.input, *graph.output, *graph.value_info):
        _check_shape(value)
    for node in graph.node:
        _check_attributes(node)


def _check_shape(value: ValueInfoProto) -> None:
    extents = value.type.tensor_type.shape.dim
    check_axes(len(extents), repr(value.name[:80]))
    for extent in extents:
        # -1 is how some exporters write a free axis
        if not -1 <= extent.dim_value < MAX_EXTENT:
            raise ProblemError("invalid-model", f"{value.name[:80]!r} has the impossible extent {extent.dim_value}.")


def _check_text(*texts: str | bytes) -> None:
    """Protocol buffers hand out text that is not UTF-8 as bytes."""
    if any(isinstance(text, bytes) for text in texts):
        raise ProblemError("invalid-model", "A name in the model is not text.")


def _check_attributes(node: NodeProto) -> None:
    check_ports(len(node.input), len(node.output), f"{node.op_type[:80]} {node.name[:80]!r}")
    names = (attribute.name for attribute in node.attribute)
    _check_text(node.op_type, node.domain, node.name, node.overload, *node.input, *node.output, *names)
    for attribute in node.attribute:
        where = words_for(attribute, node)
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            check_tensor(tensor, where)
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise ProblemError("unsupported-model", f"{where} is sparse; save it dense.")
        _check_numbers(attribute, where)


def _check_numbers(attribute: AttributeProto, where: str) -> None:
    for numbers in (attribute.floats, attribute.ints, [attribute.i]):
        check_list(attribute.name, numbers, where)
    values = [*attribute.ints, *([attribute.i] if attribute.HasField("i") else [])]
    if attribute.name in POSITIVE and any(value < 1 for value in values):
        raise ProblemError("invalid-model", f"{where} must be at least 1.")
    if attribute.name in POSITIVE | {"pads", "output_padding"} and any(abs(value) > MAX_INT for value in values):
        raise ProblemError("invalid-model", f"{where} is impossibly large.")


def check_names(root: GraphProto) -> None:
    """Every value is made once and before it is used; behind `sort_nodes` that rules out cycles."""
    _check_scope(root, ())


def _check_scope(graph: GraphProto, outer: tuple[set[str], ...]) -> None:
    """One graph and, by recursion that `graphs` has bounded, those in it."""
    named = Counter(value.name for value in graph.input)
    if twice := next((name for name, times in named.items() if times > 1), None):
        raise ProblemError("invalid-model", f"Two inputs of a graph are called {twice[:80]!r}.")
    own = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    scopes = (own, *outer)
    for node in graph.node:
        for name in node.input:
            if name and not any(name in scope for scope in scopes):
                raise ProblemError(
                    "invalid-model",
                    f"{node.op_type[:80]} {node.name[:80]!r} reads {name[:80]!r}, which nothing before it makes: "
                    "no node makes it, or the graph has a cycle.",
                )
        for sub in subgraphs(node):
            _check_scope(sub, scopes)
        for name in filter(None, node.output):
            if name in own:
                raise ProblemError("invalid-model", f"Two nodes make {name[:80]!r}.")
            own.add(name)
    for value in graph.output:
        if not any(value.name in scope for scope in scopes):
            raise ProblemError("invalid-model", f"Nothing makes the output {value.name[:80]!r}.")
