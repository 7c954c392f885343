"""No name that a file's author wrote reaches a converter; people still see their own."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, helper

from erfscope_contract.request import InputOptions
from erfscope_intake.onnx_behind import Behind
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.onnx_names import renamed

Make = Callable[..., ModelProto]
SECRET = "Ünmistakable"
node = helper.make_node


def _model(make: Make) -> ModelProto:
    branch = [
        helper.make_graph([node(op, [SECRET + "a"], [SECRET + op], name=SECRET + op)], SECRET, [],
                          [helper.make_tensor_value_info(SECRET + op, 1, None)])
        for op in ("Relu", "Neg")
    ]  # fmt: skip
    steps = [
        node("Conv", [SECRET + "x", SECRET + "w"], [SECRET + "a"], name=SECRET + "conv", doc_string=SECRET),
        node("If", [SECRET + "k"], [SECRET + "y"], name=SECRET, then_branch=branch[0], else_branch=branch[1]),
        node("RoiAlign", [SECRET + "y", SECRET + "r", SECRET + "i"], [SECRET + "z"], name=SECRET + "roi"),
    ]
    weights = {
        SECRET + "w": np.ones((2, 1, 3, 3), np.float32), SECRET + "k": np.array(True),
        SECRET + "r": np.array([[0, 0, 4, 4]], np.float32), SECRET + "i": np.array([0]),
    }  # fmt: skip
    model = make(steps, {SECRET + "x": [SECRET + "n", 1, 8, 8]}, [SECRET + "z"], weights)
    model.graph.name = model.graph.doc_string = SECRET
    return model


def test_renamed_graph_holds_no_name_of_the_file(make: Make) -> None:
    graph, names = renamed(_model(make).graph)
    assert SECRET.encode() not in graph.SerializeToString()
    assert {SECRET + "conv", SECRET, SECRET + "roi", SECRET + "Relu"} <= set(names.nodes.values())
    assert {SECRET + "x", SECRET + "a", SECRET + "y", SECRET + "Neg"} <= set(names.values.values())


def test_no_name_of_the_file_reaches_a_converter(make: Make, saved: Callable[[Any], Path], monkeypatch: Any) -> None:
    seen: list[bytes] = []
    real = Behind.row

    def spy(self: Behind, proto: NodeProto, domain: str, version: int, label: str) -> Any:
        seen.extend([proto.SerializeToString(), self._proto.SerializeToString()])
        return real(self, proto, domain, version, label)

    monkeypatch.setattr(Behind, "row", spy)
    network = load_onnx(saved(_model(make)), InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    assert seen
    assert not any(SECRET.encode() in text for text in seen)
    marked: list[tuple[str, str]] = []
    network.run(torch.randn(1, 1, 8, 8), lambda name, operator, _value: marked.append((name, operator)))
    assert [name for name, _ in marked] == [SECRET + s for s in ("a", "Relu", "y", "z")]
    assert network.aliases[SECRET + "conv"] == SECRET + "a"


def test_nothing_is_generated(make: Make, saved: Callable[[Any], Path]) -> None:
    """No Python source comes into being: what torch.fx would generate is named <eval_with_key>."""
    compiled: list[str] = []

    def profile(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and "eval_with_key" in frame.f_code.co_filename:
            compiled.append(frame.f_code.co_filename)

    network = load_onnx(saved(_model(make)), InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    sys.setprofile(profile)
    try:
        network.run(torch.randn(1, 1, 8, 8), lambda *_: None)
    finally:
        sys.setprofile(None)
    assert compiled == []
