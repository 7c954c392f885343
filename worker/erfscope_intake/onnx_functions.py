"""Local functions (torch's newer exporter writes them): inlined, once it is known that the result is bounded."""

from onnx import FunctionProto, ModelProto, NodeProto, inliner

from erfscope_contract.problem import ProblemError
from erfscope_intake.bounds import MAX_NODES

Key = tuple[str, str, str]


def inline(model: ModelProto) -> ModelProto:
    """`model` with every local function written out.

    Raises ProblemError("unsupported-model") where functions call themselves or grow beyond the node limit.
    """
    sizes = _expanded_sizes({_key_of(function): function for function in model.functions})
    total = sum(sizes.get(key, 1) for key in map(_called, _all_nodes(list(model.graph.node))))
    if total > MAX_NODES:
        raise ProblemError(
            "unsupported-model",
            f"Its functions written out would be more than {MAX_NODES} nodes.",
            limit=MAX_NODES,
        )
    try:
        inlined: ModelProto = inliner.inline_local_functions(model)
    except Exception as error:  # the inliner is C++ and raises bare RuntimeErrors among others
        raise ProblemError("unsupported-model", "The model's functions cannot be written out.") from error
    return inlined


def _key_of(function: FunctionProto) -> Key:
    return (_domain(function.domain), function.name, function.overload)


def _called(node: NodeProto) -> Key:
    return (_domain(node.domain), node.op_type, node.overload)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _all_nodes(nodes: list[NodeProto]) -> list[NodeProto]:
    """Nodes and those in their subgraphs, without recursion."""
    found, pending = [], list(nodes)
    while pending:
        node = pending.pop()
        found.append(node)
        for attribute in node.attribute:
            graphs = [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            pending += [inner for graph in graphs for inner in graph.node]
    return found


def _expanded_sizes(functions: dict[Key, FunctionProto]) -> dict[Key, int]:
    """Number of nodes of every function when written out; callees first, by an iterative depth-first walk."""
    calls = {key: [_called(n) for n in _all_nodes(list(f.node))] for key, f in functions.items()}
    sizes: dict[Key, int] = {}
    open_: set[Key] = set()
    stack = list(functions)
    while stack:
        key = stack[-1]
        if key in sizes:
            stack.pop()
            continue
        open_.add(key)
        missing = [callee for callee in set(calls[key]) if callee in functions and callee not in sizes]
        if any(callee in open_ for callee in missing):
            raise ProblemError("unsupported-model", "A function of the model calls itself.")
        if missing:
            stack += missing
            continue
        # A function without nodes costs a call to write out, too: were it nothing, 2**60 calls of it would pass.
        sizes[key] = max(1, sum(sizes.get(callee, 1) for callee in calls[key]))
        open_.discard(stack.pop())
    return sizes
