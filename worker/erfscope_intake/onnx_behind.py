"""What our table does not have: onnx2torch's converters, taken from its registry one node at a time.

`onnx2torch.convert` is never called: it builds generated Python out of node names. Its converters get neutral
names only (see onnx_names) and the module that they answer is run eagerly, like ours.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnx import GraphProto, NodeProto, ValueInfoProto, defs, helper, shape_inference
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import Node, Row
from erfscope_intake.onnx_external import DataFiles, is_outside
from erfscope_intake.onnx_library import registry

# Its answers are wrong (1.5.15) or read values where ours need not; never fall back to these.
DISTRUSTED = {"NonMaxSuppression"}
SHAPES = 1 << 10  # bytes: larger constants are no shapes, and not copied where shapes are inferred


def registered(operator: str, domain: str, version: int) -> int | None:
    """The newest version of `operator` in the registry that is not above the model's, if any."""
    if operator in DISTRUSTED:
        return None
    try:
        since = defs.get_schema(operator, domain=domain, max_inclusive_version=version).since_version
    except (RuntimeError, defs.SchemaError):
        return None
    known = [row.version for row in registry() if (row.domain, row.operation_type) == (domain, operator)]
    return max((candidate for candidate in known if candidate <= since), default=None)


class Behind:
    """The registry as seen from one (renamed) graph."""

    def __init__(self, graph: GraphProto, data: DataFiles) -> None:
        self._proto = graph
        self._data = data
        self._graph: Any = None  # made when the first node needs it
        self._outside = {tensor.name: tensor for tensor in graph.initializer if is_outside(tensor)}

    def _graph_at(self, version: int) -> Any:
        """The graph as onnx2torch has it, with the shapes that some of its converters look at."""
        from onnx2torch.onnx_graph import OnnxGraph

        if self._graph is None:
            known = {value.name for value in self._proto.value_info}
            inferred = _shapes(self._proto, version)
            self._proto.value_info.extend(value for value in inferred if value.name not in known)
            self._graph = OnnxGraph(self._proto)
        return self._graph

    def row(self, proto: NodeProto, domain: str, version: int, label: str) -> Row | None:
        """A row that runs onnx2torch's module for this very node; None where it has no converter."""
        known = registered(proto.op_type, domain, version)
        if known is None:
            return None
        for name in proto.input:  # its converters know of no other file
            if name in self._outside:
                self._data.embed(self._outside.pop(name))
        from onnx2torch.node_converters.registry import OperationDescription
        from onnx2torch.onnx_node import OnnxNode

        convert = registry()[OperationDescription(domain, proto.op_type, known)]
        try:
            module, mapping = convert(OnnxNode(proto, unique_name=proto.name), self._graph_at(version))
        except (NotImplementedError, KeyError, ValueError) as error:
            raise ProblemError(
                "unsupported-op",
                f"{proto.op_type} (node {label[:200]!r}) cannot be converted: {str(error)[:200]}",
                operator=proto.op_type,
                node=label[:200],
            ) from error
        places = [list(proto.input).index(name) for name in mapping.inputs]
        return Row(proto.op_type, _call(module.eval().requires_grad_(False), places), domain)


def _shapes(graph: GraphProto, version: int) -> list[ValueInfoProto]:
    """The shapes that onnx infers; none where it cannot."""
    light = GraphProto(name=graph.name, node=graph.node, input=graph.input, output=graph.output)
    for tensor in graph.initializer:
        if is_outside(tensor) or tensor.ByteSize() > SHAPES:
            light.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            light.initializer.append(tensor)
    try:
        model = helper.make_model(light, opset_imports=[helper.make_opsetid("", version)])
        return list(shape_inference.infer_shapes(model).graph.value_info)
    except (ValueError, RuntimeError, shape_inference.InferenceError):
        return []


def _call(module: torch.nn.Module, places: list[int]) -> Callable[..., Any]:
    def function(node: Node, *tensors: Tensor) -> Any:
        module.to(node.dtype)
        return module(*(tensors[place] for place in places))

    return function
