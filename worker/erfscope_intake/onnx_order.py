"""Nodes in an order in which they can be computed: files as some converters write them have others."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from onnx import GraphProto, NodeProto


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def sort_nodes(root: GraphProto) -> None:
    """Put the nodes of a graph, and of those in it, behind what they read, in place; others stay where they are.

    Nodes of a cycle, and those behind it, keep their place at the end: the check of names tells of them.
    """
    for node in root.node:
        for inner in subgraphs(node):
            sort_nodes(inner)
    order = _order(root)
    if order != list(range(len(order))):
        nodes = [NodeProto.FromString(root.node[k].SerializeToString()) for k in order]
        del root.node[:]
        root.node.extend(nodes)


def _order(graph: GraphProto) -> list[int]:
    made = {name: k for k, node in reversed(list(enumerate(graph.node))) for name in node.output if name}
    waits = [{made[name] for name in names_read(node) if name in made} - {k} for k, node in enumerate(graph.node)]
    readers: list[list[int]] = [[] for _ in graph.node]
    for k, before in enumerate(waits):
        for one in before:
            readers[one].append(k)
    ready = [k for k, before in enumerate(waits) if not before]
    heapify(ready)
    order, left = list[int](), [len(before) for before in waits]
    while ready:
        k = heappop(ready)
        order.append(k)
        for reader in readers[k]:
            left[reader] -= 1
            if not left[reader]:
                heappush(ready, reader)
    placed = set(order)
    return order + [k for k in range(len(graph.node)) if k not in placed]


def names_read(node: NodeProto) -> set[str]:
    """What a node reads, the graphs in it included."""
    names = set(filter(None, node.input))
    for graph in subgraphs(node):
        names |= {value.name for value in graph.output}
        for inner in graph.node:
            names |= names_read(inner)
    return names
