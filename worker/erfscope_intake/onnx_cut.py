"""The part of a graph that a layer needs: what is behind the layer is not built."""

from collections.abc import Iterator, Set

from onnx import GraphProto, NodeProto, ValueInfoProto

from erfscope_intake.onnx_audit import graphs
from erfscope_intake.onnx_names import Names
from erfscope_intake.onnx_order import names_read, subgraphs


def cut_behind(graph: GraphProto, names: Names, layer: str) -> str | None:
    """Drop the nodes behind the one that makes `layer`, in place; the neutral name of that tensor.

    `layer` is a tensor's name or a node's, as the engine takes them. None, and nothing is dropped, where no node's
    output is called so.
    """
    tensor = _called(graph, names, layer)
    if tensor is None:
        return None
    last = next(k for k, node in enumerate(graph.node) if tensor in _made_in(node))
    del graph.node[last + 1 :]
    made = {name for node in graph.node for name in node.output}
    made |= {value.name for value in graph.input} | {weight.name for weight in graph.initializer}
    outputs = [value for value in graph.output if value.name in made]
    del graph.output[:]
    graph.output.extend(outputs)
    if tensor in made and all(value.name != tensor for value in outputs):
        graph.output.append(ValueInfoProto(name=tensor))
    return tensor


def without_outputs(graph: GraphProto, unwanted: Set[str]) -> None:
    """Drop outputs, in place, and the nodes that serve no other output."""
    wanted = [value for value in graph.output if value.name not in unwanted]
    needed = _needed(graph, {value.name for value in wanted})
    alone = _needed(graph, unwanted) - needed
    nodes = [node for k, node in enumerate(graph.node) if k not in alone]
    for field, values in ((graph.output, wanted), (graph.node, nodes)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)


def _needed(graph: GraphProto, values: Set[str]) -> set[int]:
    """Which nodes lead to these values, by their places; nodes are in an order in which they can be computed."""
    wanted, nodes = set(values), set[int]()
    for k in reversed(range(len(graph.node))):
        if not wanted.isdisjoint(graph.node[k].output):
            nodes.add(k)
            wanted |= names_read(graph.node[k])
    return nodes


def spellings(label: str, tensor: str) -> Iterator[str]:
    """What people call the first output of a node: the node's name, and both names without exporters' trimmings."""
    for name in (label, tensor.removesuffix("_output_0"), tensor.removesuffix(":0")):
        if name:
            yield name
            yield name.lstrip("/")


def _called(graph: GraphProto, names: Names, layer: str) -> str | None:
    """The tensor of that very name, else the first node's that can be called so, else what a module of it gives."""
    nodes = [node for part in graphs(graph) for node in part.node]
    made: list[str] = [name for node in nodes for name in node.output if name]
    if layer in map(names.values.get, made):
        return next(name for name in made if names.values[name] == layer)
    for node in nodes:
        first: str = next(filter(None, node.output), "")
        if first and layer in spellings(names.nodes[node.name], names.values[first]):
            return first
    return next((name for name in reversed(made) if layer in names.modules.get(name, ())), None)


def _made_in(node: NodeProto) -> set[str]:
    """What a node makes, the graphs in it included."""
    made = set(node.output)
    for graph in subgraphs(node):
        for inner in graph.node:
            made |= _made_in(inner)
    return made
