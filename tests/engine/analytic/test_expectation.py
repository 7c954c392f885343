"""Monte-Carlo over drawn weights converges to the analytic map; what is approximate is bounded; results are whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_contract.architecture import Architecture
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions, Weights
from erfscope_engine import measure_network
from erfscope_intake.answer import Sources, answer
from erfscope_intake.spec import build_network

WIDTH, DEPTH, SIDE = 4, 3, 15
DRAWS = 1 << 14
Activation = Callable[[Tensor], Tensor]


def _gradients(activation: Activation) -> Tensor:
    """DRAWS gradients (draw, 15) of the middle unit's channels with random signs: other weights and another input each.

    Written without the engine: every draw is a group of one convolution.
    """
    torch.manual_seed(1)
    x = torch.randn(1, DRAWS, SIDE, dtype=torch.float64, requires_grad=True)
    y: Tensor = x
    for n in range(DEPTH):
        fan = 1 if n == 0 else WIDTH
        weight = torch.randn(DRAWS * WIDTH, fan, 3, dtype=torch.float64) * (2 / (3 * fan)) ** 0.5
        y = activation(F.conv1d(y, weight, padding=1, groups=DRAWS))
    signs = torch.randint(0, 2, (DRAWS * WIDTH,)).double() * 2 - 1
    (g,) = torch.autograd.grad((signs * y[0, :, SIDE // 2]).sum(), x)
    return g[0]


def _layers(activation: str | None) -> list[Any]:
    conv = {"type": "conv", "out_channels": WIDTH, "kernel_size": 3, "padding": 1, "bias": False}
    return [conv, *([{"type": activation}] if activation else [])] * DEPTH


@pytest.mark.parametrize(("activation", "name"), [(lambda y: y, None), (torch.relu, "relu")])
def test_monte_carlo_converges_at_one_over_root_n(squares: Any, activation: Activation, name: str | None) -> None:
    """S2: the error of the rms map over N draws falls with slope −0.5 ± 0.1; a chain of ReLUs is exact as well."""
    m, _ = squares(_layers(name), [SIDE])
    drawn = _gradients(activation).square()
    counts = [16 * 4**k for k in range(5)]
    errors = []
    for count in counts:
        maps = drawn.view(-1, count, SIDE).mean(1).sqrt().numpy()
        errors.append(np.sqrt(((maps - np.sqrt(m)) ** 2).sum(1)).mean())
    slope, _ = np.polyfit(np.log(counts), np.log(errors), 1)
    assert slope == pytest.approx(-0.5, abs=0.1)
    standard = (drawn.std(0) / DRAWS**0.5).numpy()
    inside = slice(SIDE // 2 - DEPTH, SIDE // 2 + DEPTH + 1)
    assert (np.abs(drawn.mean(0).numpy() - m)[inside] < 4 * standard[inside]).all()


@pytest.mark.parametrize(("activation", "name", "bound"), [(torch.tanh, "tanh", 0.06), (F.silu, "silu", 0.25)])
def test_other_nonlinearities_are_near(squares: Any, activation: Activation, name: str, bound: float) -> None:
    """Gaussian, independent pre-activations are an approximation: 4 channels are few."""
    m, result = squares(_layers(name), [SIDE])
    drawn = _gradients(activation).square().mean(0).numpy()
    assert m.sum() == pytest.approx(drawn.sum(), rel=bound)
    np.testing.assert_allclose(m / m.sum(), drawn / drawn.sum(), atol=0.02)
    assert any("Gaussian pre-activations" in note for note in result.provenance.notes)


def test_the_engines_own_draws_agree(squares: Any) -> None:
    """`average.weights` draws of the gradient method, on a strided net with pooling, norm and a skip connection."""
    conv = {"type": "conv", "out_channels": 6, "kernel_size": 3, "padding": 1}
    layers = [
        {**conv, "stride": 2}, {"type": "batch_norm"}, {"type": "relu"},
        {"type": "residual", "layers": [conv, {"type": "relu"}, conv]},
        {"type": "avg_pool", "kernel_size": 2}, conv,
    ]  # fmt: skip
    asked: dict[str, Any] = {"init": "default", "target": {"channels": "random"}}
    m, analytic = squares(layers, [25, 25], channels=3, **asked)
    s, sampled = squares(layers, [25, 25], channels=3, **asked, method="gradient", average={"weights": 96, "inputs": 2})
    assert analytic.provenance.method == "analytic"
    assert sampled.provenance.method == "gradient"
    for name in ("size", "size_1sigma"):
        error = sampled.stderr[f"erf_{name}"]
        assert abs(getattr(analytic.erf, name) - getattr(sampled.erf, name)) < 4 * error
    assert m.sum() == pytest.approx(s.sum(), rel=0.25)


def test_active_dropout_is_an_expectation_too(squares: Any) -> None:
    """The mean square of a mask is 1 / (1 − p)."""
    plain, _ = squares(_layers(None), [SIDE])
    layers = [*_layers(None), {"type": "dropout", "p": 0.2, "active": True}]
    dropped, _ = squares(layers, [SIDE])
    np.testing.assert_allclose(dropped, plain / 0.8, rtol=1e-12)


def test_statistics_are_those_of_a_gaussian_gradient(squares: Any) -> None:
    rms, found = squares(_layers(None), [SIDE])
    assert not any("statistic" in note for note in found.provenance.notes)
    for statistic, factor in (("abs", (2 / np.pi) ** 0.5), ("relu", (2 * np.pi) ** -0.5)):
        m, found = squares(_layers(None), [SIDE], average={"statistic": statistic})
        assert any(f"statistic '{statistic}' is that of a Gaussian" in note for note in found.provenance.notes)
        np.testing.assert_allclose(np.sqrt(m), factor * np.sqrt(rms), rtol=1e-12)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"average": {"statistic": "signed"}}, "expectation 0"),
        ({"protocol": "replknet"}, "sampled gradients"),
        ({"average": {"weights": 5}}, r"average.weights > 1 \(draws\) is for sampled gradients"),
        ({"average": {"until": {}}}, "average.until is for sampled gradients"),
    ],
)
def test_what_has_no_expectation_is_refused(squares: Any, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemError, match=words) as error:
        squares(_layers(None), [SIDE], **fields)
    assert error.value.kind == "unsupported-feature"


def test_a_grid_and_a_profile_come_with_their_maps() -> None:
    conv = {"type": "conv", "out_channels": 3, "kernel_size": 3, "padding": 1}
    spec = {"input": {"size": [21, 21]}, "layers": [conv, {"type": "relu"}, {**conv, "dilation": 2, "padding": 2}]}
    asked = {
        "method": "analytic",
        "model": {"architecture": spec},
        "target": {"unit": {"grid": [3, 3]}},
        "layers": "all",
    }
    found = answer(ErfRequest.model_validate(asked), Sources(), device="cpu")
    result = found.result
    assert len(result.units) == 9
    assert result.unit == [10, 10]
    assert [row.trf_size for row in result.layers] == [[3, 3], [3, 3], [7, 7]]
    assert result.samples.used == 0
    assert result.stderr == {}
    assert result.mass["0.50"].side is not None
    assert result.gaussian.r2 is not None
    assert found.arrays["units"].shape == (9, 21, 21)
    assert found.arrays["layers"].shape == (3, 21, 21)
    np.testing.assert_array_equal(found.arrays["units"][4], found.map)
    again = answer(ErfRequest.model_validate(asked), Sources(), device="cpu")
    assert again.result == result
    assert found.map.tobytes() == again.map.tobytes()


def test_squares_beyond_float32_are_carried_in_float64(squares: Any) -> None:
    """40 layers of tiny weights: gradients near 1e-60, squares near 1e-120."""
    init = {"scheme": "normal", "std": 0.01}
    layers = [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1, "bias": False}] * 40
    _, narrow = squares(layers, [101], init=init, dtype="float32")
    _, wide = squares(layers, [101], init=init, dtype="float64")
    assert narrow.scale_log2 == pytest.approx(wide.scale_log2, abs=1e-3)
    assert narrow.scale_log2 < -126
    assert narrow.erf.size == pytest.approx(wide.erf.size, rel=1e-6)


def test_the_weights_come_back(squares: Any) -> None:
    """After an analytic pass the network holds draw 0 again: the same object measured by gradient is unchanged."""
    spec = Architecture.model_validate({"input": {"channels": 1, "size": [SIDE]}, "layers": _layers("relu")})
    network = build_network(
        spec, InputOptions(), dtype=torch.float32, device=torch.device("cpu"), weights=Weights.GIVEN, seed=0
    )
    request = ErfRequest.model_validate({"average": {"inputs": 2}})
    before = measure_network(network, request)
    measure_network(network, request.model_copy(update={"method": "analytic"}))
    assert measure_network(network, request).map.tobytes() == before.map.tobytes()
