"""The rows of RELIABILITY that concern files: each hostile model gets its verdict, none runs."""

import contextlib
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_intake.onnx_model import load_onnx

Make = Callable[..., ModelProto]
Save = Callable[[Any], Path]
node = helper.make_node
DOMAINS = {"my.domain": 1, "ai.onnx.ml": 3, "com.microsoft": 1, "com.microsoft.nchwc": 1}


def verdict(path: Path) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        measure(path)
    return caught.value


def measure(path: Path) -> None:
    network = load_onnx(path, InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    network.run(torch.zeros(network.batch or 1, *network.input_shape), lambda *_: None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is no model",
        bytes(range(256)) * 8,
        pickle.dumps({"weights": [1.0]}),
        b"\x3a\xff\xff\xff\xff\x0f",
    ],
    ids=["empty", "text", "bytes", "pickle", "overlong"],
)
def test_not_onnx(data: bytes, saved: Save) -> None:
    assert verdict(saved(data)).kind == "invalid-model"


def test_truncated(make: Make, saved: Save) -> None:
    model = make(
        [node("Conv", ["x", "w"], ["y"])], {"x": [1, 1, 8, 8]}, ["y"], {"w": np.ones((1, 1, 3, 3), np.float32)}
    )
    data = model.SerializeToString()
    for cut in range(1, len(data) - 1, 7):
        assert verdict(saved(data[:cut])).kind in ("invalid-model", "unsupported-op")


@pytest.mark.parametrize("location", ["weights.bin", "/etc/hostname", "../../weights.bin"])
def test_external_weight(location: str, make: Make, saved: Save) -> None:
    model = make(
        [node("Conv", ["x", "w"], ["y"])], {"x": [1, 1, 8, 8]}, ["y"], {"w": np.ones((1, 1, 3, 3), np.float32)}
    )
    _make_external(model.graph.initializer[0], location)
    assert verdict(saved(model)).kind == "external-data"


def _make_external(tensor: TensorProto, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


def test_external_attribute_in_a_subgraph(make: Make, saved: Save) -> None:
    constant = node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(3, np.float32)))
    _make_external(constant.attribute[0].t, "weights.bin")
    branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("c", 1, [3])])
    model = make(
        [node("If", ["k"], ["y"], then_branch=branch, else_branch=branch)], {"x": [1, 3]}, ["y"], {"k": np.array(True)}
    )
    assert verdict(saved(model)).kind == "external-data"


def _with_functions(make: Make, calls: dict[str, list[str]]) -> ModelProto:
    first = next(iter(calls))
    model = make([node(first, ["x"], ["y"], domain="own")], {"x": [1, 3, 8, 8]}, ["y"], domains={"own": 1})
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for name, callees in calls.items():
        steps = [f"t{i}" for i in range(len(callees))]
        nodes = [
            node(callee, [before], [after], domain="" if callee == "Relu" else "own")
            for callee, before, after in zip(callees, ["a", *steps], [*steps[:-1], "b"], strict=False)
        ]
        model.functions.append(helper.make_function("own", name, ["a"], ["b"], nodes, imports))
    return model


def test_functions_are_written_out(make: Make, saved: Save) -> None:
    model = _with_functions(make, {"F": ["G", "G"], "G": ["Relu", "Relu"]})
    network = load_onnx(saved(model), InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    marked: list[str] = []
    network.run(torch.randn(1, 3, 8, 8), lambda name, operator, value: marked.append(operator))
    assert marked == ["Relu"] * 4


@pytest.mark.parametrize(
    "calls",
    [
        {"F": ["F"]},
        {"F": ["G"], "G": ["F"]},
        {f"F{i}": [f"F{i + 1}"] * 2 for i in range(60)} | {"F60": ["Relu"]},
    ],
    ids=["self", "mutual", "exponential"],
)
def test_functions_without_bound(calls: dict[str, list[str]], make: Make, saved: Save) -> None:
    assert verdict(saved(_with_functions(make, calls))).kind == "unsupported-model"


def test_empty_nodes_are_counted_before_they_are_parsed(saved: Save) -> None:
    inner = b"\x0a\x00" * 10_000_000
    length = len(inner)
    varint = bytearray()
    while length:
        varint.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
    path = saved(b"\x3a" + bytes(varint) + inner)
    tracemalloc.start()
    assert verdict(path).kind == "model-too-complex"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * len(inner)


def test_nested_subgraphs(make: Make, saved: Save) -> None:
    graph = helper.make_graph([], "leaf", [], [])
    for depth in range(12):
        step = node("If", ["k"], [f"o{depth}"], then_branch=graph, else_branch=helper.make_graph([], "e", [], []))
        graph = helper.make_graph([step], "g", [], [])
    model = make([], {"x": [1, 3]}, [], {"k": np.array(True)})
    model.graph.node.extend(graph.node)
    assert verdict(saved(model)).kind == "model-too-complex"


@pytest.mark.parametrize("dims", [[2**40], [-3], [2]])
def test_weights_that_are_not_their_dims(dims: list[int], make: Make, saved: Save) -> None:
    model = make([node("Add", ["x", "w"], ["y"])], {"x": [1, 3]}, ["y"], {"w": np.ones(3, np.float32)})
    model.graph.initializer[0].dims[:] = dims
    assert verdict(saved(model)).kind == "invalid-model"


@pytest.mark.parametrize("extent", [2**40, -7])
def test_impossible_input_extent(extent: int, make: Make, saved: Save) -> None:
    model = make([node("Relu", ["x"], ["y"])], {"x": [1, 3, extent, 8]}, ["y"])
    assert verdict(saved(model)).kind == "invalid-model"


def test_cycle_and_undefined(make: Make, saved: Save) -> None:
    cycle = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])]
    assert verdict(saved(make(cycle, {"x": [1, 3]}, ["b"]))).kind == "invalid-model"
    assert verdict(saved(make([node("Relu", ["x"], ["y"])], {"x": [1, 3]}, ["z"]))).kind == "invalid-model"
    twice = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]
    assert verdict(saved(make(twice, {"x": [1, 3]}, ["y"]))).kind == "invalid-model"


@pytest.mark.parametrize("wrong", [{"group": 0}, {"strides": [0, 1]}, {"dilations": [1, 0]}, {"strides": [-1, 1]}])
def test_impossible_windows(wrong: dict[str, Any], make: Make, saved: Save) -> None:
    conv = node("Conv", ["x", "w"], ["y"], **wrong)
    model = make([conv], {"x": [1, 1, 8, 8]}, ["y"], {"w": np.ones((1, 1, 3, 3), np.float32)})
    assert verdict(saved(model)).kind == "invalid-model"


BOMBS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ConstantOfShape": (node("ConstantOfShape", ["big"], ["b"]), {"big": np.array([2**20, 2**20])}),
    "Expand": (node("Expand", ["x", "big"], ["b"]), {"big": np.array([2**20, 2**12, 4, 4])}),
    "Tile": (node("Tile", ["x", "big"], ["b"]), {"big": np.array([2**20, 2**12, 1, 1])}),
    "Range": (node("Range", ["zero", "big", "one"], ["b"]), {
        "zero": np.array(0), "big": np.array(2**40), "one": np.array(1)}),
    "Pad": (node("Pad", ["x", "big"], ["b"]), {"big": np.array([0, 0, 2**20, 2**20, 0, 0, 0, 0])}),
    "Resize": (node("Resize", ["x", "", "big"], ["b"]), {"big": np.array([1, 1, 2**16, 2**16], np.float32)}),
    "OneHot": (node("OneHot", ["many", "big", "two"], ["b"]), {
        "many": np.zeros(2**12, np.int64), "big": np.array(2**30), "two": np.zeros(2, np.float32)}),
    "Conv": (node("Conv", ["x", "w"], ["b"], pads=[2**20, 2**20, 0, 0]), {"w": np.ones((1, 1, 3, 3), np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("operator", BOMBS)
def test_bombs(operator: str, make: Make, saved: Save) -> None:
    bomb, weights = BOMBS[operator]
    model = make([node("Relu", ["x"], ["y"]), bomb], {"x": [1, 1, 4, 4]}, ["y", "b"], weights)
    problem = verdict(saved(model))
    assert problem.kind == "resource-limit"
    assert problem.problem.context["operator"] == operator


@pytest.mark.parametrize(
    ("operator", "domain", "words"),
    [("LSTM", "", "recurrent"), ("Fancy", "my.domain", "my.domain::Fancy"),
     ("TreeEnsembleRegressor", "ai.onnx.ml", "classical"), ("SwiGLU", "", "has no converter"),
     ("NoSuchOperator", "", "ONNX has no such operator"), ("Conv", "com.microsoft.nchwc", "ORT_ENABLE_EXTENDED"),
     ("NhwcConv", "com.microsoft", "ORT_ENABLE_EXTENDED"),
     ("DynamicQuantizeLSTM", "com.microsoft", "is recurrent and reads the input itself")],
)  # fmt: skip
def test_unsupported_operators_are_named(operator: str, domain: str, words: str, make: Make, saved: Save) -> None:
    steps = [node("Relu", ["x"], ["a"]), node(operator, ["a"], ["y"], name="culprit", domain=domain)]
    problem = verdict(saved(make(steps, {"x": [1, 3, 8, 8]}, ["y"], domains=DOMAINS)))
    assert problem.kind == "unsupported-op"
    assert words in problem.problem.detail
    assert problem.problem.context["node"] == "culprit"


@pytest.mark.parametrize("opset", [1, 9999])
def test_unknown_opsets(opset: int, make: Make, saved: Save) -> None:
    assert (
        verdict(saved(make([node("Relu", ["x"], ["y"])], {"x": [1, 3]}, ["y"], opset=opset))).kind == "unsupported-op"
    )


def test_training_and_sparse(make: Make, saved: Save) -> None:
    model = make([node("Relu", ["x"], ["y"])], {"x": [1, 3]}, ["y"])
    model.training_info.add()
    assert verdict(saved(model)).kind == "unsupported-model"
    model = make([node("Relu", ["x"], ["y"])], {"x": [1, 3]}, ["y"])
    model.graph.sparse_initializer.add()
    assert verdict(saved(model)).kind == "unsupported-model"


def test_fuzzed_bytes_always_get_a_verdict(make: Make, saved: Save) -> None:
    weights = {"w": np.ones((2, 1, 3, 3), np.float32), "s": np.array([1, -1])}
    steps = [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), node("Reshape", ["a", "s"], ["y"])]
    data = bytearray(make(steps, {"x": [1, 1, 8, 8]}, ["y"], weights).SerializeToString())
    draw = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(data)
        for place in draw.integers(0, len(data), 3):
            broken[place] = draw.integers(0, 256)
        with contextlib.suppress(ProblemError):
            measure(saved(bytes(broken)))
