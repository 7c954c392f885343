"""The theoretical receptive field against published and hand-computed truth."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision.models as zoo
from nets import ChannelsLast, Parallel, SmallUNet, TinyViT, convs
from tests.engine.steps.step import Fn
from torch import Tensor, nn

from erfscope_engine import measure, receptive_field

SMALL = [
    ("five 3x3", convs(3, 3, 3, 3, 3), (11, 11)),
    ("dilations 1, 2, 4", nn.Sequential(*(nn.Conv2d(3, 3, 3, dilation=d) for d in (1, 2, 4))), (15, 15)),
    ("conv, pool, conv", nn.Sequential(nn.Conv2d(3, 3, 3), nn.MaxPool2d(2), nn.Conv2d(3, 3, 3)), (8, 8)),
    ("3 high, 5 wide", nn.Conv2d(3, 3, (3, 5)), (3, 5)),
    ("two parallel 7x7", Parallel(nn.Conv2d(3, 3, 7), nn.Conv2d(3, 3, 7)), (7, 7)),
    ("small U-Net", SmallUNet(), (10, 10)),
    (
        "stride 2, transposed",
        nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.ConvTranspose2d(3, 3, 2, stride=2)),
        (3, 3),
    ),
    ("average pool", nn.Sequential(nn.Conv2d(3, 3, 3), nn.AvgPool2d(3, 2)), (5, 5)),
    ("pixel shuffle", nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2)), (3, 3)),
    ("bilinear x2", nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=2, mode="bilinear")), (4, 4)),
]


@pytest.mark.parametrize(("module", "size"), [row[1:] for row in SMALL], ids=[row[0] for row in SMALL])
def test_small_networks(module: nn.Module, size: tuple[int, int]) -> None:
    assert receptive_field(module, (3, 64, 64)).size == size


def stride_on_the_1x1(model: nn.Module) -> nn.Module:
    """ResNet v1: the 1×1 convolution of a bottleneck strides, not the 3×3."""
    for block in model.modules():
        if isinstance(block, zoo.resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return model


class MobileNetV1(nn.Sequential):
    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, 2, 1)]
        for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
            layers += [nn.Conv2d(8, 8, 3, stride, 1, groups=8), nn.ReLU(), nn.Conv2d(8, 8, 1)]
        super().__init__(*layers)


BODIES = [
    ("AlexNet", zoo.alexnet, "features", 195),
    ("VGG-16", zoo.vgg16, "features", 212),
    ("ResNet-18", zoo.resnet18, "layer4", 435),
    ("ResNet-50, stride on the 3x3", zoo.resnet50, "layer4", 427),
    ("ResNet-50 v1", lambda: stride_on_the_1x1(zoo.resnet50()), "layer4", 483),
    ("ResNet-101 v1", lambda: stride_on_the_1x1(zoo.resnet101()), "layer4", 1027),
    ("ResNet-152 v1", lambda: stride_on_the_1x1(zoo.resnet152()), "layer4", 1507),
    ("Inception v3", lambda: zoo.inception_v3(init_weights=False), "Mixed_7c", 1311),
    ("MobileNet v1", MobileNetV1, "auto", 315),
]


@pytest.mark.parametrize(("build", "layer", "side"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_published_bodies(build: Callable[[], nn.Module], layer: str, side: int) -> None:
    """Araujo, Norris, Sim, Distill 2019; the ResNet-18 and -50 rows by hand."""
    field = receptive_field(build(), (3, 160, 160), layer=layer)
    assert field.size == (side, side)
    assert not field.is_global


def test_stride_centre_and_border() -> None:
    field = receptive_field(zoo.resnet18(), (3, 224, 224), layer="layer4", unit=(0, 0))
    assert [float(s) for s in field.stride if s is not None] == [32, 32]
    assert field.box == ((-217, 218), (-217, 218))
    assert field.center == (0.0, 0.0)
    assert field.clipped


def test_patches_are_centred_where_they_lie() -> None:
    field = receptive_field(nn.Conv2d(3, 8, 16, stride=16), (3, 224, 224), unit=(7, 7))
    assert field.center == (119.5, 119.5)  # not 112 = 224 // 2


def test_one_and_three_dimensions() -> None:
    audio = nn.Sequential(nn.Conv1d(1, 2, 9, stride=4), nn.Conv1d(2, 2, 3, dilation=2))
    assert receptive_field(audio, (1, 400)).size == (25,)
    volume = nn.Sequential(nn.Conv3d(1, 2, (1, 3, 5)), nn.MaxPool3d(2), nn.Conv3d(2, 2, 3))
    assert receptive_field(volume, (1, 24, 24, 24)).size == (6, 8, 10)


def test_channels_last_input_is_recognised() -> None:
    field = receptive_field(ChannelsLast(), (32, 48, 3))
    assert field.shape == (32, 48)
    assert field.size == (5, 5)


def test_token_grid_with_class_token() -> None:
    before = receptive_field(TinyViT(), (3, 32, 24), layer="norm", unit=(2, 3))
    assert before.box == ((8, 12), (12, 16))
    after = receptive_field(TinyViT(), (3, 32, 24), unit=(2, 3))
    assert after.is_global
    assert after.box == ((0, 32), (0, 24))
    assert after.center == (9.5, 13.5)  # the token's own place, not the image's middle
    assert after.widened_by


def test_patches_that_leave_a_rest_of_the_image_over_are_mixed_whole_all_the_same() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.attention = nn.Conv2d(3, 8, 7, 7), nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens)[0].transpose(1, 2).unflatten(2, (4, 3))

    field = receptive_field(Mixed(), (3, 32, 24))
    assert field.is_global
    assert field.box == ((0, 32), (0, 24))
    assert field.seen == ((0, 28), (0, 21))


def test_a_crop_that_is_mixed_is_not_the_whole_image() -> None:
    class Cropped(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            part = x[:, :, :16]
            return part * part.mean((2, 3), keepdim=True)

    field = receptive_field(Cropped(), (3, 32, 24), unit=(3, 5))
    assert field.box == ((0, 16), (0, 24))


def test_shifted_windows_see_their_windows_only() -> None:
    model = zoo.swin_transformer.SwinTransformer([4, 4], 8, [2], [2], [7, 7], num_classes=2)
    plain = receptive_field(model, (3, 56, 56), layer="features.1.0", unit=(6, 6))
    assert plain.box == ((0, 28), (0, 28))
    shifted = receptive_field(model, (3, 56, 56), layer="features.1.1", unit=(6, 6))
    assert shifted.box == ((0, 56), (0, 56))
    assert not plain.is_global


def test_squeeze_and_excite_makes_it_global_and_says_who() -> None:
    field = receptive_field(zoo.mobilenet_v3_small(), (3, 64, 64), layer="features.1")
    assert field.is_global
    assert any("avgpool" in name for name in field.widened_by)


def test_an_unknown_operator_widens_to_everything() -> None:
    class Fourier(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft2(x).real + x

    field = receptive_field(Fourier(), (3, 16, 16))
    assert field.is_global
    assert field.size == (16, 16)


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Softmax(dim=2)])
def test_normalisations_over_space_keep_places(norm: nn.Module) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), norm, nn.Conv2d(4, 4, 3, padding=1))
    field = receptive_field(net, (3, 32, 32))
    assert field.is_global
    assert field.box[0] == (0, 32)
    assert field.stride == (2, 2)
    assert field.center == (16.0, 16.0)


@pytest.mark.parametrize(("kernel", "holes"), [(1, True), (2, False), (3, False)])
def test_holes_of_a_transposed_convolution_are_said(kernel: int, holes: bool) -> None:
    """Taps 3 apart meet one live position of two, but boxes are intervals: 2 where the support is 1 pixel."""
    module = nn.Sequential(nn.ConvTranspose1d(1, 1, kernel, stride=2), nn.Conv1d(1, 1, 2, dilation=3))
    result = measure(module, (1, 21), average={"inputs": 1}, target={"unit": [20]}).result
    assert any("may be wider than what the unit reads" in note for note in result.provenance.notes) is holes
    if holes:
        assert (result.trf.size, result.erf.size_peak) == ([2], 1)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "constant"])
def test_a_padded_map_moves_as_it_did(mode: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), _Padded(mode))
    field = receptive_field(net, (3, 32, 24), layer="1", unit=(9, 7))
    assert field.stride == (2, 2)
    assert field.center == (12, 8)


class _Padded(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(x, (3, 3, 3, 3), mode=self.mode)


@pytest.mark.parametrize("join", [torch.cat, lambda maps, dim: torch.stack(maps, dim).flatten(1, 2)])
def test_branches_of_one_channel_are_channels_however_evenly_they_widen(join: Any) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = nn.ModuleList(nn.Conv2d(3, 1, 3, padding=d, dilation=d) for d in (1, 2, 3, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return join([branch(x) for branch in self.branches], 1)

    field = receptive_field(Branches(), (3, 24, 24), unit=(12, 12))
    assert field.center == (12, 12)
    assert field.box == ((8, 17), (8, 17))
    assert field.stride == (1, 1)


def test_tensors_without_elements_are_no_layers() -> None:
    class Empty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.tokens, self.rows, self.columns = nn.Conv2d(3, 4, 3, padding=1), *(nn.Identity(),) * 3

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            self.tokens(y.flatten(2)[:, :, :0])
            self.rows(y[:, :, :0].flatten(2))
            self.columns(y[..., :0].permute(0, 2, 3, 1).flatten(1, 2))
            return y

    field = receptive_field(Empty(), (3, 8, 8))
    assert field.box == ((3, 6), (3, 6))


class Quantised(nn.Module):
    """Quantisation-aware: weights aside, features are rounded between two convolutions."""

    def __init__(self, per_channel: bool) -> None:
        super().__init__()
        self.first, self.last, self.per_channel = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3), per_channel

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        if self.per_channel:
            y = torch.fake_quantize_per_channel_affine(y, torch.full((4,), 0.1), torch.zeros(4), 1, -128, 127)
        else:
            y = torch.fake_quantize_per_tensor_affine(y, 0.1, 0, -128, 127)
        return self.last(y)  # type: ignore[no-any-return]


@pytest.mark.parametrize("per_channel", [False, True])
def test_rounding_as_a_quantised_network_does_keeps_the_field(per_channel: bool) -> None:
    field = receptive_field(Quantised(per_channel), (3, 24, 24))
    assert (field.size, field.center, field.is_global) == ((5, 5), (12, 12), False)


def test_a_running_sum_of_exponentials_reads_what_came_before() -> None:
    field = receptive_field(Fn(lambda x: torch.logcumsumexp(x, 3)), (3, 24, 24), layer="output", unit=(10, 8))
    assert field.seen == ((10, 11), (0, 9))
