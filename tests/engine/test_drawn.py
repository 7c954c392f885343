"""A function that makes a network with fresh weights, averaged over draws."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from erfscope import compare
from erfscope_contract.problem import ProblemError
from erfscope_engine import measure


def normed() -> nn.Module:
    """A network whose statistics differ between draws as well."""
    norm = nn.BatchNorm2d(4)
    net = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), norm, nn.ReLU(), nn.Conv2d(4, 4, 5, padding=2))
    nn.init.uniform_(norm.running_var, 0.1, 2.0)  # type: ignore[arg-type]
    return net


def test_the_map_is_the_mean_over_draws() -> None:
    kernels: list[torch.Tensor] = []

    def make() -> nn.Module:
        net = nn.Conv2d(1, 1, 5, padding=2, bias=False)
        kernels.append(net.weight.detach()[0, 0].clone())
        return net

    found = measure(make, (1, 9, 9), draws=4, inputs=1, seed=2)
    unlike = {kernel.numpy().tobytes(): kernel for kernel in kernels}
    assert len(unlike) == 4
    mean = torch.stack([*unlike.values()]).abs().mean(0).numpy()
    np.testing.assert_allclose(found.map[2:7, 2:7], mean / mean.max(), rtol=1e-5)
    assert found.result.provenance.draws == 4
    assert found.stderr["mass_50_side"]


def test_draws_have_the_same_bytes_again_and_leave_the_generator_as_it_was() -> None:
    state = torch.get_rng_state()
    first, second = (measure(normed, (3, 16, 16), draws=3, inputs=2, seed=5, layers="all") for _ in range(2))
    assert (first.map == second.map).all()
    assert first.metrics == second.metrics
    assert torch.equal(torch.get_rng_state(), state)
    alone = measure(normed, (3, 16, 16), draws=3, inputs=2, seed=5)
    assert first.metrics == alone.metrics, "a profile before or behind has the same draws"
    assert first.metrics != measure(normed, (3, 16, 16), draws=3, inputs=2, seed=6).metrics
    assert not any("untrained" in note for note in first.notes), "that is what was asked for"


def test_the_caption_tells_the_number_of_draws() -> None:
    drawn = measure(normed, (3, 16, 16), draws=3, inputs=1)
    words = compare(drawn, measure(normed(), (3, 16, 16), inputs=3), names=["drawn", "one"]).measuring[0]
    assert "samples 3 draws of the weights, 1 input each (normal) / 3 inputs (normal);" in words
    assert "weights drawn by the model's function / the model's own;" in words


def seeded() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(1, 1, 3)


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (seeded, {"draws": 2}, "the function gives the same weights at every call"),
        (lambda: 3, {"draws": 2}, "int is not a torch.nn.Module"),
        ("resnet50", {}, "str is not a torch.nn.Module"),
        (normed, {"weights": "ones", "draws": 2}, "weights='ones' and draws=2.*give a function"),
    ],
)
def test_what_does_not_draw_is_refused(make: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemError, match=words):
        measure(make, (1, 8, 8), inputs=1, **arguments)
