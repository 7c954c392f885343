"""Linear networks of drawn weights: the analytic map is the closed form (Luo et al. 2016, sections 2.1 to 2.3)."""

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import convolve
from torch import nn

from erfscope_contract.architecture import Init, InitOptions
from erfscope_contract.problem import ProblemError
from erfscope_engine import measure
from erfscope_intake.spec.schemes import box_rim, fill_weight, stream


def _stack(n: int, width: int, kernel: int, **fields: Any) -> list[Any]:
    conv = {"type": "conv", "out_channels": width, "kernel_size": kernel, "padding": "same", "bias": False, **fields}
    return [conv] * n


def _power(kernel: Any, n: int) -> Any:
    """The n-fold convolution of a kernel with itself."""
    return reduce(convolve, [np.asarray(kernel, float)] * n)


def _in_middle(m: Any, size: int, center: float) -> Any:
    """The part of a map of `size` positions per axis around a centre; what is around it must be 0."""
    first = round(center - (size - 1) / 2)
    part = m[(slice(first, first + size),) * m.ndim]
    assert m.sum() == pytest.approx(part.sum(), rel=1e-15)
    return part


@pytest.mark.parametrize(("n", "kernel"), [(1, 3), (7, 3), (20, 3), (6, 5), (4, 7)])
def test_gradient_variance_is_the_convolution_of_ones(squares: Any, n: int, kernel: int) -> None:
    m, result = squares(_stack(n, 4, kernel), [201], channels=3)
    gains = math.prod(4 * 2 / (fan * kernel) for fan in [3] + [4] * (n - 1))
    expected = gains * _power(np.ones(kernel), n)
    np.testing.assert_allclose(_in_middle(m, len(expected), result.trf.center[0]), expected, rtol=1e-12)


@pytest.mark.parametrize(("n", "kernel"), [(9, 3), (5, 5)])
def test_the_same_in_two_dimensions(squares: Any, n: int, kernel: int) -> None:
    m, result = squares(_stack(n, 2, kernel), [61, 61], channels=2)
    gains = math.prod(2 * 2 / (2 * kernel**2) for _ in range(n))
    line = _power(np.ones(kernel), n)
    np.testing.assert_allclose(_in_middle(m, len(line), result.trf.center[0]), gains * np.outer(line, line), rtol=1e-12)


def test_a_profile_of_variances_is_convolved_with_itself(squares: Any) -> None:
    """S3: σ = √(n · Var[X]) of the normalised kernel, here of the variances of a kernel with a high rim."""
    init = {"scheme": "low_center", "center": 0.5}
    m, result = squares(_stack(8, 1, 3), [61], init=init)
    profile = np.array([1.0, 0.25, 1.0]) / 2.25 * 2
    expected = _power(profile, 8)
    part = _in_middle(m, len(expected), result.trf.center[0])
    np.testing.assert_allclose(part, expected, rtol=1e-12)
    x = np.arange(len(part)) - (len(part) - 1) / 2
    sigma = math.sqrt((part * x**2).sum() / part.sum())
    assert sigma == pytest.approx(math.sqrt(8 * 2 / 2.25), rel=1e-12)


def test_given_weights_of_one_path_are_squared(squares: Any) -> None:
    net = nn.Sequential(*[nn.Conv1d(1, 1, 3, padding=1, bias=False) for _ in range(5)]).double()
    kernels = []
    for k, conv in enumerate(net.parameters()):
        weight = np.array([1.0, -2.0, 0.5 + k])
        conv.data[0, 0] = torch.from_numpy(weight)
        kernels.append(weight[::-1] ** 2)
    fields: Any = {"method": "analytic", "dtype": "float64", "average": {"statistic": "rms"}}
    found = measure(net, (1, 31), **fields)
    m = (found.map * 2.0**found.result.scale_log2) ** 2
    expected = reduce(convolve, kernels)[::-1]
    np.testing.assert_allclose(_in_middle(m, 11, found.result.trf.center[0]), expected, rtol=1e-12)
    assert any("signs" in note for note in found.result.provenance.notes)


SCHEMES: list[tuple[Any, float]] = [
    ("default", 1 / 3 / 12),
    ("kaiming_normal", 2 / 12),
    ("kaiming_uniform", 2 / 12),
    ("xavier_normal", 2 / (12 + 24)),
    ("xavier_uniform", 2 / (12 + 24)),
    ("orthogonal", 1 / 12),
    ("normal", 1 / 12),
    ("uniform", 1 / 12),
    ({"scheme": "normal", "std": 0.3}, 0.09),
    ({"scheme": "uniform", "low": -2.0, "high": 2.0}, 4 / 3),
    ({"scheme": "kaiming_normal", "gain": 3.0, "mode": "fan_out"}, 9 / 24),
]


@pytest.mark.parametrize(("init", "variance"), SCHEMES)
def test_every_scheme_has_its_variance(squares: Any, init: Any, variance: float) -> None:
    """One layer of 4 → 8 channels, kernel 3: each tap has 8 times the variance of a weight."""
    m, _ = squares(_stack(1, 8, 3, bias=True), [9], channels=4, init=init)
    np.testing.assert_allclose(m[3:6], 8 * variance, rtol=1e-12)


@pytest.mark.parametrize(
    "init", ["ones", {"scheme": "normal", "mean": 0.1}, {"scheme": "uniform", "low": 0, "high": 1}]
)
def test_weights_that_are_not_around_zero_are_refused(squares: Any, init: Any) -> None:
    with pytest.raises(ProblemError, match="not random around 0") as error:
        squares(_stack(1, 1, 3), [9], init=init)
    assert error.value.kind == "unsupported-feature"
    assert error.value.problem.context["layer"] == "conv_0"


def test_orthogonal_draws_have_that_mean_square() -> None:
    """The schemes' table says 1 / longer side; drawn frames agree within 2 %."""
    weight = torch.empty(6, 2, 2, dtype=torch.float64)
    squares = np.zeros(weight.shape)
    for k in range(4000):
        fill_weight(weight, InitOptions(scheme=Init.ORTHOGONAL), stream(k), box_rim((2,)))
        squares += weight.numpy() ** 2
    np.testing.assert_allclose(squares / 4000, 1 / 6, rtol=0.1)
    assert squares.mean() / 4000 == pytest.approx(1 / 6, rel=1e-12)
