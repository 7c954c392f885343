"""Parts of a measurement put together: units that share a run, samples that were taken in shards, fused chains."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from nets import SmallUNet, TinyViT
from tests.engine.oracle import difference, gradient_map, unit_of
from torch import nn

from erfscope_contract.request import ErfRequest
from erfscope_engine import Mark, Network, measure, measure_network, network_of, sample_network
from erfscope_engine.shards import Merge, Part


class Residual(nn.Module):
    """Convolution, normalisation, ReLU and a skip: everything that is fused."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.one, self.two = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm_one, self.norm_two = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        for norm in (self.stem[1], self.norm_one, self.norm_two):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = torch.relu(self.norm_one(self.one(x)))
        return torch.relu(self.norm_two(self.two(y)) + x)


@pytest.mark.parametrize("build", [Residual, SmallUNet, TinyViT])
def test_fused_float64_equals_plain_autograd(build: type[nn.Module]) -> None:
    torch.manual_seed(1)
    net = build().double().eval()
    found = measure(net, (3, 32, 24), dtype="float64", average={"inputs": 3}, target={"channels": "random"})
    i, j = found.result.unit
    pick = (lambda y: y[0, 1 + i * 6 + j]) if build is TinyViT else unit_of((i, j))
    assert difference(found, gradient_map(net, (3, 32, 24), pick, 3, random_signs=True)) < 1e-9


def test_a_grid_gives_what_its_units_give_alone() -> None:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(3, 4, 7, padding=3), nn.ReLU(), nn.Conv2d(4, 4, 7, padding=3), nn.Tanh())
    shape, settings = (3, 20, 20), {"average": {"inputs": 6}, "dtype": "float64"}
    grid = measure(net, shape, target={"unit": {"grid": [2, 2]}}, **settings)
    for entry in grid.result.units:
        alone = measure(net, shape, target={"unit": entry.unit}, **settings)
        assert entry.erf.size == pytest.approx(alone.result.erf.size, rel=1e-9)
        assert entry.trf == alone.result.trf


@pytest.mark.parametrize("statistic", ["abs", "rms"])
def test_shards_cut_at_micro_batches_merge_to_the_same_bytes(statistic: str) -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 5), nn.ReLU(), nn.Conv2d(4, 2, 3))
    request = ErfRequest.model_validate({"average": {"inputs": 200, "statistic": statistic}})
    network = network_of(net, (3, 24, 24))
    whole = measure_network(network, request)
    parts = []
    for samples in ((0, 64), (64, 128), (128, 200)):
        part = Part(samples)
        sample_network(network, request, part.sampler)
        parts.append(part.arrays)
    merge = Merge([parts[2], parts[0], parts[1]])
    assert measure_network(network, request, sampler=merge.sampler).map.tobytes() == whole.map.tobytes()


@pytest.mark.parametrize("extent", [31, 32, 33])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (1, 2, 0), (3, 2, 1), (5, 2, 2), (3, 3, 2)])
def test_convolutions_at_the_border_are_those_of_autograd(extent: int, kernel: int, stride: int, padding: int) -> None:
    """Borders that the stride uses in part, and bias and ReLU in the same pass: in float32, as people measure."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, kernel, stride, padding), nn.ReLU(),
        nn.Conv2d(24, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 7, padding=3, groups=16),
    )  # fmt: skip
    _assert_map_of_autograd(body, (3, extent, extent))


def test_a_dense_layer_with_its_bias_is_that_of_autograd() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv1d(4, 32, 3), nn.ReLU())
    tokens = nn.Sequential(nn.Linear(32, 48), nn.GELU(), nn.Linear(48, 32))

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.tokens = body, tokens

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.tokens(self.body(x).transpose(1, 2)).transpose(1, 2)

    _assert_map_of_autograd(Tokens(), (4, 40))


def _assert_map_of_autograd(body: nn.Module, shape: tuple[int, ...]) -> None:
    """The map that is measured in float32 is autograd's in float64."""
    measured = measure(body, shape, average={"inputs": 4}, target={"channels": "sum"})
    truth = gradient_map(deepcopy(body).double(), shape, unit_of(measured.result.unit), 4)
    assert difference(measured, truth) < 1e-5


def test_a_profile_runs_its_network_in_its_own_number_type_alone() -> None:
    """In float64, only what is right before a unit is looked at."""
    torch.manual_seed(0)
    body = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.GroupNorm(1, 3)) for _ in range(4)))
    runs: list[torch.dtype] = []

    def counted(dtype: torch.dtype) -> Network:
        network = network_of(body, (3, 12, 12), dtype=dtype)

        def run(x: torch.Tensor, mark: Mark) -> object:
            runs.append(dtype)
            return network.run(x, mark)

        return replace(network, run=run, at=counted)

    request = ErfRequest.model_validate({"layers": "all", "average": {"inputs": 2}})
    measured = measure_network(counted(torch.float32), request)
    assert len(measured.result.layers) > 4
    assert set(runs) == {torch.float32}
