"""What `auto` takes and passes over, and what is said of units that join or repeat maps."""

import torch
from tests.engine.steps.step import Fn
from torch import Tensor, nn
from torch.nn import functional as F

from erfscope_engine import measure, receptive_field


def test_the_input_seen_otherwise_holds_no_other_layer_to_its_axes() -> None:
    net = Fn(
        lambda conv, x: (conv(x), x.reshape(len(x), 3, 16, 64).unflatten(2, (4, 4))), nn.Conv2d(3, 4, 3, padding=1)
    )
    assert measure(net, (3, 32, 32), inputs=1).result.layer.name == "parts.0"


def test_a_row_among_constants_is_no_axis() -> None:
    """One frame of a spectrum joined with two of a cache has no more axes than the frame."""

    def joined(conv: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        y = conv(x)
        return y, torch.cat([torch.ones(len(x), 4, 2, x.shape[3], dtype=x.dtype), y], 2).relu() + 1

    found = measure(Fn(joined, nn.Conv2d(1, 4, (1, 3), padding=(0, 1))), (1, 1, 20), inputs=1)
    assert found.result.trf.size == [1, 3]


def test_a_layer_whose_centre_reads_nothing_is_passed_over() -> None:
    """A cache longer than the frame: the centre of their join is the cache's."""

    def behind(first: nn.Module, last: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        y = first(x)
        cache = torch.zeros(len(x), 4, 30, dtype=x.dtype)
        return last(y), torch.cat([cache, y], 2)

    net = Fn(behind, nn.Conv1d(1, 4, 3, padding=1), nn.Conv1d(4, 2, 3, padding=1))
    layer = measure(net, (1, 16), inputs=1).result.layer
    assert layer.name == "parts.1"
    assert "no gradient" in layer.passed_over[0].why


def test_the_last_phase_of_an_upsampling_is_not_causal() -> None:
    convolutions = [nn.Conv2d(2, 2, 3, 2, 1) for _ in range(4)]
    net = nn.Sequential(*convolutions, nn.Upsample(scale_factor=16))
    fields = [receptive_field(net, (2, 64, 64), unit=(at, at)) for at in (32, 40, 47)]
    assert not any(field.causal for field in fields)
    assert [field.center[0] - fields[0].center[0] for field in fields] == [0, 8, 15]


def test_maps_of_several_strides_in_a_row_have_none() -> None:
    def levels(first: nn.Module, second: nn.Module, x: Tensor) -> Tensor:
        y = first(x)
        return torch.cat([y, second(y)], 2)

    field = receptive_field(Fn(levels, nn.Conv1d(1, 2, 3, 2, 1), nn.Conv1d(2, 2, 3, 2, 1)), (1, 64))
    assert field.stride == (None,)
    assert receptive_field(Fn(lambda c, x: torch.cat([c(x), c(x)], 2), nn.Conv1d(1, 2, 3, 2, 1)), (1, 64)).stride == (
        2,
    )


def test_a_reach_that_cannot_be_told_is_not_a_number() -> None:
    net = Fn(lambda conv, x: F.interpolate(conv(x), size=4099, mode="linear", align_corners=True), nn.Conv1d(1, 2, 3))
    reach = receptive_field(net, (1, 4097)).reach
    assert reach is None or max(max(pair) for pair in reach) < 4097


def test_what_no_output_depends_on_is_passed_over() -> None:
    """A pooling head runs behind the map that is returned, and is dropped."""

    def dropped(trunk: nn.Module, head: nn.Module, x: Tensor) -> dict[str, list[Tensor]]:
        y = trunk(x)
        head(y)
        return {"maps": [y]}

    layer = measure(Fn(dropped, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 5)), (3, 32, 32), inputs=1).result.layer
    assert layer.shape == [4, 30, 30]
    assert ("parts.1", "no output of the network depends on it") in [(p.name, p.why) for p in layer.passed_over]
