"""Neutral names: nothing that a file's author wrote as a name reaches a converter.

onnx2torch makes module names of node names and torch.fx pastes those into generated Python (measured); we run
neither, and still no name of the file gets that far. The originals stay in a table, for people.
"""

from collections import ChainMap
from dataclasses import dataclass, field

from onnx import GraphProto, NodeProto

from erfscope_intake.onnx_order import subgraphs
from erfscope_intake.onnx_scopes import modules_of


@dataclass
class Names:
    """Neutral name → the file's own, for values and for nodes; free axes the other way round."""

    values: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    modules: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # that hold the node of an output, by its neutral name
    axes: dict[str, str] = field(default_factory=dict)

    def value(self, original: str) -> str:
        """A new neutral name for a value."""
        neutral = f"v{len(self.values)}"
        self.values[neutral] = original
        return neutral

    def node(self, original: str) -> str:
        """A new neutral name for a node."""
        neutral = f"n{len(self.nodes)}"
        self.nodes[neutral] = original
        return neutral

    def axis(self, original: str) -> str:
        """The neutral name of a free axis; equal originals stay equal."""
        return self.axes.setdefault(original, f"d{len(self.axes)}")


Scope = ChainMap[str, str]


def renamed(graph: GraphProto) -> tuple[GraphProto, Names]:
    """A copy of an audited graph with neutral names (unique through all subgraphs), and the table back."""
    names = Names()
    copy = GraphProto()
    copy.CopyFrom(graph)
    pending: list[tuple[GraphProto, Scope]] = [(copy, ChainMap())]
    while pending:
        part, outer = pending.pop()
        pending += _rename_graph(part, outer, names)
    return copy, names


def _rename_graph(graph: GraphProto, outer: Scope, names: Names) -> list[tuple[GraphProto, Scope]]:
    scope, inner = outer.new_child(), []
    graph.name, graph.doc_string = "graph", ""
    for cleared in ("value_info", "metadata_props", "quantization_annotation"):
        graph.ClearField(cleared)
    own = [*(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)]
    scope.update({name: names.value(name) for name in dict.fromkeys(own)})
    for tensor in graph.initializer:
        tensor.name, tensor.doc_string = scope[tensor.name], ""
    for node in graph.node:
        inner += [(sub, scope) for sub in subgraphs(node)]
        _rename_node(node, scope, names)
    for value in (*graph.input, *graph.output):
        value.name, value.doc_string = scope[value.name], ""
        for extent in value.type.tensor_type.shape.dim:
            extent.denotation = ""
            if extent.dim_param:
                extent.dim_param = names.axis(extent.dim_param)
    return inner


def _rename_node(node: NodeProto, scope: Scope, names: Names) -> None:
    modules = modules_of(node)
    node.name, node.doc_string = names.node(node.name), ""
    node.ClearField("metadata_props")
    node.input[:] = [scope[name] if name else "" for name in node.input]
    for name in node.output:
        if name:
            scope[name] = names.value(name)
            names.modules[scope[name]] = modules
    node.output[:] = [scope[name] if name else "" for name in node.output]
    for attribute in node.attribute:
        attribute.doc_string = ""
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            tensor.name, tensor.doc_string = "", ""
