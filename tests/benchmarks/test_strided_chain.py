"""The place of a unit by hand rules, against the middle of what autograd says it reads."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from benchmarks.strided_chain import chain_of, on_grid, run_with_graph
from torch import Tensor, nn
from torch.nn import functional as F


def support(net: nn.Module, shape: tuple[int, ...], unit: tuple[int, int]) -> list[tuple[int, int]]:
    """Per axis, the first and the last pixel with a gradient.

    Weights are made positive, so that nothing cancels; a maximum reads one of its inputs, so means stand in for it.
    """
    net = nn.Sequential(*[
        nn.AvgPool2d(part.kernel_size, part.stride, part.padding) if isinstance(part, nn.MaxPool2d) else part
        for part in deepcopy(net)
    ])  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_().add_(0.1)
    x = torch.rand(1, *shape, requires_grad=True)
    (g,) = torch.autograd.grad(net(x)[0, :, unit[0], unit[1]].sum(), x)
    rows, columns = np.nonzero(g[0].sum(0).numpy())
    return [(int(along.min()), int(along.max())) for along in (rows, columns)]


CHAINS = {
    "strided": nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)),
    "patches": nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 4, 2, 2)),
    "dilated and valid": nn.Sequential(nn.Conv2d(3, 4, 3, 1, 0, 2), nn.Conv2d(4, 4, (3, 5), (2, 1), (0, 2))),
    "padded on one side": nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 2), nn.AvgPool2d(2)),
    "ceil": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AvgPool2d(3, 2, ceil_mode=True)),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("unit", [(3, 4), (4, 3)])
def test_a_chain_of_windows_has_its_units_in_the_middle_of_what_they_read(name: str, unit: tuple[int, int]) -> None:
    net, shape = CHAINS[name], (3, 66, 70)
    output, image = run_with_graph(net, shape)
    chain = chain_of(output, image)
    assert chain is not None
    assert [axis.extent for axis in chain] == list(output.shape[2:])
    read = support(net, shape, unit)
    assert [axis.size for axis in chain] == [hi - lo + 1 for lo, hi in read]
    assert [float(axis.at(i)) for axis, i in zip(chain, unit, strict=True)] == [(lo + hi) / 2 for lo, hi in read]


class Net(nn.Module):
    """A forward function over some modules."""

    def __init__(self, forward: object, *parts: nn.Module) -> None:
        super().__init__()
        self.call, self.m = forward, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.m, x)  # type: ignore[no-any-return, operator]


def conv(a: int, b: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Conv2d(a, b, kernel, stride, kernel // 2)


def u_net(m: nn.ModuleList, x: Tensor) -> Tensor:
    x = m[0](x)
    return m[2](torch.cat([F.interpolate(m[1](F.max_pool2d(x, 2)), scale_factor=2), x], 1))


def merging_by_slices(m: nn.ModuleList, x: Tensor) -> Tensor:
    x = m[0](x).permute(0, 2, 3, 1)
    parts = [x[:, i::2, j::2] for i in range(2) for j in range(2)]
    return m[1](torch.cat(parts, -1)).permute(0, 3, 1, 2)


def merging_by_views(m: nn.ModuleList, x: Tensor) -> Tensor:
    x = m[0](x).permute(0, 2, 3, 1)
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)
    return m[1](x).permute(0, 3, 1, 2)


def attention(m: nn.ModuleList, x: Tensor) -> Tensor:
    """Keys and values of every second unit, and a shortcut."""
    x = m[0](x)
    q, kv = (m[1](x).flatten(2).transpose(1, 2), m[2](x).flatten(2).transpose(1, 2))
    return x + F.scaled_dot_product_attention(q, kv, kv).transpose(1, 2).reshape(x.shape)


PLACES = {  # network, unit → where it is, by hand
    "the skip of a U-Net": (Net(u_net, conv(3, 4), conv(4, 4), conv(8, 4)), 5, 5.0),
    "patches merged by slices": (Net(merging_by_slices, nn.Conv2d(3, 4, 4, 4), nn.Linear(16, 8)), 2, 19.5),
    "patches merged by views": (Net(merging_by_views, nn.Conv2d(3, 4, 4, 4), nn.Linear(16, 8)), 2, 19.5),
    "attention beside a shortcut": (
        Net(attention, nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 2, 2)), 3, 13.5),
    "an excitation beside the map": (
        Net(lambda m, x: (y := m[0](x)) * torch.sigmoid(m[1](F.adaptive_avg_pool2d(y, 1))),
            conv(3, 4, 3, 2), nn.Conv2d(4, 4, 1)), 4, 8.0),
    "a pooled shortcut beside a wider path": (
        Net(lambda m, x: m[0](F.avg_pool2d(x, 2)) + m[1](x), nn.Conv2d(3, 4, 1), conv(3, 4, 3, 2)), 4, 8.5),
    "a cut border": (
        Net(lambda m, x: m[1](F.pad(m[0](x), (1, 0, 1, 0)))[:, :, 1:, 1:], conv(3, 4), conv(4, 4, 3, 2)), 3, 7.0),
    "a shifted half beside the other": (
        Net(lambda m, x: torch.cat([F.avg_pool2d(x, 1, 2), F.avg_pool2d(F.pad(x, (-1, 1, -1, 1)), 1, 2)], 1)), 3, 6.5),
    "upsampling": (Net(lambda m, x: F.interpolate(m[0](x), scale_factor=2), nn.Conv2d(3, 4, 4, 4)), 5, 10.5),
    "a transposed convolution": (
        Net(lambda m, x: m[1](m[0](x)), conv(3, 4, 3, 2), nn.ConvTranspose2d(4, 4, 3, 2, 1)), 6, 6.0),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_places_by_hand(name: str) -> None:
    net, unit, place = PLACES[name]
    output, image = run_with_graph(net, (3, 32, 32))
    chain = chain_of(output, image)
    assert chain is not None
    at = on_grid(chain, output.shape[2:])
    assert at is not None
    assert [float(axis.at(unit)) for axis in at] == [place, place]


def test_a_row_of_tokens_is_a_square_with_others_in_front() -> None:
    net = Net(lambda m, x: m[0](x).flatten(2).transpose(1, 2), nn.Conv2d(3, 4, 8, 8))
    chain = chain_of(*run_with_graph(net, (3, 32, 32)))
    assert chain is not None
    at = on_grid(chain, [17])
    assert at is not None
    assert [float(axis.at(2)) for axis in at] == [19.5, 19.5]


RESIDUAL = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 5, padding=2), nn.Conv2d(4, 4, 3, padding=1))


def test_joins_unite_fields_and_mixing_leaves_none() -> None:
    net = Net(lambda m, x: (y := m[0][0](x)) + m[0][2](m[0][1](y)), RESIDUAL)
    chain = chain_of(*run_with_graph(net, (3, 32, 32)))
    assert chain is not None
    assert [axis.size for axis in chain] == [3 + 2 * (4 + 2)] * 2
    mixed = chain_of(*run_with_graph(PLACES["attention beside a shortcut"][0], (3, 32, 32)))
    assert mixed is not None
    assert [axis.size for axis in mixed] == [None, None]


def test_global_pooling_leaves_no_place() -> None:
    net = Net(lambda m, x: m[0](x).mean((2, 3)), conv(3, 4))
    assert chain_of(*run_with_graph(net, (3, 16, 16))) is None
