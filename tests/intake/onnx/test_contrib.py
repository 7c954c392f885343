"""Operators of onnxruntime's own domain: what its optimizer and its quantiser write, judged by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from erfscope_intake.converters import TABLE
from erfscope_intake.converters.table import MICROSOFT

DRAW = np.random.default_rng(3)
SCALE, ZERO = np.float32(0.02), np.uint8(120)


def real(*shape: int) -> Any:
    return (DRAW.standard_normal(shape) / 3).astype(np.float32)


def steps(*shape: int, kind: Any = np.uint8) -> Any:
    """Whole numbers of all of a type; of int8 seven bits: onnxruntime's sums of more saturate on CPUs without VNNI."""
    info = np.iinfo(kind)
    low, high = (-64, 63) if kind is np.int8 else (info.min, info.max)
    return DRAW.integers(low, high, shape, kind, endpoint=True)


@dataclass(frozen=True)
class Case:
    """One node: its inputs in order ("" where absent), its attributes, and how far rounding may carry."""

    operator: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-5
    outputs: int = 1


def pair(*shape: int) -> list[Any]:
    return [steps(*shape), SCALE, ZERO]


X, W3 = real(2, 5, 8), real(8, 24)
MASK, MASKS = np.array([[1, 1, 1, 0, 1], [0, 1, 1, 1, 0]], np.int32), (DRAW.random((2, 5, 5)) > 0.3).astype(np.int32)
SUMS = steps(4, kind=np.int16).astype(np.int32)
IMAGE = pair(1, 4, 5, 6)
LSTM_W, LSTM_R = steps(1, 8, 24, kind=np.int8), steps(1, 6, 24, kind=np.int8)
S1, Z1 = np.array([0.004], np.float32), np.array([0], np.int8)
HEADS = {"num_heads": 2}

CASES: dict[str, Case] = {
    "attention": Case("Attention", [X, W3, real(24)], HEADS),
    "attention with a mask": Case("Attention", [X, W3, real(24), MASK], HEADS),
    "attention with a mask per query": Case("Attention", [X, W3, real(24), MASKS], HEADS),
    "attention with a bias, wide values": Case(
        "Attention", [X, real(8, 28), real(28), "", "", real(2, 2, 5, 5)],
        {**HEADS, "qkv_hidden_sizes": [8, 8, 12], "scale": 0.3}
    ),
    "attention to the past": Case("Attention", [X, W3, real(24)], {**HEADS, "unidirectional": 1}),
    "heads": Case("MultiHeadAttention", [X, real(2, 7, 8), real(2, 7, 8)], HEADS),
    "heads with offsets and a bias": Case(
        "MultiHeadAttention", [X, real(2, 7, 8), real(2, 7, 8), real(24), "", real(1, 2, 5, 7)], {**HEADS, "scale": 0.2}
    ),
    "heads apart": Case("MultiHeadAttention", [X, real(2, 2, 7, 4), real(2, 2, 7, 4)], HEADS),
    "gemm": Case("QGemm", [*pair(3, 8), *pair(8, 4), SUMS, np.float32(0.5), ZERO], {}, 1.0),
    "gemm, transposed, to values": Case(
        "QGemm", [*pair(3, 8), steps(4, 8, kind=np.int8), real(4) ** 2 + 0.01, np.zeros(4, np.int8), SUMS],
        {"transB": 1},
    ),
    "product to values": Case("MatMulIntegerToFloat", [steps(2, 3, 8), steps(8, 4), SCALE, SCALE, ZERO, ZERO, real(4)]),
    "dynamic product": Case("DynamicQuantizeMatMul", [X, steps(8, 4), SCALE, ZERO, real(4)], {}, 0.05),
    "dynamic LSTM": Case(
        "DynamicQuantizeLSTM",
        [real(5, 2, 8), LSTM_W, LSTM_R, real(1, 48), "", "", "", "", S1, Z1, S1, Z1], {"hidden_size": 6}, 0.02, 3,
    ),
    "fused convolution": Case(
        "FusedConv", [real(1, 4, 6, 6), real(5, 4, 3, 3), real(5)],
        {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]}
    ),
    "fused product": Case("FusedMatMul", [real(2, 8, 3), real(2, 8, 4)], {"transA": 1, "alpha": 0.5}),
    "bias and gelu": Case("BiasGelu", [X, real(8)]),
    "fast gelu": Case("FastGelu", [X, real(8)], {}, 1e-3),
    "quick gelu": Case("QuickGelu", [X], {"alpha": 1.5}),
    "skip and norm": Case("SkipLayerNormalization", [X, real(2, 5, 8), real(8), real(8), real(8)], {"epsilon": 1e-5}),
    "skip and simple norm": Case("SkipSimplifiedLayerNormalization", [X, real(2, 5, 8), real(8)], {"epsilon": 1e-5}),
    "sum": Case("QLinearAdd", [*pair(2, 3, 4), *pair(2, 3, 4), np.float32(0.05), ZERO], {}, 1.0),
    "product": Case("QLinearMul", [*pair(2, 3, 4), *pair(4), np.float32(0.05), ZERO], {}, 1.0),
    "mean": Case("QLinearGlobalAveragePool", [*IMAGE, SCALE, ZERO], {}, 1.0),
    "windows": Case("QLinearAveragePool", [*IMAGE, SCALE, ZERO], {"kernel_shape": [2, 2], "strides": [2, 2]}, 1.0),
    "leaky": Case("QLinearLeakyRelu", [*IMAGE, SCALE, ZERO], {"alpha": 0.1}, 1.0),
    "sigmoid": Case("QLinearSigmoid", [*IMAGE, np.float32(1 / 256), np.uint8(0)], {}, 1.0),
    "softmax": Case("QLinearSoftmax", [*pair(2, 9), np.float32(1 / 256), np.uint8(0)], {"axis": -1, "opset": 13}, 1.0),
    "side by side": Case("QLinearConcat", [SCALE, ZERO, *pair(1, 2, 3, 3), *pair(1, 4, 3, 3)], {"axis": 1}, 1.0),
}  # fmt: skip


def _model(case: Case) -> tuple[ModelProto, dict[str, Any]]:
    """The model and what its input, the first tensor with an extent, is fed; all else are weights."""
    names = ["" if isinstance(one, str) else f"i{n}" for n, one in enumerate(case.inputs)]
    arrays = {name: np.asarray(one) for name, one in zip(names, case.inputs, strict=True) if name}
    tensors = {name: numpy_helper.from_array(array, name) for name, array in arrays.items()}
    fed = next(name for name, array in arrays.items() if array.ndim)
    ends = [f"o{n}" for n in range(case.outputs)]
    node = helper.make_node(case.operator, names, ends, domain=MICROSOFT, **case.attributes)
    value = helper.make_tensor_value_info(fed, tensors.pop(fed).data_type, arrays[fed].shape)
    graph = helper.make_graph([node], "g", [value], [ValueInfoProto(name=e) for e in ends], list(tensors.values()))
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=8), {fed: arrays[fed]}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str, evaluate: Callable[..., list[Any]], reference: Callable[..., list[Any]]) -> None:
    """Where onnxruntime rounds to steps, ours lie within one; both saturate."""
    case = CASES[name]
    model, feeds = _model(case)
    for got, wanted in zip(evaluate(model, feeds, follow=list(feeds)), reference(model, feeds), strict=True):
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got.double().numpy(), wanted.astype(np.float64), rtol=1e-5, atol=case.tolerance)


def test_every_row_has_a_case() -> None:
    """But those that are the standard's own under another name."""
    same = {"QuantizeLinear", "DequantizeLinear", "LayerNormalization", "Gelu"}
    assert {name for domain, name in TABLE if domain == MICROSOFT} - same == {case.operator for case in CASES.values()}
