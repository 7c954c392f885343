"""The region algebra against brute force: the unclipped box is the hull of what a linearised copy really reads."""

import numpy as np
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_nets import CHANNELS, linearised, networks, weighed
from tests.engine.oracle import difference, gradient_map, unit_of
from torch import nn

from erfscope_engine import measure, receptive_field

SIDE = 48
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def output_shape(net: nn.Module) -> tuple[int, int] | None:
    try:
        with torch.no_grad():
            h, w = net(torch.zeros(1, CHANNELS, SIDE, SIDE, dtype=torch.float64)).shape[2:]
    except RuntimeError:
        return None
    return (h, w) if 2 <= h <= 400 and 2 <= w <= 400 else None


def support(net: nn.Module, unit: tuple[int, ...]) -> np.ndarray:
    """Where a linearised copy has a gradient."""
    x = torch.randn(1, CHANNELS, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    y = linearised(net)(x)
    (g,) = torch.autograd.grad(y[0, :, unit[0], unit[1]].sum(), x)
    return g[0].abs().sum(0).numpy() > 0


@QUIET
@given(networks, st.data())
def test_box_is_the_hull_of_the_support(net: nn.Module, data: st.DataObject) -> None:
    net = weighed(net)
    shape = output_shape(net)
    assume(shape is not None)
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    seen = support(net, unit)
    assume(seen.any())  # not a unit of padding only, or in a hole between others
    field = receptive_field(net, (CHANNELS, SIDE, SIDE), unit=unit)
    for axis, (lo, hi) in enumerate(field.box):
        positions = np.flatnonzero(seen.any(axis=1 - axis))
        inside = field.box[0][0] >= 0 and field.box[0][1] <= SIDE and field.box[1][0] >= 0 and field.box[1][1] <= SIDE
        if inside and not any(isinstance(m, nn.ReflectionPad2d | nn.ReplicationPad2d) for m in net):
            assert (positions[0], positions[-1] + 1) == (lo, hi)
        else:
            assert max(lo, 0) <= positions[0]
            assert positions[-1] + 1 <= min(hi, SIDE)


@QUIET
@given(networks)
def test_map_equals_plain_autograd_and_vanishes_outside_the_trf(net: nn.Module) -> None:
    net = weighed(net)
    shape = output_shape(net)
    assume(shape is not None)
    expected = gradient_map(net, (CHANNELS, SIDE, SIDE), unit_of([n // 2 for n in shape]), 3, seed=7)
    assume(expected.max() > 1e-12)
    target = {"layer": "output", "channels": "sum"}  # `auto` would pass over what the first samples do not reach
    found = measure(net, (CHANNELS, SIDE, SIDE), dtype="float64", average={"inputs": 3, "seed": 7}, target=target)
    assert difference(found, expected) < 1e-9
    (y0, y1), (x0, x1) = found.result.trf.box
    outside = found.map.copy()
    outside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = 0
    assert not outside.any()


def test_samples_that_see_each_other_are_run_one_by_one() -> None:
    class Leaky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return y - y.mean(0, keepdim=True) + y

    found = measure(Leaky(), (2, 8, 8), average={"inputs": 4})
    assert found.result.provenance.micro_batch == 1


def test_value_dependent_control_flow_runs_by_autograd_and_is_said() -> None:
    class Decides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return self.second(y) * 2 if y.sum().item() > -1e9 else y

    torch.manual_seed(0)
    net = Decides()
    found = measure(net, (2, 16, 16), average={"inputs": 2}).result
    assert (found.layer.name, found.layer.shape) == ("output", [2, 12, 12])
    assert any("_local_scalar_dense" in note for note in found.provenance.notes)
    assert found.trf.is_global
    assert found.erf.size is not None
    assert found.erf.size <= 5
    recorded = measure(net, (2, 16, 16), average={"inputs": 2}, target={"layer": "first"}).result
    assert (recorded.trf.size, recorded.provenance.autograd) == ([3, 3], [])
