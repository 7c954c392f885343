"""What a person may ask and is told: inputs and units by name, channels left to the engine, causal fields, tiles."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.cases import heads, recurrent
from tests.engine.cases.attention import ViT
from tests.engine.cases.case import Net, around, conv
from tests.engine.cases.convolutional import DeepLab, Pyramid, UNet, wavenet
from tests.engine.oracle import difference, gradient_map, sample, stream
from tests.engine.steps.step import to_first, to_last
from tests.engine.steps.writes import Blurred
from torch import Tensor, nn
from torch.nn import functional as F

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure

OTHERS = 2  # the block of random numbers for inputs that are not measured
SHAPE = (3, 24, 20)


class Pair(nn.Module):
    """Two images of other sizes, one gating the other."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = conv(3, 4), conv(1, 4, 5, stride=2), conv(4, 2)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        return self.last(self.left(image) * torch.tanh(self.right(guide)))


@pytest.mark.parametrize(("name", "number"), [("image", 0), ("guide", 1)])
def test_two_inputs_by_name(name: str, number: int) -> None:
    torch.manual_seed(0)
    net = Pair().double()
    shapes = {"image": (3, 12, 10), "guide": (1, 24, 20)}
    other = next(n for n in shapes if n != name)
    fixed = torch.from_numpy(stream(1 - number, 0, OTHERS).standard_normal(shapes[other], np.float32)).double()
    truth = gradient_map(lambda x: net(**{name: x, other: fixed[None]}), shapes[name], lambda y: y[0, :, 5, 4], 3)
    measured = measure(net, shapes, input_name=name, dtype="float64", inputs=3, unit=(5, 4), channels="sum")
    assert difference(measured, truth) < 1e-9
    assert measured.result.trf.size == ([5, 5] if name == "image" else [9, 9])
    with pytest.raises(ProblemError, match="There is no input 'mask'; the inputs are 'image', 'guide'"):
        measure(net, shapes, input_name="mask")


def test_short_names_are_those_of_the_request() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(conv(3, 4), nn.Tanh(), conv(4, 2))
    short = measure(net, SHAPE, inputs=3, layer="1", unit=(9, 4), channels=[2], seed=5, statistic="rms")
    long = measure(
        net, SHAPE, average={"inputs": 3, "seed": 5, "statistic": "rms"},
        target={"layer": "1", "unit": [9, 4], "channels": [2]},
    )  # fmt: skip
    assert short.result == long.result
    assert short.map.tobytes() == long.map.tobytes()


def test_a_bare_share_is_the_precision_at_which_to_stop() -> None:
    torch.manual_seed(0)
    net = conv(3, 4)
    short, long = (measure(net, SHAPE, until=until) for until in (0.2, {"relative_error": 0.2}))
    assert short.result == long.result


@pytest.mark.parametrize(("index", "pick"), [
    ([0, 5], lambda y: y[0, 0, 5]),  # of the class token, which has no place on the image
    ([13, 2], lambda y: y[0, 13, 2]),
])  # fmt: skip
def test_an_element_by_its_full_index(index: list[int], pick: Any) -> None:
    torch.manual_seed(0)
    net = ViT().double()
    measured = measure(net, SHAPE, dtype="float64", inputs=2, unit={"index": index}, layer="output")
    assert difference(measured, gradient_map(net, SHAPE, pick, 2)) < 1e-9
    assert measured.result.unit == index


def test_an_element_of_a_layer_without_axes_of_space() -> None:
    torch.manual_seed(0)
    net = heads.ValueHead().double()
    measured = measure(net, (3, 9, 9), dtype="float64", inputs=2, layer="dense", unit={"index": [0]})
    dense = lambda x: net.dense(torch.relu(net.value(net.body(x))).flatten(1))  # noqa: E731
    assert difference(measured, gradient_map(dense, (3, 9, 9), lambda y: y[0, 0], 2)) < 1e-9
    with pytest.raises(ProblemError, match=r"give 1 indices below it"):
        measure(net, (3, 9, 9), layer="dense", unit={"index": [0, 0]})


SUMS_VANISH = {
    "softmax of channels, saturated": lambda: Net(lambda a, x: torch.softmax(20 * a(x), 1), conv(3, 4)),
    "LayerNorm of channels": lambda: Net(lambda a, n, x: to_first(n(to_last(a(x)))), conv(3, 4), nn.LayerNorm(4)),
    "LayerNorm with the channels last": lambda: Net(lambda a, n, x: n(to_last(a(x))), conv(3, 4), nn.LayerNorm(4)),
}


@pytest.mark.parametrize("name", SUMS_VANISH)
@pytest.mark.parametrize("seed", range(4))
def test_a_sum_of_channels_that_vanishes_is_never_reported(name: str, seed: int) -> None:
    """It is 0 but for rounding: random signs whatever the seed and the number of samples."""
    torch.manual_seed(seed)
    net = SUMS_VANISH[name]().double()
    last = "last" in name
    pick = (lambda y: y[0, 9, 4]) if last else (lambda y: y[0, :, 9, 4])
    for inputs in (1, 3):
        measured = measure(net, SHAPE, dtype="float64", inputs=inputs, seed=seed, unit=(9, 4))
        assert measured.result.provenance.channels == "random"
        truth = gradient_map(net, SHAPE, pick, inputs, seed=seed, random_signs=True)
        assert difference(measured, truth) < 1e-9


def test_a_causal_network_lies_before_its_unit() -> None:
    torch.manual_seed(0)
    result = measure(wavenet(), (1, 48), inputs=2, unit=(30,)).result
    assert result.trf.causal
    assert result.trf.box == [(15, 31)]
    assert result.trf.center == [30]
    assert result.shape.mass_before == pytest.approx(1)
    both = measure(nn.Conv1d(1, 2, 5, padding=2), (1, 48), inputs=2, unit=(30,)).result
    assert not both.trf.causal
    assert both.shape.mass_before is None


def test_taps_that_are_zero_are_named_with_the_box_of_the_others() -> None:
    class Masked(nn.Conv2d):
        """PixelCNN: nothing at or behind the unit's own place."""

        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones_like(self.weight)
            mask[:, :, 2, 2:] = 0
            mask[:, :, 3:] = 0
            return F.conv2d(x, self.weight * mask, self.bias, padding=2)

    result = measure(Masked(1, 2, 5), (1, 24, 20), inputs=2, unit=(9, 4)).result
    assert result.trf.box == around((9, 4), 2)
    note = next(note for note in result.provenance.notes if "taps" in note)
    assert "[7, 10)" in note.replace("(7, 10)", "[7, 10)")


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)])
def test_a_field_that_is_global_by_statistics_has_a_box_without_them(norm: nn.Module) -> None:
    net = nn.Sequential(conv(3, 4), norm, nn.ReLU(), conv(4, 2))
    trf = measure(net, SHAPE, inputs=2, unit=(9, 4)).result.trf
    assert trf.is_global
    assert trf.box == [(0, 24), (0, 20)]
    assert trf.local_box == around((9, 4), 2)
    assert len(trf.local_without) == 1
    assert measure(nn.Sequential(conv(3, 4), conv(4, 2)), SHAPE, inputs=2, unit=(9, 4)).result.trf.local_box is None


def test_all_operators_that_make_a_field_global_are_named() -> None:
    blocks = [layer for _ in range(8) for layer in (conv(4, 4), nn.InstanceNorm2d(4))]
    trf = measure(nn.Sequential(conv(3, 4), *blocks), SHAPE, inputs=2).result.trf
    assert len(trf.widened_by) == len(trf.local_without) == 8


class ResponseNorm(nn.Module):
    """Each channel by its norm over space (ConvNeXt V2)."""

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(dim=(2, 3), keepdim=True)
        return x + x * size / (size.mean(1, keepdim=True) + 1e-6)


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4), ResponseNorm()])
def test_the_box_without_statistics_may_be_larger_than_the_image(norm: nn.Module) -> None:
    trf = measure(nn.Sequential(conv(3, 4, 51), norm, conv(4, 2)), SHAPE, inputs=2, unit=(9, 4)).result.trf
    assert trf.is_global
    assert trf.local_box == around((9, 4), 26)


VERIFIED = [lambda: nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 2)), ViT, UNet]


@pytest.mark.parametrize("build", VERIFIED)
def test_verification_compares_a_sample_with_plain_autograd(build: Any) -> None:
    torch.manual_seed(0)
    net = build()
    verified = measure(net, SHAPE, inputs=1, verify=True).result.verify
    assert verified is not None
    assert verified.relative_difference < 1e-9
    assert measure(net, SHAPE, inputs=1).result.verify is None


def test_operators_that_autograd_ran_are_named() -> None:
    torch.manual_seed(0)
    plain = measure(nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 2)), SHAPE, inputs=1, unit=(9, 4))
    assert plain.result.provenance.autograd == []
    custom = Net(lambda a, b, x: b(Blurred.apply(a(x))), conv(3, 4), conv(4, 2))
    runs = measure(custom, SHAPE, inputs=1, unit=(9, 4), layer="output").result.provenance.autograd
    assert [run.operator for run in runs] == ["Blurred"]
    assert "autograd.Function" in runs[0].why
    distances = Net(lambda a, b, x: b(torch.cdist(a(x), a(x))), conv(3, 4), conv(4, 2))
    runs = measure(distances, SHAPE, inputs=1, unit={"index": [0, 9, 4]}, layer="output").result.provenance.autograd
    assert [run.operator for run in runs] == ["_cdist_forward"]


class Smeared(torch.autograd.Function):
    """Twice its input, with a backward that spreads over nine positions: more than the forward reads."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        return F.avg_pool2d(g[0], 9, 1, 4)


class ByNumpy(torch.autograd.Function):
    """Twice its input, computed outside of torch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(2 * x.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        return 2 * g[0]


def test_a_backward_wider_than_its_forward_is_noted() -> None:
    torch.manual_seed(0)
    wide = measure(Net(lambda a, b, x: b(Smeared.apply(a(x))), conv(3, 4), conv(4, 2)), SHAPE, inputs=1, unit=(9, 4))
    assert list(wide.result.trf.size) == [5, 5]
    assert any("hand-written backward (Smeared)" in note for note in wide.notes)
    alike = measure(Net(lambda a, b, x: b(Blurred.apply(a(x))), conv(3, 4), conv(4, 2)), SHAPE, inputs=1, unit=(9, 4))
    assert not any("hand-written" in note for note in alike.notes)


def test_a_forward_in_numpy_runs_whole_by_autograd() -> None:
    torch.manual_seed(0)
    first, last = conv(3, 4), conv(4, 2)
    through = measure(Net(lambda a, b, x: b(ByNumpy.apply(a(x))), first, last), SHAPE, inputs=2, unit=(9, 4))
    plain = measure(Net(lambda a, b, x: b(2 * a(x)), first, last), SHAPE, inputs=2, unit=(9, 4))
    assert np.allclose(through.map, plain.map, atol=1e-6)
    assert through.result.trf.is_global
    assert any("needs real numbers" in note for note in through.notes)


def test_a_shape_that_does_not_fit_is_still_refused() -> None:
    with pytest.raises(ProblemError, match="does not take an input of") as caught:
        measure(Net(lambda a, b, x: b(ByNumpy.apply(a(x))), conv(3, 4), conv(5, 2)), SHAPE, inputs=1)
    assert caught.value.kind == "shape-mismatch"


def test_auto_says_what_it_passed_over() -> None:
    layer = measure(heads.DeadHead(), SHAPE, inputs=1, unit=(9, 4)).result.layer
    assert layer.name == "logits"
    assert [each.name for each in layer.passed_over] == ["output"]
    assert "gradient" in layer.passed_over[0].why
    layer = measure(recurrent.CRNN(), (1, 16, 24), inputs=1).result.layer
    assert layer.name == "body"  # an image is not measured as a line
    assert "output" in [each.name for each in layer.passed_over]
    direct = measure(nn.Sequential(conv(3, 4), conv(4, 2)), SHAPE, inputs=1).result.layer
    assert (direct.name, direct.passed_over) == ("output", [])


TILED: dict[str, tuple[Any, Any]] = {
    "U-Net": (UNet, lambda y: y),
    "pyramid": (Pyramid, lambda y: y[2]),
    "DeepLab": (DeepLab, lambda y: y),
    "strided chain": (lambda: nn.Sequential(conv(3, 4, 5, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), conv(4, 2)),
                      lambda y: y),
}  # fmt: skip


@pytest.mark.parametrize("name", TILED)
def test_tiles_cut_by_alignment_and_reach_give_the_whole(name: str) -> None:
    """Every unit of a tile whose reach lies in the tile has the value that it has in the whole image."""
    torch.manual_seed(0)
    build, take = TILED[name]
    net, layer = build().double().eval(), "output.2" if name == "pyramid" else "output"
    trf = measure(net, (3, 96, 96), inputs=1, layer=layer).result.trf
    assert trf.alignment is not None
    assert trf.reach is not None
    stride, (before, after), align = (
        int(trf.stride[0] or 0),
        (trf.reach.before[0], trf.reach.after[0]),
        trf.alignment[0],
    )
    offset = trf.center[0] - stride * measure(net, (3, 96, 96), inputs=1, layer=layer).result.unit[0]
    image = sample((3, 96, 96), 0)[None]
    start, stop = -(-24 // align) * align, 96
    with torch.no_grad():
        whole, tile = take(net(image)), take(net(image[:, :, start:stop, start:stop]))
    first = int(np.ceil((before - offset) / stride))
    shift = start // stride
    inner = tile[:, :, first:, first:]
    assert inner.shape[2] > 3
    assert after >= 0
    torch.testing.assert_close(inner, whole[:, :, first + shift :, first + shift :], rtol=1e-12, atol=1e-12)
    if first > 0:
        assert not torch.allclose(tile[:, :, : first // 2 + 1], whole[:, :, shift : shift + first // 2 + 1, shift:])


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"unit": (1, "x")}, "/target/unit/1"),
        ({"channels": [-1]}, "/target/channels/0"),
        ({"inputs": "a"}, "/average/inputs"),
    ],
)
def test_a_wrong_field_is_named_as_it_was_written(fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ProblemError) as refused:
        measure(nn.Conv2d(1, 1, 3), (1, 8, 8), **fields)
    assert [error.pointer for error in refused.value.problem.errors] == [pointer]
