"""Every ONNX backend node test whose operators are claimed: right as constants, and right when followed."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from erfscope_intake.onnx_audit import OLDEST_OPSET, graphs
from erfscope_intake.onnx_summary import convertible, versions_of

# Why a test of an operator that is claimed cannot pass here: pattern → reason.
SKIPPED: dict[str, str] = {
    r"test_batchnorm_.*_training_mode": "inference is computed whatever the mode",
    r"test_training_dropout(?!_zero_ratio).*": "inference is computed whatever the mode",
    r"test_bernoulli.*": "draws random numbers",
    r"test_(dynamic)?quantizelinear.*|test_dynamicquantizelinear.*|test_qlinear.*": "nothing is rounded",
    r"test_(cast|castlike)_.*to_(U?INT[24]|FLOAT[48].*|BFLOAT16)(_expanded)?": "narrow types stay wide",
    r"test_(cast|castlike)_.*(FLOAT4|INT2|E8M0|e8m0).*": "element types that have no computing type",
    r"test_dequantizelinear_(u?int2|float4e2m1).*": "element types that have no computing type",
    r"test_.*(bfloat16|bf16|BFLOAT16).*": "bfloat16 is computed in float32",
    r"test_bitwise_not_3d": "uint16 is computed in int64",
    r"test_roialign_mode_max": "onnx2torch has mean pooling of boxes only",
}  # fmt: skip


def _supported(model: ModelProto) -> bool:
    versions = versions_of(model)
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    return versions.get("", OLDEST_OPSET) >= OLDEST_OPSET and all(convertible(node, versions) for node in nodes)


def _feeds(case: Any) -> dict[str, Any]:
    given = {tensor.name for tensor in case.model.graph.initializer}
    names = [value.name for value in case.model.graph.input if value.name not in given]
    return dict(zip(names, case.data_sets[0][0], strict=False))


def _numbers_only(feeds: dict[str, Any]) -> bool:
    return not any(isinstance(a, np.ndarray) and a.dtype.kind in "OSUc" for a in feeds.values())


def _reason(name: str) -> str | None:
    return next((why for pattern, why in SKIPPED.items() if re.fullmatch(pattern, name)), None)


@pytest.fixture(scope="module")
def claimed() -> dict[str, Any]:
    """Name → test. Made here and not at import: it takes seconds, and every process of a run collects every file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generators of the standard's own tests divide by zero on purpose
        from onnx.backend.test.loader import load_model_tests

        cases = [case for case in load_model_tests(kind="node") if case.model is not None]
    return {
        case.name: case
        for case in sorted(cases, key=lambda case: str(case.name))
        if _supported(case.model) and _numbers_only(_feeds(case)) and _reason(case.name) is None
    }


def _check(got: Any, expected: Any, case: Any) -> None:
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            _check(one, other, case)
        return
    proto = isinstance(expected, TensorProto)
    wanted = numpy_helper.to_array(expected) if proto else np.asarray(expected)
    exact = wanted.astype(np.float64)
    loose = 2e-3 if wanted.dtype.itemsize == 2 else 1e-5
    assert tuple(got.shape) == exact.shape
    np.testing.assert_allclose(
        got.detach().numpy().astype(np.float64), exact, rtol=max(case.rtol or 0, 1e-3), atol=loose
    )


def test_most_of_the_standards_tests_are_claimed(claimed: dict[str, Any]) -> None:
    assert len(claimed) > 1300


def test_every_node(claimed: dict[str, Any], evaluate: Callable[..., list[Any]], subtests: pytest.Subtests) -> None:
    for name, case in claimed.items():
        with subtests.test(name):
            _check_node(case, evaluate)


def _check_node(case: Any, evaluate: Callable[..., list[Any]]) -> None:
    feeds = _feeds(case)
    real = [n for n, a in feeds.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.ndim]
    for follow in ([], real[:1]) if real else ([],):
        outputs = evaluate(case.model, feeds, follow=follow)
        for got, expected in zip(outputs, case.data_sets[0][1], strict=True):
            if got is not None:  # None: what depends on values is given up, not guessed
                _check(got, expected, case)
            else:
                assert follow
