# ruff: noqa: E501 - one case, one line
"""Operators whose meaning changed between versions, each against onnxruntime at that version."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

node = helper.make_node
I = np.int64  # noqa: E741 - the type of every index below
F = np.float32


def _draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


X4, X3, X5 = [2, 3, 9, 10], [2, 3, 11], [1, 2, 5, 6, 7]
Case = tuple[int, Any, list[int], dict[str, Any]]
CASES: dict[str, Case] = {
    "slice-9": (9, node("Slice", ["x"], ["y"], starts=[1, -8], ends=[9, 1000], axes=[2, 3]), X4, {}),
    "slice-13-back": (13, node("Slice", ["x", "s", "e", "a", "t"], ["y"]), X4, {
        "s": np.array([-1, 8], I), "e": np.array([-1000, 0], I), "a": np.array([3, 2], I), "t": np.array([-2, -3], I)}),
    "softmax-11": (11, node("Softmax", ["x"], ["y"], axis=2), X4, {}),
    "softmax-13": (13, node("Softmax", ["x"], ["y"], axis=1), X4, {}),
    "logsoftmax-9": (9, node("LogSoftmax", ["x"], ["y"]), X4, {}),
    "hardmax-11": (11, node("Hardmax", ["x"], ["y"], axis=1), X4, {}),
    "split-11": (11, node("Split", ["x"], ["y", "z"], axis=2, split=[4, 5]), X4, {}),
    "split-18": (18, node("Split", ["x"], ["y", "z"], axis=2, num_outputs=2), X4, {}),
    "squeeze-11": (11, node("Squeeze", ["x"], ["y"], axes=[0]), [1, 3, 4], {}),
    "unsqueeze-11": (11, node("Unsqueeze", ["x"], ["y"], axes=[0, 3]), X3, {}),
    "clip-6": (6, node("Clip", ["x"], ["y"], min=-0.5, max=0.25), X4, {}),
    "clip-13-upper": (13, node("Clip", ["x", "", "h"], ["y"]), X4, {"h": np.array(0.3, F)}),
    "pad-10-reflect": (10, node("Pad", ["x"], ["y"], pads=[0, 0, 2, 3, 0, 0, 1, 4], mode="reflect"), X4, {}),
    "pad-13-edge-any-axis": (13, node("Pad", ["x", "p"], ["y"], mode="edge"), X4, {"p": np.array([1, 2, 0, 3, 0, 1, 2, 0], I)}),
    "pad-18-axes": (18, node("Pad", ["x", "p", "v", "a"], ["y"]), X4, {
        "p": np.array([1, -2], I), "v": np.array(2.5, F), "a": np.array([-2], I)}),
    "pad-19-wrap": (19, node("Pad", ["x", "p"], ["y"], mode="wrap"), X4, {"p": np.array([0, 0, 2, 3, 0, 0, 1, 2], I)}),
    "topk-9": (9, node("TopK", ["x"], ["y", "i"], k=3, axis=2), X4, {}),
    "topk-11-smallest": (11, node("TopK", ["x", "k"], ["y", "i"], axis=-1, largest=0), X4, {"k": np.array([4], I)}),
    "dropout-7": (7, node("Dropout", ["x"], ["y"]), X4, {}),
    "dropout-12": (12, node("Dropout", ["x"], ["y"]), X4, {}),
    "flatten-9": (9, node("Flatten", ["x"], ["y"], axis=2), X4, {}),
    "flatten-11-negative": (11, node("Flatten", ["x"], ["y"], axis=-1), X4, {}),
    "upsample-7": (7, node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0]), X4, {}),
    "upsample-9-linear": (9, node("Upsample", ["x", "s"], ["y"], mode="linear"), X4, {"s": np.array([1, 1, 2, 2], F)}),
    "resize-10": (10, node("Resize", ["x", "s"], ["y"]), X4, {"s": np.array([1, 1, 1.7, 0.6], F)}),
    "reduce-mean-11": (11, node("ReduceMean", ["x"], ["y"], axes=[2, -1], keepdims=0), X4, {}),
    "reduce-mean-18": (18, node("ReduceMean", ["x", "a"], ["y"]), X4, {"a": np.array([1, 3], I)}),
    "reduce-sum-13-noop": (13, node("ReduceSum", ["x"], ["y"], noop_with_empty_axes=1), X4, {}),
    "reduce-l2-13": (13, node("ReduceL2", ["x"], ["y"], axes=[1]), X4, {}),
    "reduce-log-sum-exp-18": (18, node("ReduceLogSumExp", ["x", "a"], ["y"], keepdims=0), X4, {"a": np.array([-1], I)}),
    "batch-norm-9": (9, node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3), X4, {
        "s": _draw(3), "b": _draw(3, seed=1), "m": _draw(3, seed=2), "v": np.abs(_draw(3, seed=3)) + 0.5}),
    "instance-norm": (11, node("InstanceNormalization", ["x", "s", "b"], ["y"]), X4, {"s": _draw(3), "b": _draw(3, seed=1)}),
    "layer-norm-17": (17, node("LayerNormalization", ["x", "s", "b"], ["y"], axis=-2), X4, {
        "s": _draw(9, 10), "b": _draw(9, 10, seed=1)}),
    "group-norm-21": (21, node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=3), X4, {"s": _draw(3), "b": _draw(3)}),
    "lrn": (13, node("LRN", ["x"], ["y"], size=3, alpha=0.3, beta=0.6, bias=1.2), [1, 7, 5, 5], {}),
    "prelu-9": (9, node("PRelu", ["x", "s"], ["y"]), X4, {"s": _draw(3, 1, 1)}),
    "prelu-16-last-axis": (16, node("PRelu", ["x", "s"], ["y"]), X4, {"s": _draw(10)}),
    "selu-6": (6, node("Selu", ["x"], ["y"], alpha=1.5, gamma=1.1), X4, {}),
    "gelu-20": (20, node("Gelu", ["x"], ["y"], approximate="tanh"), X4, {}),
    "hard-sigmoid": (6, node("HardSigmoid", ["x"], ["y"], alpha=0.3), X4, {}),
    "hard-swish": (14, node("HardSwish", ["x"], ["y"]), X4, {}),
    "mish-18": (18, node("Mish", ["x"], ["y"]), X4, {}),
    "shrink": (9, node("Shrink", ["x"], ["y"], bias=0.3, lambd=0.4), X4, {}),
    "cumsum-14": (14, node("CumSum", ["x", "a"], ["y"], reverse=1, exclusive=1), X4, {"a": np.array(2)}),
    "depth-to-space-crd": (13, node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD"), [1, 8, 3, 4], {}),
    "depth-to-space-1": (9, node("DepthToSpace", ["x"], ["y"], blocksize=2), [1, 8, 3, 4], {}),
    "space-to-depth": (13, node("SpaceToDepth", ["x"], ["y"], blocksize=2), [1, 3, 4, 6], {}),
    "gather": (13, node("Gather", ["x", "i"], ["y"], axis=2), X4, {"i": np.array([[0, -1], [3, 4]], I)}),
    "gather-scalar": (11, node("Gather", ["x", "i"], ["y"], axis=1), X4, {"i": np.array(1, I)}),
    "gather-nd-batch": (13, node("GatherND", ["x", "i"], ["y"], batch_dims=1), X4, {"i": np.array([[[0, 2]], [[2, -3]]], I)}),
    "scatter-nd-18": (18, node("ScatterND", ["x", "i", "u"], ["y"], reduction="max"), [4, 5], {
        "i": np.array([[0], [2]], I), "u": _draw(2, 5)}),
    "scatter-elements": (16, node("ScatterElements", ["x", "i", "u"], ["y"], axis=1, reduction="add"), [2, 5], {
        "i": np.array([[1, 1], [-1, 0]], I), "u": _draw(2, 2)}),
    "einsum": (12, node("Einsum", ["x", "w"], ["y"], equation="nchw,dc->ndhw"), X4, {"w": _draw(4, 3)}),
    "gemm-7": (7, node("Gemm", ["x", "w", "b"], ["y"], transB=1, alpha=0.5, beta=2.0), [4, 6], {"w": _draw(5, 6), "b": _draw(5)}),
    "gemm-11-no-c": (11, node("Gemm", ["x", "w"], ["y"], transA=1), [6, 4], {"w": _draw(6, 5)}),
    "expand": (13, node("Expand", ["x", "s"], ["y"]), [3, 1], {"s": np.array([2, 1, 6], I)}),
    "tile": (13, node("Tile", ["x", "s"], ["y"]), [2, 3], {"s": np.array([2, 3], I)}),
    "trilu": (14, node("Trilu", ["x", "k"], ["y"], upper=0), [5, 6], {"k": np.array(1, I)}),
    "reshape-allowzero": (14, node("Reshape", ["x", "s"], ["y"], allowzero=1), [0, 3], {"s": np.array([3, 0], I)}),
    "transpose": (13, node("Transpose", ["x"], ["y"]), X3, {}),
    "lp-pool-11": (11, node("LpPool", ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1], p=3), X4, {}),
    "global-lp-pool": (9, node("GlobalLpPool", ["x"], ["y"], p=3), X4, {}),
    "global-max-pool": (9, node("GlobalMaxPool", ["x"], ["y"]), X5, {}),
    "max-pool-indices": (12, node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 3], pads=[1, 0, 0, 1]), X4, {}),
    "grid-sample-16": (16, node("GridSample", ["x", "g"], ["y"], padding_mode="border"), [1, 2, 6, 6], {"g": _draw(1, 3, 4, 2)}),
    "mod-fmod": (13, node("Mod", ["x", "w"], ["y"], fmod=1), X3, {"w": np.array(0.3, F)}),
    "where": (16, node("Where", ["c", "x", "w"], ["y"]), X3, {"c": np.array([[True], [False], [True]]), "w": np.array(7, F)}),
    "mean-13": (13, node("Mean", ["x", "w"], ["y"]), X3, {"w": _draw(11)}),
}  # fmt: skip


def _agree(model: ModelProto, feeds: dict[str, Any], evaluate: Any, reference: Any) -> None:
    expected = reference(model, feeds)
    for follow in ([], ["x"]):
        for got, wanted in zip(evaluate(model, feeds, follow=follow), expected, strict=True):
            assert list(got.shape) == list(wanted.shape)
            np.testing.assert_allclose(got.numpy(), wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_version(name: str, make: Callable[..., ModelProto], evaluate: Any, reference: Any) -> None:
    opset, step, shape, weights = CASES[name]
    model = make([step], {"x": shape}, list(step.output), weights, opset)
    for value, output in zip(model.graph.output, step.output, strict=True):
        if output == "i":
            value.type.tensor_type.elem_type = 7
    _agree(model, {"x": _draw(*shape, seed=9)}, evaluate, reference)


PADDINGS: list[dict[str, Any]] = [
    {}, {"pads": [1, 2]}, {"pads": [0, 3], "strides": [2]}, {"auto_pad": "SAME_UPPER", "strides": [2]},
    {"auto_pad": "SAME_LOWER", "strides": [3]}, {"auto_pad": "VALID", "strides": [2]},
    {"pads": [2, 2], "dilations": [2]}, {"auto_pad": "SAME_UPPER", "strides": [3]},
]  # fmt: skip


def _over(rank: int, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str) else [n for n in value for _ in range(rank)]
        for name, value in settings.items()
    }


@pytest.mark.parametrize(("rank", "settings"), list(itertools.product([1, 2, 3], PADDINGS)))
def test_convolution(rank: int, settings: dict[str, Any], make: Any, evaluate: Any, reference: Any) -> None:
    shape, weights = [1, 4, *[9, 10, 7][:rank]], {"w": _draw(6, 2, *[3] * rank), "b": _draw(6)}
    step = node("Conv", ["x", "w", "b"], ["y"], group=2, **_over(rank, settings))
    _agree(make([step], {"x": shape}, ["y"], weights, 11), {"x": _draw(*shape)}, evaluate, reference)


TRANSPOSED: list[dict[str, Any]] = [
    {}, {"strides": [2]}, {"strides": [2], "pads": [1, 0]}, {"strides": [2], "pads": [1, 1], "output_padding": [1]},
    {"strides": [3], "auto_pad": "SAME_UPPER"}, {"strides": [3], "auto_pad": "SAME_LOWER"},
    {"strides": [2], "output_shape": [20]}, {"dilations": [2], "pads": [2, 1]}, {"strides": [3], "output_padding": [2]},
]  # fmt: skip


@pytest.mark.parametrize(("rank", "settings"), list(itertools.product([1, 2, 3], TRANSPOSED)))
def test_transposed_convolution(rank: int, settings: dict[str, Any], make: Any, evaluate: Any, reference: Any) -> None:
    shape, weights = [1, 4, *[9] * rank], {"w": _draw(4, 3, *[3] * rank), "b": _draw(6)}
    step = node("ConvTranspose", ["x", "w", "b"], ["y"], group=2, **_over(rank, settings))
    _agree(make([step], {"x": shape}, ["y"], weights, 11), {"x": _draw(*shape)}, evaluate, reference)


POOLS: list[dict[str, Any]] = [
    {}, {"pads": [1, 1]}, {"pads": [1, 0], "strides": [2]}, {"strides": [2], "ceil_mode": 1},
    {"auto_pad": "SAME_UPPER", "strides": [2]}, {"auto_pad": "SAME_LOWER", "strides": [2]},
    {"pads": [1, 1], "strides": [2], "ceil_mode": 1}, {"dilations": [2], "pads": [1, 1]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "rank", "settings"), list(itertools.product(["MaxPool", "AveragePool", "Counted"], [1, 2, 3], POOLS))
)
def test_pool(operator: str, rank: int, settings: dict[str, Any], make: Any, evaluate: Any, reference: Any) -> None:
    shape = [2, 3, *[9, 10, 8][:rank]]
    given = {k: v if k == "ceil_mode" else _over(rank, {k: v})[k] for k, v in settings.items()}
    extra: dict[str, Any] = {"count_include_pad": 1} if operator == "Counted" else {}
    kind = "AveragePool" if operator == "Counted" else operator
    step = node(kind, ["x"], ["y"], kernel_shape=[3] * rank, **given, **extra)
    _agree(make([step], {"x": shape}, ["y"], {}, 19), {"x": _draw(*shape)}, evaluate, reference)


RESIZES = [
    *itertools.product(
        ["nearest"], ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"],
        ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"],
    ),
    *itertools.product(["linear", "cubic"], ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"], ["floor"]),
]  # fmt: skip


@pytest.mark.parametrize("scale", [(2.0, 2.0), (1.6, 0.7), (0.5, 3.0)])
@pytest.mark.parametrize(("mode", "coordinates", "rounding"), RESIZES)
def test_resize(
    mode: str, coordinates: str, rounding: str, scale: tuple[float, float], make: Any, evaluate: Any, reference: Any
) -> None:
    step = node(
        "Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=coordinates, nearest_mode=rounding
    )
    model = make([step], {"x": [1, 2, 10, 10]}, ["y"], {"s": np.array([1, 1, *scale], F)}, 13)
    _agree(model, {"x": _draw(1, 2, 10, 10)}, evaluate, reference)
