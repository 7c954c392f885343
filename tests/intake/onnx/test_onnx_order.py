"""Files whose nodes are out of order are sorted, as onnxruntime does; a cycle is told."""

from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, helper, numpy_helper
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.onnx_order import sort_nodes


def saved(path: Path, nodes: list[NodeProto]) -> Path:
    """A network of 3×3 convolutions, with these nodes."""
    kernel = numpy_helper.from_array(np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32), "w")
    ends = [helper.make_tensor_value_info(name, 1, [1, 3, 9, 9]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], [kernel])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def chain() -> list[NodeProto]:
    """Two convolutions with a residual and an If whose branches read a value from outside."""

    def branch(name: str, operator: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, 1, [1, 3, 9, 9])
        return helper.make_graph([helper.make_node(operator, ["b"], [name])], name, [], [out])

    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    always = helper.make_tensor("always", 9, [], [1])
    return [
        helper.make_node("Conv", ["x", "w"], ["a"], **conv),
        helper.make_node("Conv", ["a", "w"], ["b"], **conv),
        helper.make_node("Constant", [], ["when"], value=always),
        helper.make_node("If", ["when"], ["c"], then_branch=branch("t", "Neg"), else_branch=branch("e", "Relu")),
        helper.make_node("Add", ["c", "a"], ["y"]),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_nodes_are_the_same_network(tmp_path: Path, seed: int) -> None:
    nodes = chain()
    Random(seed).shuffle(nodes)
    x, results = torch.randn(1, 3, 9, 9), []
    for each in (chain(), nodes):
        network = load_onnx(saved(tmp_path / "net.onnx", each), InputOptions(), dtype=torch.float32,
                            device=torch.device("cpu"))  # fmt: skip
        seen: dict[str, torch.Tensor] = {}
        network.run(x, lambda name, operator, value, seen=seen: seen.setdefault(name, value))
        results.append(seen["y"])
    assert torch.equal(*results)


def test_a_graph_in_order_stays_as_it_is(tmp_path: Path) -> None:
    graph = onnx.load(saved(tmp_path / "net.onnx", chain())).graph
    before = graph.SerializeToString()
    sort_nodes(graph)
    assert graph.SerializeToString() == before


def test_a_cycle_is_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Relu", ["b"], ["y"])]  # fmt: skip
    with pytest.raises(ProblemError, match="cycle") as told:
        load_onnx(saved(tmp_path / "net.onnx", nodes), InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    assert told.value.kind == "invalid-model"


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_a_real_network_shuffled(tmp_path: Path) -> None:
    net, path = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1)).eval(), tmp_path / "n.onnx"
    torch.onnx.export(net, (torch.zeros(1, 3, 8, 8),), path, dynamo=False, verbose=False)
    model = onnx.load(path)
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    network = load_onnx(path, InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    x, seen = torch.randn(1, 3, 8, 8), list[torch.Tensor]()
    network.run(x, lambda name, operator, value: seen.append(value))
    torch.testing.assert_close(seen[-1], net(x))
