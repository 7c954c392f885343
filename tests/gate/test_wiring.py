"""Which layer reads which: a network whose layers are as before, but read others, is told by its layers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.gate.conftest import Check, conv

from erfscope.gate.layers import changed, of_spec
from erfscope.gate.windows import reads
from erfscope_contract.architecture import Architecture

Write = Callable[..., Path]
RULES = 'drift = { max = "0.1%" }\nmass_50_side = {}\ntrf_size = {}\n'
CONFIG = f'[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*"\n{RULES}'


def spec(skip: str = "a", **more: Any) -> dict[str, Any]:
    """Four convolutions, the third of which is added to an earlier one."""
    total = {"type": "add", "name": "total", "inputs": ["c", skip]}
    layers = [conv(name="a"), conv(name="b"), conv(name="c"), total, conv(name="d")]
    return {"name": "net", "input": {"channels": 3, "size": [24, 24]}, "layers": layers, **more}


def onnx_model(skip: str = "relu0", prefix: str = "") -> bytes:
    """Three convolutions with ReLU, and the sum of the last one and an earlier one; its TRF is 7 in any case."""
    rng = np.random.default_rng(0)
    weights, nodes, name = [], [], "image"
    for n in range(3):
        values = rng.standard_normal((8, 8 if n else 3, 3, 3)) / 4
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{n}"))
        nodes.append(helper.make_node("Conv", [name, f"w{n}"], [f"{prefix}conv{n}"], pads=[1] * 4))
        name = f"{prefix}relu{n}"
        nodes.append(helper.make_node("Relu", [f"{prefix}conv{n}"], [name]))
    nodes.append(helper.make_node("Identity", [f"{prefix}{skip}"], ["same"]))
    nodes.append(helper.make_node("Add", [name, "same"], [f"{prefix}sum"]))
    sides = [
        helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, channels, 24, 24])
        for tensor, channels in (("image", 3), (f"{prefix}sum", 8))
    ]
    graph = helper.make_graph(nodes, "net", sides[:1], sides[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def layers(body: dict[str, Any]) -> dict[str, str]:
    return of_spec(Architecture.model_validate(body))


def test_a_skip_connection_from_elsewhere_is_named_and_the_weights_are_not_blamed(check: Check, write: Write) -> None:
    write("models/net.json", spec("a"))
    write("models/net.onnx", onnx_model("relu0"))
    write("erfscope.toml", CONFIG)
    assert check("--update-baseline").code == 0
    assert check().code == 0
    write("models/net.json", spec("b"))
    write("models/net.onnx", onnx_model("relu1", prefix="new_"))
    done = check()
    assert done.code == 1
    assert "the weights alone" not in done.words
    assert "Changed in models/net.json: total reads b in place of a." in done.words
    assert "new_sum reads new_relu1 in place of new_relu0." in done.words


def test_a_baseline_without_it_says_so(check: Check, write: Write) -> None:
    write("models/net.json", spec("a"))
    write("erfscope.toml", CONFIG)
    assert check("--update-baseline").code == 0
    file = Path("erfscope-baseline.json")
    body = json.loads(file.read_text("utf-8"))
    (entry,) = body["entries"]
    entry["layers"] = {name: line.partition(" from=")[0] for name, line in entry["layers"].items()}
    file.write_text(json.dumps(body), "utf-8")
    write("models/net.json", spec("b"))
    done = check()
    assert done.code == 1
    assert (
        "Changed in models/net.json: the weights, or which layer reads which: that could not be compared" in done.words
    )
    assert "(the baseline does not have it yet; `erfscope check --update-baseline` writes it)." in done.words


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ([conv(name="a"), conv(name="b"), {"type": "add", "name": "sum", "inputs": ["a", "b"]}], ""),  # the order alone
        ([conv(name="x"), conv(name="b"), {"type": "add", "name": "sum", "inputs": ["b", "x"]}], ""),  # another name
        (
            [conv(name="a"), conv(name="b", inputs=["input"]), {"type": "add", "name": "sum", "inputs": ["b", "a"]}],
            "b reads the input in place of a.",
        ),
        (
            [conv(name="a"), conv(name="b"), {"type": "add", "name": "sum", "inputs": ["b", "a", "input"]}],
            "sum reads the input as well.",
        ),
        (
            [conv(name="a"), conv(name="b", dilation=2), {"type": "add", "name": "sum", "inputs": ["b", "b"]}],
            "dilation of b 1 → 2; sum reads b in place of a.",
        ),
        (  # what reads an added layer is told by that layer
            [conv(name="a"), {"type": "relu", "name": "r"}, conv(name="b"),
             {"type": "add", "name": "sum", "inputs": ["b", "a"]}],
            "layer r (relu) added between a and b.",
        ),
    ],
)  # fmt: skip
def test_words(now: list[dict[str, Any]], words: str) -> None:
    before = [conv(name="a"), conv(name="b"), {"type": "add", "name": "sum", "inputs": ["b", "a"]}]
    body = {"name": "net", "input": {"channels": 8, "size": [24, 24]}}
    assert changed(layers({**body, "layers": before}), layers({**body, "layers": now})) == words


def test_what_is_no_longer_read() -> None:
    body = {"name": "net", "input": {"channels": 8, "size": [24, 24]}}
    before, now = (
        {**body, "layers": [conv(name="a"), conv(name="b"), {"type": "add", "name": "sum", "inputs": inputs}]}
        for inputs in (["b", "a", "input"], ["b", "input"])
    )
    assert changed(layers(before), layers(now)) == "sum no longer reads a."


def test_branches_in_another_order_are_wired_as_before() -> None:
    branches = [[conv(name="p"), conv(name="q")], [conv(name="r"), {"type": "relu"}, conv(name="s")]]
    bodies = [
        {"name": "n", "input": {"channels": 8, "size": [24, 24]},
         "layers": [{"type": "parallel", "name": "both", "merge": "add", "branches": order}]}
        for order in (branches, branches[::-1])
    ]  # fmt: skip
    assert "reads" not in changed(*map(layers, bodies))


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"type": "sequential"}, "layer block (add) removed after block.b."),
        ({"type": "residual", "shortcut": [conv(name="s", kernel_size=1)]}, "layer block.shortcut.s (conv, kernel 1)"),
        ({"type": "residual", "activation": "relu"}, "block.sum"),
    ],
)
def test_a_block_of_another_kind_is_a_change(block: dict[str, Any], words: str) -> None:
    body = {"name": "n", "input": {"channels": 8, "size": [24, 24]}}
    inner = {"name": "block", "layers": [conv(name="a"), conv(name="b")]}
    before, now = ({**body, "layers": [{**inner, **more}]} for more in ({"type": "residual"}, block))
    assert words in changed(layers(before), layers(now))


def test_layers_inside_branches_are_compared() -> None:
    body = {"name": "n", "input": {"channels": 8, "size": [24, 24]}}
    before, now = (
        {**body, "layers": [{"type": "parallel", "branches": [[conv(name="a", dilation=n)], [conv(name="b")]]}]}
        for n in (4, 1)
    )
    assert changed(layers(before), layers(now)) == "dilation of parallel_0.0.a 4 → 1."


def test_operators_that_are_no_layers_are_looked_through() -> None:
    names = ["conv0", "relu0", "conv1", "relu1", "conv2", "relu2", "sum"]
    read = reads(onnx_model("relu0"), names, "image")
    assert read == {
        "conv0": ("image",), "relu0": ("conv0",), "conv1": ("relu0",), "relu1": ("conv1",), "conv2": ("relu1",),
        "relu2": ("conv2",), "sum": ("relu2", "relu0"),
    }  # fmt: skip
    assert reads(b"no model", names, "image") == {}
