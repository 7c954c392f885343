"""Where units sit behind joins: the shallowest path tells the place and the stride, whatever else is mixed in."""

import pytest
import torch
from tests.engine.steps.step import Fn
from torch import Tensor, nn
from torch.nn import functional as F

from erfscope_contract.problem import ProblemError
from erfscope_engine import receptive_field


def _half(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, 4, 3, stride=2, padding=1)


class Gated(nn.Module):
    """Two levels, each times its own gate, which looks at both (the fusion of GLPN, the skips of Attention U-Net)."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow, self.deep = _half(3), nn.Sequential(_half(4), _half(4))
        self.gate = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.shallow(x)
        far = F.interpolate(self.deep(near), scale_factor=4, mode="bilinear")
        near_gate, far_gate = self.gate(torch.cat([near, far], 1)).sigmoid().split(1, 1)
        return near * near_gate + far * far_gate


def test_a_unit_behind_gates_sits_where_the_shallowest_path_leads() -> None:
    assert receptive_field(Gated(), (3, 64, 64), unit=(16, 16)).center == (32, 32)


class Corners(nn.Module):
    """A decoder that puts corners on corners, the deep level first, normalised over space (FPN, DPT, PSPNet)."""

    def __init__(self, norm: nn.Module, first: str) -> None:
        super().__init__()
        self.shallow, self.deep, self.norm, self.first = _half(3), nn.Sequential(_half(4), _half(4)), norm, first

    def forward(self, x: Tensor) -> Tensor:
        near = self.norm(self.shallow(x))
        far = F.interpolate(self.norm(self.deep(near)), size=near.shape[2:], mode="bilinear", align_corners=True)
        return torch.cat([far, near] if self.first == "deep" else [near, far], 1)


@pytest.mark.parametrize("first", ["deep", "shallow"])
@pytest.mark.parametrize("norm", [nn.Identity(), nn.GroupNorm(2, 4)])
def test_the_level_that_tells_the_place_tells_the_stride(norm: nn.Module, first: str) -> None:
    field = receptive_field(Corners(norm, first), (3, 64, 64), unit=(20, 9))
    assert field.stride == (2, 2)
    assert field.center == (40, 18)


def test_mixing_after_a_join_is_not_forgotten_by_its_part() -> None:
    """Patches with a class token through attention, and the patches taken out again: they are mixed."""
    attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def net(patches: nn.Module, attend: nn.MultiheadAttention, x: Tensor) -> Tensor:
        tokens = patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([torch.ones(len(x), 1, 4), tokens], 1)
        tokens = attend(tokens, tokens, tokens)[0][:, 1:]
        return tokens.transpose(1, 2).unflatten(2, (8, 8))

    field = receptive_field(Fn(net, nn.Conv2d(3, 4, 4, 4), attention), (3, 32, 32), unit=(2, 5))
    assert field.is_global
    assert field.reach is None
    assert field.center == (9.5, 21.5)


def test_rows_of_a_folded_batch_may_stand_beside_their_own_part() -> None:
    """TimeSformer takes class tokens from the first rows of a batch folded with time: frames count on two axes then."""

    def net(patches: nn.Module, x: Tensor) -> Tensor:
        b, t = x.shape[:2]
        tokens = patches(x.flatten(0, 1)).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
        heads, rest = tokens[:b, :1], tokens[:, 1:]
        rest = rest.unflatten(0, (b, t)).permute(0, 2, 1, 3).flatten(1, 2)
        return torch.cat([heads, rest], 1)[:, 1:] * 2

    net_of_frames = Fn(net, nn.Conv2d(3, 4, 4, 4))
    field = receptive_field(net_of_frames, (4, 3, 16, 16), unit=((1 * 4 + 2) * 4 + 3,))
    assert field.box == ((4, 8), (8, 12))


def test_a_unit_that_is_none_is_refused_in_words() -> None:
    net = nn.Conv2d(3, 4, 3)
    for unit, words in (((1,), "1 coordinates"), ((1, 99), "counted from 0"), ((-1, 0), "greater than or equal to 0")):
        with pytest.raises(ProblemError, match=words):
            receptive_field(net, (3, 16, 16), unit=unit)


@pytest.mark.parametrize("part", [slice(0, None, 2), slice(1, None, 2), slice(2, None, 4), slice(0, 2), slice(0, 3)])
def test_some_phases_of_space_in_channels_read_what_they_hold(part: slice) -> None:
    def phases(x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, 2)[:, part]

    x = torch.rand(1, 2, 16, 12, requires_grad=True)
    phases(x)[0, :, 3, 2].sum().backward()
    assert x.grad is not None
    rows, columns = x.grad[0].sum(0).nonzero(as_tuple=True)
    box = tuple((int(at.min()), int(at.max()) + 1) for at in (rows, columns))
    assert receptive_field(Fn(phases), (2, 16, 12), unit=(3, 2)).box == box
