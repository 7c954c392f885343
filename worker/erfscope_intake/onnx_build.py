"""Building a program out of a renamed graph, node by node.

What depends neither on the measured input nor on its shape is computed here, once. What depends on the shape
alone (Shape → Gather → Concat → Reshape) is computed at each run, outside of any tape, on real numbers. What cannot be
run is left out with all that follows it; whoever needs it is told why.
"""

from onnx import GraphProto

from erfscope_intake.onnx_control import CONTROL
from erfscope_intake.onnx_graph import Build, Program, domain_of
from erfscope_intake.onnx_order import names_read
from erfscope_intake.onnx_place import add_node
from erfscope_intake.onnx_tensors import to_torch


def build(graph: GraphProto, state: Build) -> Program:
    """The program of `graph`; values that its steps make are entered into `state` on the way."""
    program = Program(constants=state.constants)
    read = {value.name for value in graph.output}.union(*map(names_read, graph.node))
    for tensor in (tensor for tensor in graph.initializer if tensor.name in read):
        state.constants[tensor.name] = to_torch(tensor, state.outside)
    for proto in graph.node:
        add = CONTROL.get(proto.op_type) if domain_of(proto.domain) == "" else None
        if add is None:
            add_node(proto, program, state)
        else:
            add(proto, program, state, build)
    program.outputs = [value.name for value in graph.output]
    return program
