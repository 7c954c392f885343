"""The part of an ONNX model that one of its tensors is computed from."""

from collections.abc import Iterator

from onnx import ModelProto, NodeProto

from erfscope_intake.onnx_order import subgraphs


def upto(model: ModelProto, tensor: str) -> ModelProto:
    """A copy with the nodes of the main graph that `tensor` is computed from; all where no such node computes it."""
    copy = ModelProto()
    copy.CopyFrom(model)
    producers = {name: node for node in model.graph.node for name in node.output if name}
    needed, waiting = set[str](), [tensor]
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and node.output[0] not in needed:
            needed.add(node.output[0])
            waiting += _reads(node)
    if needed:
        del copy.graph.node[:]
        copy.graph.node.extend(node for node in model.graph.node if node.output[0] in needed)
    return copy


def _reads(node: NodeProto) -> Iterator[str]:
    """What a node reads, the graphs that it holds included."""
    yield from node.input
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from _reads(inner)
