"""Measurements against closed forms, and what a measurement does when there is nothing to measure."""

from functools import reduce

import numpy as np
import pytest
import torch
from nets import ChannelsLast, TinyViT, convs
from tests.engine.oracle import gradient_map, unit_of
from torch import Tensor, nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure


def ones_stack(n: int, k: int, rank: int) -> nn.Module:
    kind = (nn.Conv1d, nn.Conv2d)[rank - 1]
    stack = nn.Sequential(*(kind(1, 1, k, bias=False) for _ in range(n)))
    for parameter in stack.parameters():
        nn.init.ones_(parameter)
    return stack


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize(("n", "k"), [(5, 3), (10, 2), (20, 3), (7, 5)])
def test_ones_kernels_give_extended_binomials(n: int, k: int, rank: int) -> None:
    """S1: the map of n ones kernels is the n-fold convolution of a box with itself (Luo et al., 2016, eq. 6)."""
    side = n * (k - 1) + 9
    row = reduce(np.convolve, [np.ones(k)] * n)
    found = measure(ones_stack(n, k, rank), (1, *[side] * rank), dtype="float64", average={"inputs": 2})
    expected = row if rank == 1 else np.outer(row, row)
    box = tuple(slice(lo, hi) for lo, hi in found.result.trf.box)
    cut = found.map[box] * 2.0**found.result.scale_log2
    assert cut.shape == expected.shape
    assert np.abs(cut / expected - 1).max() < 1e-12
    assert np.count_nonzero(found.map) == expected.size


def test_sigma_of_ones_kernels_is_the_formula() -> None:
    """σ² = n (k² − 1) / 12 for n uniform kernels of k taps (eq. 8)."""
    found = measure(ones_stack(12, 5, 2), (1, 61, 61), dtype="float64", average={"inputs": 1})
    assert found.result.gaussian.sigma == pytest.approx([np.sqrt(12 * 24 / 12)] * 2, rel=1e-9)


def test_same_request_same_bytes() -> None:
    torch.manual_seed(3)
    net = nn.Sequential(convs(3, 3), nn.ReLU(), convs(5))
    first, second = (measure(net, (3, 40, 40), average={"inputs": 12}) for _ in range(2))
    assert first.map.tobytes() == second.map.tobytes()
    assert first.result.model_dump_json() == second.result.model_dump_json()


def test_statistics_differ_as_they_should() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(convs(3, 3), nn.ReLU(), convs(3))
    raw = {}
    for statistic in ("abs", "rms", "relu", "signed"):
        found = measure(net, (3, 24, 24), average={"inputs": 16, "statistic": statistic})
        raw[statistic] = found.map * 2.0**found.result.scale_log2
    assert (raw["rms"] >= raw["abs"] * (1 - 1e-6)).all()
    assert (raw["signed"] <= raw["abs"] * (1 + 1e-6)).all()
    signed = gradient_map(net.double(), (3, 24, 24), unit_of((12, 12)), 16, reduce=lambda g: g)
    assert np.allclose(2 * raw["relu"] - raw["abs"], signed, atol=1e-6)


def test_one_channel_of_many() -> None:
    net = convs(3, 3)
    alone = measure(net, (3, 16, 16), target={"channels": [1]}, dtype="float64", average={"inputs": 1})
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(net.double()(x)[0, 1, 8, 8], x)
    expected = g[0].abs().mean(0).numpy()
    assert np.allclose(alone.map, expected / expected.max())
    with pytest.raises(ProblemError, match="names channel 9"):
        measure(net, (3, 16, 16), target={"channels": [9]})


def test_auto_takes_random_signs_behind_a_layer_norm() -> None:
    found = measure(TinyViT(), (3, 32, 24), average={"inputs": 4})
    assert found.result.provenance.channels == "random"
    assert found.result.unit == [4, 3]
    plain = measure(convs(3), (3, 16, 16), average={"inputs": 2})
    assert plain.result.provenance.channels == "sum"


def test_channels_last_map_has_the_spatial_shape() -> None:
    found = measure(ChannelsLast(), (32, 48, 3), average={"inputs": 2})
    assert found.map.shape == (32, 48)
    assert found.result.input_shape == [3, 32, 48]


def test_deep_untrained_network_does_not_underflow() -> None:
    net = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1) for _ in range(30)))
    for parameter in net.parameters():
        parameter.data *= 0.02
    shallow = measure(net, (2, 64, 64), dtype="float64", average={"inputs": 2})
    single = measure(net, (2, 64, 64), average={"inputs": 2})
    assert shallow.result.scale_log2 < -140  # float32 ends at 2**-149
    assert np.allclose(single.map, shallow.map, atol=1e-4)


def test_dead_samples_are_counted_and_a_dead_unit_is_said() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())
    found = measure(net, (1, 9, 9), average={"inputs": 64})
    assert 0 < found.result.samples.dead < 64
    assert any("dead" in note for note in found.result.provenance.notes)
    nn.init.constant_(net[0].bias, -1e6)
    with pytest.raises(ProblemError, match="exactly zero in all 8 samples") as caught:
        measure(net, (1, 9, 9), average={"inputs": 8}, target={"layer": "1"})
    assert caught.value.kind == "no-gradient"
    taken = measure(net, (1, 9, 9), average={"inputs": 8}).result.layer
    assert taken.name == "0"
    assert [(each.name, "exactly zero" in each.why) for each in taken.passed_over] == [("output", True)]


def test_nan_weights_are_said() -> None:
    net = convs(3)
    net[0].weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(ProblemError) as caught:
        measure(net, (3, 9, 9))
    assert caught.value.kind == "non-finite-output"


def test_no_gradient_operator_is_said() -> None:
    class Threshold(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (nn.functional.avg_pool2d(x, 3) > 0).float()

    with pytest.raises(ProblemError) as caught:
        measure(Threshold(), (1, 16, 16))
    assert caught.value.kind == "no-gradient"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"layer": "9"}, "Did you mean"),
        ({"unit": [99, 0]}, "16 x 16 units"),
        ({"unit": [3]}, "1 coordinates"),
        ({"unit": {"grid": [2, 2, 2]}}, "3 coordinates"),
    ],
)
def test_wrong_targets_name_what_is_there(target: dict[str, object], words: str) -> None:
    with pytest.raises(ProblemError, match=words) as caught:
        measure(convs(3), (3, 16, 16), target=target)
    assert caught.value.kind == "invalid-target"


def test_a_dense_network_has_no_spatial_layer() -> None:
    with pytest.raises(ProblemError) as caught:
        measure(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), (8,))
    assert caught.value.kind == "no-spatial-layer"


def test_grid_of_units_and_profile() -> None:
    net = nn.Sequential(convs(3), nn.ReLU(), convs(3), nn.MaxPool2d(2), convs(3))
    found = measure(net, (3, 32, 32), target={"unit": {"grid": [2, 3]}}, average={"inputs": 2}, layers="all")
    assert [entry.unit for entry in found.result.units] == [[4, 2], [4, 8], [4, 13], [12, 2], [12, 8], [12, 13]]
    assert [row.trf_size for row in found.result.layers] == [[3, 3], [3, 3], [5, 5], [6, 6], [10, 10]]


def test_maps_of_every_unit_and_layer_are_kept() -> None:
    torch.manual_seed(5)
    net = nn.Sequential(convs(3), nn.Tanh(), convs(5), nn.MaxPool2d(2), convs(3))
    shape, average = (3, 24, 20), {"inputs": 8}
    found = measure(net, shape, target={"unit": {"grid": [2, 3]}}, average=average, layers="all")
    result = found.result
    assert result.maps.units
    assert result.maps.layers
    assert found.units_map.shape == (6, 24, 20)
    assert found.layers_map.shape == (5, 24, 20)
    assert found.units_map.dtype == found.layers_map.dtype == np.float32
    for entry, kept in zip(result.units, found.units_map, strict=True):
        alone = measure(net, shape, target={"unit": entry.unit}, average=average)
        assert np.allclose(kept, alone.map, atol=1e-6)
        assert entry.scale_log2 == pytest.approx(alone.result.scale_log2, abs=1e-5)
        assert entry.stderr["erf_size"] == pytest.approx(alone.result.stderr["erf_size"], rel=1e-4)
    for row, kept in zip(result.layers, found.layers_map, strict=True):
        alone = measure(net, shape, target={"layer": row.name}, average=average)
        assert np.allclose(kept, alone.map, atol=1e-6)
        assert row.scale_log2 == pytest.approx(alone.result.scale_log2, abs=1e-5)
        assert row.unit == alone.result.unit
        assert row.trf == alone.result.trf
        assert {"erf_size", "mass_50_side", "sigma_1"} <= row.stderr.keys() < alone.result.stderr.keys()


def test_dead_units_have_no_map() -> None:
    net = nn.Conv2d(3, 2, 3, padding=8)  # the outermost units see padding alone
    found = measure(net, (3, 9, 9), target={"unit": {"grid": [3, 3]}}, average={"inputs": 1})
    assert [entry.unit for entry in found.result.units] == [[11, 11]]
    assert found.units_map.shape == (1, 9, 9)


def test_maps_that_would_be_too_large_together_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfscope_engine.stack.LARGEST", 6 * 16 * 16 * 4 - 1)
    found = measure(convs(3), (3, 16, 16), target={"unit": {"grid": [2, 3]}}, average={"inputs": 1})
    assert found.units_map is None
    assert not found.result.maps.units
    assert len(found.result.units) == 6
    assert measure(convs(3), (3, 16, 16), target={"unit": {"grid": [1, 5]}}, average={"inputs": 1}).result.maps.units


def test_more_units_than_their_sums_have_room_for_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    net, wanted = convs(7), {"target": {"unit": {"grid": [3, 3]}}, "average": {"inputs": 2}, "dtype": "float64"}
    together = measure(net, (3, 12, 12), **wanted)
    monkeypatch.setattr("erfscope_engine.average.LARGEST_TEAM", 8 * 12 * 12 * 2)
    in_turns = measure(net, (3, 12, 12), **wanted)
    assert np.allclose(together.units_map, in_turns.units_map, atol=1e-6)
    assert together.result.unit == in_turns.result.unit


def test_adaptive_stop_reaches_its_precision() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(convs(3, 3), nn.ReLU(), convs(3, 3), nn.ReLU(), convs(3))
    until = {"relative_error": 0.02, "at_most": 2048}
    found = measure(net, (3, 24, 24), average={"inputs": 8, "until": until})
    result = found.result
    assert result.samples.used > 8
    assert result.stderr["erf_size"] <= 0.02 * result.erf.size
    assert result.stderr["mass_50_side"] <= 0.02 * result.mass["0.50"].side


def test_progress_is_heard() -> None:
    heard: list[tuple[str, float]] = []
    measure(convs(3), (3, 16, 16), average={"inputs": 64}, progress=lambda stage, share: heard.append((stage, share)))
    assert heard[:2] == [("trace", 0.0), ("measure", 0.0)]
    assert heard[-1] == ("measure", 1.0)
    assert len(heard) > 3


def test_at_most_is_a_limit() -> None:
    until = {"relative_error": 1e-9, "at_most": 10}
    found = measure(convs(3), (3, 12, 12), average={"inputs": 32, "until": until})
    assert found.result.samples.used == 10


def test_a_unit_of_padding_is_not_called_dead() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=6))
    with pytest.raises(ProblemError, match="wholly in the padding"):
        measure(net, (3, 5, 6), target={"unit": [0, 0]})


@pytest.mark.parametrize(
    ("shape", "fields", "kind"),
    [((4, 16, 16), {}, "shape-mismatch"), ((3, 16, 16), {"samples": 4}, "invalid-request")],
)
def test_the_library_speaks_in_problems(shape: tuple[int, ...], fields: dict[str, int], kind: str) -> None:
    with pytest.raises(ProblemError) as caught:
        measure(convs(3), shape, **fields)
    assert caught.value.kind == kind


def test_a_grid_shows_the_unit_nearest_the_centre() -> None:
    found = measure(convs(3), (3, 30, 30), target={"unit": {"grid": [3, 3]}}, average={"inputs": 1})
    assert found.result.unit == [15, 15]


def test_dead_units_of_a_grid_are_named() -> None:
    class Half(nn.Module):
        """Units of the left half are shut by their bias."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)
            self.register_buffer("shut", torch.cat([torch.full((16, 8), -1e4), torch.zeros(16, 8)], 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(x) + 5 + self.shut)

    result = measure(Half(), (1, 16, 16), target={"unit": {"grid": [2, 2]}}, average={"inputs": 4}).result
    assert [row.unit for row in result.units] == [[4, 12], [12, 12]]
    note = next(note for note in result.provenance.notes if "left out" in note)
    assert note.startswith("2 of 4 units are left out")
    assert "[4, 4], [12, 4]" in note


def test_gradients_beyond_float32_are_scaled_not_lost() -> None:
    convs = [nn.Conv2d(1, 1, 7, bias=False) for _ in range(60)]
    for conv in convs:
        nn.init.ones_(conv.weight)
    found = measure(nn.Sequential(*convs), (1, 361, 361), dtype="float64", average={"inputs": 1})
    assert found.result.scale_log2 > 300  # 49**60 paths
    assert found.result.erf.size is not None


class Gated(nn.Module):
    """Two gates of one number per channel, from all of space: the first one's gradient is a sum over every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(3, 72, 3, padding=1), nn.Conv2d(72, 72, 1)])

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = convolution(x)
            x = x * (99 * x.mean((2, 3), keepdim=True)).sigmoid()
        return x


@pytest.mark.parametrize("side", [40, 250])  # summed at once, and block by block
def test_a_gate_is_summed_over_small_and_large_maps(side: int) -> None:
    torch.manual_seed(0)
    gated = measure(Gated(), (3, side, side), inputs=1, channels=[3], verify=True)
    assert gated.result.verify is not None
    assert gated.result.verify.relative_difference < 1e-5
