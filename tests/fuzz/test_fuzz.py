"""Audit, specs and images under broken input: a verdict or an answer, never another exception."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image
from tests.fuzz.mutations import EXTREME, broken_bytes, broken_json
from tests.fuzz.targets import effort, image_bytes, onnx_bytes, request_bytes

FLOAT = TensorProto.FLOAT
node = helper.make_node


def model(nodes: list[Any], weights: dict[str, Any], shape: tuple[int, ...] = (1, 3, 8, 8)) -> ModelProto:
    """A model from x to y."""
    graph = helper.make_graph(
        nodes,
        "fuzzed",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


WEIGHTS = {"w": np.ones((4, 3, 3, 3), np.float32), "b": np.ones(4, np.float32), "s": np.array([1, -1, 8])}
MODELS = [
    model([node("Conv", ["x", "w", "b"], ["a"], pads=[1] * 4), node("Relu", ["a"], ["y"])], WEIGHTS),
    model([node("Conv", ["x", "w"], ["a"]), node("MaxPool", ["a"], ["y"], kernel_shape=[2, 2])], WEIGHTS),
    model([node("AveragePool", ["x"], ["a"], kernel_shape=[3, 3]), node("Sigmoid", ["a"], ["y"])], {}),
    model([node("Reshape", ["x", "s"], ["a"]), node("Softmax", ["a"], ["y"], axis=-1)], {"s": np.array([1, 3, -1])}),
    model([node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), node("MatMul", ["a", "m"], ["y"])],
          {"m": np.ones((3, 5), np.float32)}),
    model([node("Pad", ["x", "p"], ["a"]), node("Slice", ["a", "b", "e"], ["y"])],
          {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "b": np.array([0, 0, 1, 1]), "e": np.array([1, 3, 9, 9])}),
    model([node("Resize", ["x", "", "f"], ["y"], mode="linear")], {"f": np.array([1, 1, 2, 2], np.float32)}),
]  # fmt: skip
FILES = [one.SerializeToString() for one in MODELS]

LAYERS: list[dict[str, Any]] = [
    {"type": "conv", "name": "first", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1},
    {"type": "relu"},
    {"type": "residual", "layers": [{"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}]},
    {"type": "max_pool", "kernel_size": 2},
]
REQUESTS: list[dict[str, Any]] = [
    {
        "model": {"architecture": {"name": "a", "input": {"channels": 3, "size": [16, 16]}, "layers": LAYERS}},
        "target": {"layer": "first", "unit": [3, 3]},
        "average": {"inputs": 1, "seed": 0, "statistic": "abs"},
        "dtype": "float32",
    },
    {
        "model": {"architecture": {"name": "b", "input": {"channels": 1, "size": [12]}, "layers": LAYERS[:2]}},
        "input": {"source": "uniform", "shape": [1, 12]},
        "target": {"unit": "center", "channels": [0, 1]},
        "average": {"inputs": 1, "weights": 2},
    },
]


def picture(kind: str) -> bytes:
    """A small image as Pillow writes it."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def archive() -> bytes:
    """Two images in a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.png", picture("PNG"))
        made.writestr("b.jpg", picture("JPEG"))
    return buffer.getvalue()


def array(shape: tuple[int, ...], kind: str = "f4") -> bytes:
    """An npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ones(shape, kind))
    return buffer.getvalue()


IMAGES = [picture("PNG"), picture("JPEG"), picture("WEBP"), archive(), array((4, 5, 3)), array((2, 4, 5, 3), "u1")]


@effort
@given(st.one_of(st.binary(max_size=200), broken_bytes(FILES)))
def test_bytes_that_claim_to_be_onnx(tmp_path_factory: Any, data: bytes) -> None:
    onnx_bytes(data, tmp_path_factory.getbasetemp())


OPERATORS = ["Relu", "Conv", "Gemm", "Concat", "Flatten", "Split", "Expand", "Tile", "Gather", "LayerNormalization"]


@st.composite
def odd_models(draw: st.DrawFn) -> bytes:
    """Well-formed protobufs whose attributes, extents and wires are not what the operators mean."""
    made = ModelProto()
    made.CopyFrom(draw(st.sampled_from(MODELS)))
    numbers = st.one_of(st.sampled_from(EXTREME), st.integers(-3, 9))
    for _ in range(draw(st.integers(1, 3))):
        step = draw(st.sampled_from(list(made.graph.node)))
        how = draw(st.sampled_from(("attribute", "extent", "wire", "operator", "input")))
        if how == "attribute" and step.attribute:
            attribute = draw(st.sampled_from(list(step.attribute)))
            attribute.i = draw(numbers)
            del attribute.ints[:]
            attribute.ints.extend(draw(st.lists(numbers, max_size=5)))
        elif how == "extent" and made.graph.initializer:
            tensor = draw(st.sampled_from(list(made.graph.initializer)))
            del tensor.dims[:]
            tensor.dims.extend(draw(st.lists(numbers, max_size=5)))
        elif how == "wire" and step.input:
            step.input[draw(st.integers(0, len(step.input) - 1))] = draw(
                st.sampled_from(["x", "y", "a", "", "nowhere"])
            )
        elif how == "operator":
            step.op_type = draw(
                st.sampled_from(["Relu", "Conv", "Gemm", "Concat", "Flatten", "Split", "Expand", "Tile"])
            )
        elif how == "input":
            extents = made.graph.input[0].type.tensor_type.shape.dim
            draw(st.sampled_from(list(extents))).dim_value = draw(numbers)
    return bytes(made.SerializeToString())


@effort
@given(odd_models())
def test_models_whose_parts_do_not_fit(tmp_path_factory: Any, data: bytes) -> None:
    onnx_bytes(data, tmp_path_factory.getbasetemp())


@effort
@given(st.one_of(st.binary(max_size=100), broken_bytes([json.dumps(one).encode() for one in REQUESTS])))
def test_bytes_that_claim_to_be_a_request(data: bytes) -> None:
    request_bytes(data)


@effort
@given(broken_json(REQUESTS))
def test_requests_whose_values_are_others(data: Any) -> None:
    request_bytes(json.dumps(data).encode())


@effort
@given(st.one_of(st.binary(max_size=200), broken_bytes(IMAGES)))
def test_bytes_that_claim_to_be_images(tmp_path_factory: Any, data: bytes) -> None:
    image_bytes(data, tmp_path_factory.getbasetemp())


@effort
@given(st.lists(st.integers(0, 6), max_size=5), st.sampled_from(["f4", "f8", "u1", "i2", "u2", "c8", "?", "S1"]))
def test_arrays_of_any_shape_and_type(tmp_path_factory: Any, shape: list[int], kind: str) -> None:
    image_bytes(array(tuple(shape), kind), tmp_path_factory.getbasetemp())


def test_the_limits_would_be_seen(tmp_path: Path) -> None:
    """A target that stumbles is a failure here."""
    good = picture("PNG")
    image_bytes(good, tmp_path)
    onnx_bytes(FILES[0], tmp_path)
    request_bytes(json.dumps(REQUESTS[0]).encode())
