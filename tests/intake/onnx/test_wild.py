"""Graphs as they are found in the wild, in small: each is measured, equals onnxruntime, and has the right field."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_intake.answer import Answer, Sources, answer
from erfscope_intake.onnx_model import open_onnx

Save = Callable[[ModelProto], Path]
node = helper.make_node
IMAGE = {"x": [1, 3, 24, 32]}


def draw(*shape: int) -> Any:
    """Weights that keep the numbers in range."""
    scale = np.sqrt(max(np.prod(shape[1:]), 1))
    return (np.random.default_rng(len(shape)).standard_normal(shape) / scale).astype(np.float32)


def conv(source: str, target: str, padding: int = 1, stride: int = 1) -> Any:
    """A 3×3 convolution with the weights w<target>."""
    options = {"kernel_shape": [3, 3], "pads": [padding] * 4, "strides": [stride] * 2}
    return node("Conv", [source, f"w{target}"], [target], name=f"conv-{target}", **options)


@dataclass(frozen=True)
class Wild:
    """One graph, and what must come of it; `rounding` is the tolerance where onnxruntime rounds and we do not."""

    nodes: Sequence[Any]
    weights: Mapping[str, Any]
    layer: str
    trf: Sequence[int]
    inputs: Mapping[str, Sequence[Any]] = field(default_factory=lambda: IMAGE)
    outputs: Sequence[str] = ("y",)
    opset: int = 13
    shape: Sequence[int] = (3, 24, 32)
    notes: str = ""
    rounding: float = 1e-5
    types: Mapping[str, int] = field(default_factory=dict)

    def model(self) -> ModelProto:
        """The file; weights are inputs as well before IR version 4."""
        old = self.opset < 9
        tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in self.weights.items()]
        inputs = [self._value(name, shape) for name, shape in self.inputs.items()]
        if old:
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
        graph = helper.make_graph(list(self.nodes), "g", inputs, [self._value(n, None) for n in self.outputs], tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=3 if old else 8)

    def _value(self, name: str, shape: Sequence[Any] | None) -> Any:
        return helper.make_tensor_value_info(name, self.types.get(name, TensorProto.FLOAT), shape)


def branch(operator: str) -> Any:
    """One side of an If."""
    end = helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)
    return helper.make_graph([node(operator, ["a"], [operator])], operator, [], [end])


def hearing(threshold: float) -> Any:
    """One side of an If: a convolution of a signal, and a state that no recurrent operator reads."""
    nodes = [node("Unsqueeze", ["x", "one"], ["u"]), node("Conv", ["u", "wa"], ["a"], strides=[8]),
             node("Gather", ["state", "zero"], ["h"]), node("ReduceMean", ["h"], ["m"], keepdims=0),
             node("Constant", [], ["t"], value_float=threshold), node("Add", ["m", "t"], ["s"]),
             node("Add", ["a", "s"], ["z"])]  # fmt: skip
    return helper.make_graph(nodes, "hearing", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])


def quantised(source: str, target: str) -> list[Any]:
    """A QuantizeLinear and its inverse."""
    return [
        node("QuantizeLinear", [source, "scale", "zero"], [f"{target}-q"]),
        node("DequantizeLinear", [f"{target}-q", "scale", "zero"], [target]),
    ]


NORM = {"s": np.ones(8, np.float32), "b": draw(8), "m": draw(8), "v": np.ones(8, np.float32)}
WA, WB = {"wa": draw(8, 3, 3, 3)}, {"wb": draw(4, 8, 3, 3)}

WILD: dict[str, Wild] = {
    "darknet, opset 7": Wild(
        [conv("x", "a", stride=2), node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"]),
         node("LeakyRelu", ["n"], ["l"], alpha=0.1), node("MaxPool", ["l"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
         node("Upsample", ["p"], ["u"], scales=[1.0, 1.0, 2.0, 2.0]), node("Concat", ["u", "l"], ["c"], axis=1),
         node("Dropout", ["c"], ["d", "mask"], ratio=0.5), conv("d", "e"),
         node("Slice", ["e"], ["y"], axes=[1, 2], starts=[1, 2], ends=[3, 2**31 - 1])],
        {**WA, **NORM, "we": draw(4, 16, 3, 3)}, "y", [9, 9], opset=7,
    ),
    "SSD of TensorFlow, channels last, NMS tail": Wild(
        [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
         node("Conv", ["t", "wa"], ["a"], auto_pad="SAME_UPPER", strides=[2, 2]),
         node("Clip", ["a", "lo", "hi"], ["r"]),
         node("Conv", ["r", "wd"], ["d"], auto_pad="SAME_UPPER", group=8, strides=[2, 2]),
         node("Conv", ["d", "wh"], ["h"]), node("Transpose", ["h"], ["head"], perm=[0, 2, 3, 1]),
         node("Reshape", ["head", "all"], ["boxes"]), node("Split", ["boxes", "parts"], ["loc", "cls"], axis=2),
         node("Transpose", ["cls"], ["scores"], perm=[0, 2, 1]),
         node("NonMaxSuppression", ["loc", "scores", "n", "iou", "iou"], ["chosen"], name="nms"),
         node("Cast", ["chosen"], ["y"], to=1)],
        {**WA, "lo": np.float32(0), "hi": np.float32(6), "wd": draw(8, 1, 3, 3), "wh": draw(18, 8, 1, 1),
         "all": np.array([0, -1, 6]), "parts": np.array([4, 2]), "n": np.array([5]),
         "iou": np.array([0.5], np.float32)},
        "head", [7, 7], inputs={"x": ["batch", 25, 33, 3]}, outputs=["y", "loc", "cls"], shape=[3, 25, 33],
        notes="NonMaxSuppression (node 'nms')",
    ),
    "QDQ": Wild(
        [*quantised("x", "q"), node("DequantizeLinear", ["wq", "ws", "wz"], ["w"], axis=0),
         node("Conv", ["q", "w"], ["c"]), node("Relu", ["c"], ["r"]), *quantised("r", "d"),
         node("Conv", ["d", "wb"], ["y"])],
        {"scale": np.float32(0.03), "zero": np.uint8(128), "wq": (draw(8, 3, 3, 3) * 500).astype(np.int8),
         "ws": np.full(8, 0.01, np.float32), "wz": np.zeros(8, np.int8), **WB},
        "y", [5, 5], notes="quantised", rounding=0.03,
    ),
    "dynamically quantised": Wild(
        [node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
         node("ConvInteger", ["q", "w", "z", "wz"], ["i"], pads=[1] * 4), node("Cast", ["i"], ["f"], to=1),
         node("Mul", ["s", "ws"], ["t"]), node("Mul", ["f", "t"], ["y"])],
        {"w": (draw(8, 3, 3, 3) * 100 + 128).astype(np.uint8), "wz": np.uint8(128), "ws": np.float32(0.01)},
        "y", [3, 3], notes="quantised", rounding=0.03,
    ),
    "half precision between casts": Wild(
        [node("Cast", ["x"], ["h"], to=10), node("Conv", ["h", "w"], ["a"]), node("Relu", ["a"], ["r"]),
         node("Cast", ["r"], ["y"], to=1)],
        {"w": draw(8, 3, 3, 3).astype(np.float16)}, "r", [3, 3], rounding=2e-3,
    ),
    "batch read off the shape": Wild(
        [conv("x", "a"), node("Shape", ["a"], ["shape"]), node("Gather", ["shape", "zero"], ["n"]),
         node("Unsqueeze", ["n"], ["n1"], axes=[0]), node("Concat", ["n1", "rest"], ["to"], axis=0),
         node("Reshape", ["a", "to"], ["flat"]), node("Transpose", ["flat"], ["y"], perm=[0, 2, 1])],
        {**WA, "zero": np.array(0), "rest": np.array([8, -1])}, "y", [3, 3], inputs={"x": ["N", 3, 24, 32]}, opset=11,
    ),
    "If on a rank": Wild(
        [conv("x", "a"), node("Shape", ["a"], ["shape"]), node("Size", ["shape"], ["rank"]),
         node("Equal", ["rank", "four"], ["c"]),
         node("If", ["c"], ["i"], then_branch=branch("Relu"), else_branch=branch("Neg")), conv("i", "b"),
         node("Identity", ["b"], ["y"])],
        {**WA, **WB, "four": np.array(4)}, "b", [5, 5],
    ),
    "max unpooling": Wild(
        [conv("x", "a"), node("MaxPool", ["a"], ["p", "where"], kernel_shape=[2, 2], strides=[2, 2]), conv("p", "b"),
         node("MaxUnpool", ["b", "where"], ["u"], kernel_shape=[2, 2], strides=[2, 2]), conv("u", "y")],
        {**WA, "wb": draw(8, 8, 3, 3), "wy": draw(2, 8, 3, 3)}, "y", [10, 10],
    ),
    "sequences": Wild(
        [conv("x", "a"), node("SplitToSequence", ["a", "four"], ["parts"], axis=1),
         node("SequenceAt", ["parts", "one"], ["b"]), node("Conv", ["b", "w"], ["y"])],
        {**WA, "four": np.array(4), "one": np.array(1), "w": draw(2, 4, 3, 3)}, "y", [5, 5],
    ),
    "an image without batch, channels last": Wild(
        [node("Unsqueeze", ["x", "zero"], ["u"]), node("Transpose", ["u"], ["t"], perm=[0, 3, 1, 2]), conv("t", "a"),
         node("Identity", ["a"], ["y"])],
        {**WA, "zero": np.array([0])}, "a", [3, 3], inputs={"x": [40, 30, 3]}, shape=[3, 40, 30],
    ),
    "a signal without batch or channels": Wild(
        [node("Unsqueeze", ["x", "axes"], ["u"]), node("Conv", ["u", "w"], ["y"], strides=[4])],
        {"axes": np.array([0, 1]), "w": draw(8, 1, 16)}, "y", [16], inputs={"x": ["T"]}, shape=[1, 16_000],
    ),
    "a fixed position embedding, extents declared free": Wild(
        [node("Conv", ["x", "w"], ["p"], strides=[8, 8]), node("Reshape", ["p", "to"], ["f"]),
         node("Transpose", ["f"], ["t"], perm=[0, 2, 1]), node("Add", ["t", "position"], ["y"])],
        {"w": draw(16, 3, 8, 8), "to": np.array([0, 16, -1]), "position": draw(1, 64, 16)}, "y", [8, 8],
        inputs={"x": ["b", 3, "h", "w"]}, shape=[3, 64, 64],
        notes="does not run at [3, 224, 224]; [3, 64, 64] is taken.",
    ),
    "text recognition: convolutions, then LSTM": Wild(
        [conv("x", "a"), node("ReduceMean", ["a"], ["r"], axes=[2], keepdims=0),
         node("Transpose", ["r"], ["t"], perm=[2, 0, 1]),
         node("LSTM", ["t", "wl", "rl"], ["h"], hidden_size=6, direction="bidirectional", name="lstm"),
         node("Identity", ["h"], ["y"])],
        {**WA, "wl": draw(2, 24, 8), "rl": draw(2, 24, 6)}, "a", [3, 3], notes="LSTM (node 'lstm') is recurrent",
    ),
    "a stream of samples and a larger state that only an LSTM reads": Wild(
        [node("Unsqueeze", ["x", "one"], ["u"]), node("Conv", ["u", "wa"], ["a"], strides=[8]),
         node("Transpose", ["a"], ["t"], perm=[2, 0, 1]), node("Split", ["state"], ["h", "c"], axis=0),
         node("LSTM", ["t", "wl", "rl", "", "", "h", "c"], ["y"], hidden_size=6, name="lstm")],
        {"one": np.array([1]), "wa": draw(8, 1, 16), "wl": draw(1, 24, 8), "rl": draw(1, 24, 6)}, "t", [16],
        inputs={"state": [2, 1, 6], "x": [1, 96]}, shape=[1, 96], notes="LSTM (node 'lstm') is recurrent",
    ),
    "a stream of samples within an If, and a state that looks like a signal": Wild(
        [node("Equal", ["rate", "fast"], ["c"]),
         node("If", ["c"], ["y"], then_branch=hearing(1.0), else_branch=hearing(2.0))],
        {"one": np.array([1]), "zero": np.array(0), "fast": np.array(16_000), "wa": draw(8, 1, 16)}, "z", [16],
        inputs={"state": [2, "b", 128], "x": ["b", "t"], "rate": []}, types={"rate": TensorProto.INT64},
        shape=[1, 16_000],
    ),
    "windows taken by indices, one group of them for each offset": Wild(
        [conv("x", "a"), node("Pad", ["a", "pads"], ["p"]), node("Gather", ["p", "rows"], ["r"], axis=2),
         node("Gather", ["r", "columns"], ["c"], axis=4), node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 5, 2, 4]),
         node("ReduceSum", ["t", "last"], ["y"], keepdims=0)],
        {**WA, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "rows": np.arange(3)[:, None] + np.arange(24),
         "columns": np.arange(3)[:, None] + np.arange(32), "last": np.array([4, 5])}, "y", [5, 5],
    ),
    "two images whose free axes have names of their own": Wild(
        [conv("x", "a"), node("Conv", ["right", "wa"], ["r"], pads=[1] * 4), node("Concat", ["a", "r"], ["c"], axis=1),
         conv("c", "y")],
        {**WA, "wy": draw(4, 16, 3, 3)}, "y", [5, 5], shape=[3, 224, 224],
        inputs={"x": ["b", 3, "h", "w"], "right": ["n", 3, "i", "j"]},
    ),
    "rows that are no batch": Wild(
        [node("Reshape", ["x", "to"], ["r"]), node("Split", ["r"], ["p", "q"], axis=0),
         node("Slice", ["p", "two", "three", "axis"], ["row"]), node("Conv", ["row", "w"], ["a"]),
         node("Flatten", ["a"], ["f"]), node("Flatten", ["q"], ["g"]), node("Concat", ["f", "g"], ["y"], axis=1)],
        {"to": np.array([-1, 6, 8]), "two": np.array([2]), "three": np.array([3]), "axis": np.array([1]),
         "w": draw(16, 1, 4)}, "a", [4], inputs={"x": [12, 8]}, shape=[1, 12, 8],
    ),
    "a latent, a time step and a text": Wild(
        [conv("x", "a"), node("Cast", ["t"], ["f"], to=1), node("ReduceMean", ["text"], ["m"]),
         node("Add", ["a", "f"], ["c"]), node("Add", ["c", "m"], ["d"]), conv("d", "y")],
        {"wa": draw(8, 4, 3, 3), "wy": draw(4, 8, 3, 3)}, "y", [5, 5], types={"t": TensorProto.INT64},
        inputs={"text": ["b", "n", 768], "t": [1], "x": ["b", 4, "h", "w"]}, shape=[4, 224, 224],
    ),
    "an image and a larger hidden state": Wild(
        [conv("x", "a"), node("Concat", ["a", "hidden"], ["c"], axis=1), conv("c", "y")],
        {"wa": draw(32, 3, 3, 3), "wy": draw(16, 48, 3, 3)}, "y", [5, 5], inputs={"hidden": [1, 16, 24, 32], **IMAGE},
    ),
}  # fmt: skip


def measured(path: Path) -> Answer:
    request = ErfRequest.model_validate({"average": {"inputs": 2}})
    return answer(request, Sources(model=path), device="cpu")


def compare(path: Path, rounding: float) -> int:
    """How many outputs equal onnxruntime's."""
    opened = open_onnx(path, InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
    x = torch.randn(opened.network.batch or 1, *opened.network.input_shape, generator=torch.Generator().manual_seed(1))
    ours = opened.network.run(x, lambda *_: None)
    assert isinstance(ours, dict)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    feeds = {opened.network.input_name: opened.measured.layout.to_model(x), **opened.others}
    theirs = session.run(list(ours), {name: value.contiguous().numpy() for name, value in feeds.items()})
    for one, other in zip(ours.values(), theirs, strict=True):
        assert tuple(one.shape) == other.shape
        assert np.linalg.norm(one.detach().numpy() - other) <= rounding * np.linalg.norm(other)
    return len(ours)


@pytest.mark.parametrize("name", WILD)
def test_measured(name: str, saved: Save) -> None:
    wild = WILD[name]
    path = saved(wild.model())
    found = measured(path)
    assert found.result.layer.name == wild.layer
    assert found.result.trf.size == list(wild.trf)
    assert found.result.input_shape == list(wild.shape)
    assert found.map.shape == tuple(wild.shape[-len(wild.trf) :])
    notes = " ".join(found.result.provenance.notes)
    assert wild.notes in notes
    assert bool(notes) == bool(wild.notes) or "The file leaves" in notes or "The file does not fix" in notes
    assert compare(path, wild.rounding) == len(wild.outputs) - ("NonMaxSuppression" in notes)


REFUSED: dict[str, tuple[Wild, str, str]] = {
    "recurrent from the start": (
        Wild([node("LSTM", ["x", "wl", "rl"], ["y"], hidden_size=6, name="lstm")],
             {"wl": draw(1, 24, 4), "rl": draw(1, 24, 6)}, "", [], inputs={"x": [12, 1, 4]}),
        "unsupported-op", "'lstm'.* is recurrent",
    ),
    "text": (
        Wild([node("Gather", ["w", "ids"], ["y"])], {"w": draw(50, 16)}, "", [],
             inputs={"ids": [1, 12]}, types={"ids": TensorProto.INT64}),
        "no-gradient", "'ids'",
    ),
    "a generator": (
        Wild([node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])], {"w": draw(16, 3, 4, 4)}, "", [],
             inputs={"x": [1, 16, 1, 1]}),
        "no-spatial-layer", "16, 1, 1",
    ),
    "free extents that nothing fits": (
        Wild([node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"])], {"w": draw(977, 2)}, "", [],
             inputs={"x": ["b", 3, "h", "w"]}),
        "shape-mismatch", "MatMul",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_verdict(name: str, saved: Save) -> None:
    wild, kind, words = REFUSED[name]
    with pytest.raises(ProblemError, match=words) as caught:
        measured(saved(wild.model()))
    assert caught.value.kind == kind


def test_a_shape_of_one_extent(saved: Save) -> None:
    path = saved(WILD["a signal without batch or channels"].model())
    request = ErfRequest.model_validate({"input": {"shape": [500]}, "average": {"inputs": 1}})
    assert answer(request, Sources(model=path), device="cpu").map.shape == (500,)
