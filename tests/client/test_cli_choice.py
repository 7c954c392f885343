"""`measure` prints which input and which layer it took, and why."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from .command_line import Run

NEAREST = "auto took it, the nearest to the output with axes in the input's space and a gradient."
node = helper.make_node


@pytest.fixture
def streaming(tmp_path: Path) -> str:
    """A causal convolution that is fed piece by piece: a cache goes in and comes back; a head for the whole piece."""

    def value(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    nodes = [node("Concat", ["cache", "speech"], ["joined"], axis=2),
             node("Slice", ["joined", "first", "last", "axis"], ["cache_out"]), node("Conv", ["joined", "w"], ["y"]),
             node("ReduceMean", ["y"], ["level"], axes=[2], keepdims=0)]  # fmt: skip
    weights = {"w": np.random.default_rng(0).standard_normal((4, 1, 33)).astype(np.float32),
               "first": np.array([-32]), "last": np.array([2**31 - 1]), "axis": np.array([2])}  # fmt: skip
    graph = helper.make_graph(
        nodes, "stream", [value("cache", [1, 1, 32]), value("speech", [1, 1, 160])],
        [value("level", [1, 4]), value("cache_out", [1, 1, 32])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "stream.onnx").write_bytes(model.SerializeToString())
    return "stream.onnx"


def test_a_streaming_model_is_measured_without_options(run: Run, streaming: str) -> None:
    done = run("measure", streaming, "--inputs", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "Input speech: it is the only one of floating-point numbers, with an axis, that is not a "
        "state. Passed over: cache (it is a state: it comes back as output 'cache_out')."
    ) in done.stdout.splitlines()
    (layer,) = (line for line in done.stdout.splitlines() if line.startswith("Layer "))
    assert layer.startswith(f"Layer y: {NEAREST} Passed over: level (none of its axes follows the input's space")


def test_what_is_asked_for_is_told_as_such(run: Run, streaming: str) -> None:
    done = run("measure", streaming, "--inputs", "1", "--input-name", "cache", "--layer", "y", "--unit", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Input cache: it was asked for by name." in done.stdout.splitlines()
    assert "Layer y: it was asked for by name." in done.stdout.splitlines()
