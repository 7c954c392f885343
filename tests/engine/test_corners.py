"""Networks that once went wrong: each equals plain autograd now."""

import numpy as np
import pytest
import torch
from tests.engine.oracle import difference, gradient_map, unit_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure, receptive_field


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)


class SoftmaxAlongACutAxis(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.softmax(self.first(x), dim=3))


class NormAlongACutAxis(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.layer_norm(self.first(x), (20,)))


class JoinedToAConstant(Base):
    def forward(self, x: Tensor) -> Tensor:
        half = self.first(x)[:, :2]
        return self.last(
            torch.cat([half, torch.linspace(0, 1, 800, dtype=x.dtype).view(1, 2, 20, 20).expand(len(x), -1, -1, -1)], 1)
        )


class MadeLike(Base):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.last(y + torch.ones_like(y) + y.new_zeros(y.shape))


class Warped(Base):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        grid = torch.tanh(y[:, :2].permute(0, 2, 3, 1))
        return self.last(F.grid_sample(y, grid, align_corners=False))


class WrittenInPlace(Base):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).clone()
        y[:, :, 1:] += y[:, :, :-1] * 2
        y[:, 0].mul_(3)
        return self.last(y.relu_())


class Residue(Base):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        shuffled = y.view(len(x), 2, 2, 20, 20).transpose(1, 2).reshape(len(x), 4, 20, 20)
        return self.last(shuffled.flip(3).roll(3, 2) + F.pad(y, (1, 1, 1, 1), mode="circular")[:, :, 1:-1, 2:])


class WindowsAsColumns(Base):
    """A strided, dilated convolution written out, and its columns summed back."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        columns = F.unfold(y, (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1))
        mixed = torch.einsum("nkl,ko->nol", columns, self.last.weight.reshape(24, 3).repeat(1, 8)) * torch.tanh(columns)
        back = F.fold(mixed, (20, 20), (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1))
        return self.last(back)


NETS = [
    SoftmaxAlongACutAxis,
    NormAlongACutAxis,
    JoinedToAConstant,
    MadeLike,
    Warped,
    WrittenInPlace,
    Residue,
    WindowsAsColumns,
]


@pytest.mark.parametrize("build", NETS)
@pytest.mark.parametrize("unit", [(10, 10), (0, 19)])
def test_equals_plain_autograd(build: type[nn.Module], unit: tuple[int, int]) -> None:
    torch.manual_seed(4)
    net = build().double()
    expected = gradient_map(net, (3, 20, 20), unit_of(unit), 1)
    found = measure(net, (3, 20, 20), dtype="float64", average={"inputs": 1}, target={"unit": unit, "channels": "sum"})
    assert difference(found, expected) < 1e-9
    inside = np.zeros((20, 20), bool)
    (y0, y1), (x0, x1) = found.result.trf.box
    inside[max(y0, 0) : y1, max(x0, 0) : x1] = True
    assert not expected[~inside].any()


class Checkpointed(Base):
    """A block in the old form of checkpointing, which cannot be asked for its input's gradient alone."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(checkpoint(lambda y: torch.tanh(self.first(y)), x, use_reentrant=True))

    def plain(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


def test_a_block_checkpointed_the_old_way_is_what_it_computes() -> None:
    torch.manual_seed(4)
    net = Checkpointed().double()
    expected = gradient_map(net.plain, (3, 20, 20), unit_of((10, 10)), 1)
    found = measure(net, (3, 20, 20), dtype="float64", inputs=1, unit=(10, 10), channels="sum", verify=True)
    assert difference(found, expected) < 1e-9
    assert found.result.trf.size == [5, 5]


class Overwritten(Base):
    """What a convolution's backward needs is written over: autograd itself refuses."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.exp(self.first(x))
        y.mul_(2)
        return self.last(y)


def test_a_network_that_autograd_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(ProblemError, match=r"cannot differentiate this network: one of the variables needed"):
        measure(Overwritten(), (3, 20, 20), inputs=1, verify=True)


class Replaced(Base):
    """Numbers put in place of others, behind autograd's back."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y.data = y.data * 2
        return self.last(y) ** 2


def test_a_tensor_whose_data_are_replaced_keeps_its_gradient() -> None:
    torch.manual_seed(4)
    net = Replaced().double()
    expected = gradient_map(net, (3, 20, 20), unit_of((10, 10)), 1)
    found = measure(net, (3, 20, 20), dtype="float64", inputs=1, unit=(10, 10), channels="sum")
    assert difference(found, expected) < 1e-9


def test_a_softmax_over_space_is_no_feature_map() -> None:
    class Attended(Base):
        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            return torch.softmax(self.last(y), dim=2) * 1.0

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.soft = nn.Conv2d(3, 2, 3), nn.Softmax(dim=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.soft(self.body(x)).sum((2, 3))

    assert receptive_field(Named(), (3, 20, 20)).size == (3, 3)
    assert receptive_field(Attended(), (3, 20, 20)).is_global


def test_a_convolution_written_as_columns_keeps_its_field() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3 * 15))

        def forward(self, x: Tensor) -> Tensor:
            columns = F.unfold(x, (3, 5), padding=(1, 2), stride=2)
            return (self.weight @ columns).reshape(len(x), 4, 10, 10)

    field = receptive_field(Columns(), (3, 20, 20), unit=(5, 4))
    assert field.box == ((9, 12), (6, 11))
    assert [float(s) for s in field.stride if s is not None] == [2, 2]
    assert receptive_field(nn.Sequential(nn.Conv2d(3, 12, 2, 2), nn.Flatten(2), nn.Fold((20, 20), 2, stride=2)),
                           (3, 20, 20), unit=(7, 4)).box == ((6, 8), (4, 6))  # fmt: skip


@pytest.mark.parametrize("tail", [
    nn.Conv2d(4, 4, 5, padding=2), nn.Conv2d(4, 4, 5, padding=2, groups=4), nn.ConvTranspose2d(4, 4, 3, padding=1),
    nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    nn.ZeroPad2d(2), nn.ReplicationPad2d(2), nn.Upsample(scale_factor=2), nn.LocalResponseNorm(3),
], ids=lambda tail: str(tail).split("(")[0])  # fmt: skip
def test_windows_over_a_map_of_one_place(tail: nn.Module) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 5, 5), tail, nn.Conv2d(4, 2, 1)).eval()
    unit = {"index": [0, *(n // 2 for n in net(torch.zeros(1, 3, 10, 10)).shape[2:])]}
    last = measure(net, (3, 10, 10), verify=True, average={"inputs": 2}, target={"layer": "output", "unit": unit})
    assert last.result.verify is not None
    assert last.result.verify.relative_difference < 1e-12
