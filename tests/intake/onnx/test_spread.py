"""Drawn weights of an ONNX model under the analytic method: their deviations, with biases, dense layers and norms."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_intake.answer import Sources, answer


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Conv with bias, BatchNorm with odd statistics, ReLU, and a dense layer over channels by MatMul."""
    rng = np.random.default_rng(1)

    def held(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(rng.uniform(0.5, 2, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"], "norm"),
        helper.make_node("Relu", ["n"], ["r"], "relu"),
        helper.make_node("Transpose", ["r"], ["t"], "nhwc", perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "dense"], ["d"], "dense"),
        helper.make_node("Transpose", ["d"], ["y"], "nchw", perm=[0, 3, 1, 2]),
    ]
    constants = [held("w", 8, 2, 3, 3), held("b", 8), *(held(n, 8) for n in ("scale", "shift", "mean", "var"))]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, 9, 9])],
        [*constants, held("dense", 8, 6)],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _request(**fields: Any) -> ErfRequest:
    average = {"statistic": "rms", **fields.pop("average", {})}
    asked = {"method": "analytic", "dtype": "float64", "average": average, "target": {"channels": "random"}}
    return ErfRequest.model_validate({**asked, **fields})


def test_variances_follow_the_scheme(model: Path) -> None:
    """6 outputs, half of the ReLUs open, 8 channels: 6 · 2/8 · 1/2 · 8 · 2/18 per tap; norms are reset."""
    torch.set_num_threads(1)
    found = answer(_request(weights="kaiming_normal"), Sources(model=model), device="cpu")
    squares = (found.map * 2.0**found.result.scale_log2) ** 2
    np.testing.assert_allclose(squares[3:6, 3:6], 6 * 2 / 8 / 2 * 8 * 2 / 18 / (1 + 1e-5), rtol=1e-12)


def test_drawn_gradients_agree(model: Path) -> None:
    analytic = answer(_request(weights="kaiming_normal"), Sources(model=model), device="cpu")
    many = _request(weights="kaiming_normal", method="gradient", average={"weights": 200, "inputs": 2})
    sampled = answer(many, Sources(model=model), device="cpu")
    ours, theirs = ((one.map * 2.0**one.result.scale_log2) ** 2 for one in (analytic, sampled))
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1)


def test_given_weights_are_squared(model: Path) -> None:
    found = answer(_request(), Sources(model=model), device="cpu").result
    assert found.provenance.method == "analytic"
    assert any("given weights are squared" in note for note in found.provenance.notes)


def test_weights_of_one_value_are_refused(model: Path) -> None:
    with pytest.raises(ProblemError, match="not random around 0"):
        answer(_request(weights="ones"), Sources(model=model), device="cpu")
