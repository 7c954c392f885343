"""Modules that a network calls several times: which call a module's name stands for."""

from collections import Counter

from onnx import GraphProto, NodeProto

from erfscope_intake.onnx_draw import LAYERS
from erfscope_intake.onnx_names import Names

NOTE = (
    "Module {module!r} is called {count} times, and its name means the last call. The layers of its calls are "
    "{layers}, in this order; name one of them to measure that call."
)
MOST_NAMED = 8


def notes_on_calls(graph: GraphProto, names: Names, layer: str | None) -> list[str]:
    """A note where `layer` is the name of a module that is called several times: its calls share their weights."""
    if layer is None or layer in names.values.values():
        return []
    inside = [node for node in graph.node if any(layer in names.modules.get(name, ()) for name in node.output)]
    weighted = [node for node in inside if _weight(node)]
    used = Counter(map(_weight, weighted))
    shared = next((weight for weight, count in used.items() if count > 1), None)
    if shared is None:
        return []
    calls = [names.values[node.output[0]] for node in weighted if _weight(node) == shared]
    more = f" and {len(calls) - MOST_NAMED} more" if len(calls) > MOST_NAMED else ""
    listed = ", ".join(repr(name) for name in calls[:MOST_NAMED]) + more
    return [NOTE.format(module=layer, count=len(calls), layers=listed)]


def _weight(node: NodeProto) -> str:
    """The name of a convolution's or dense layer's weight; empty for another operator."""
    return node.input[1] if node.op_type in LAYERS and len(node.input) > 1 else ""
