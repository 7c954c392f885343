"""Parts of a measurement put together: units that share a run, samples that were taken in shards, fused chains."""

import pytest
import torch
from nets import SmallUNet, TinyViT
from tests.engine.oracle import difference, gradient_map, unit_of
from torch import nn

from erfscope_contract.request import ErfRequest
from erfscope_engine import measure, measure_network, network_of, sample_network
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
