"""What cannot be cut into tiles, and sizes that cannot be: refused in words that say what can."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.intake.tiles.networks import Coordinates, DeepLab, Placed, UNet, exported
from tests.intake.tiles.stitching import EQUAL, ask
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_contract.tiles import TilesRequest
from erfscope_intake.tiles import tile


def test_a_size_that_the_network_does_not_take_names_the_nearest_that_it_does(tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    with pytest.raises(ProblemError, match=r"not a multiple of 4 px.* `--tile 64` or `--tile 68`") as refused:
        ask(path, tile=66)
    assert (refused.value.kind, refused.value.problem.context["nearest"]) == ("invalid-request", [[64, 64], [68, 68]])
    with pytest.raises(ProblemError, match="`--tile 64,72` or `--tile 68,72`"):
        ask(path, tile=[66, 72])
    assert ask(path, tile=[68, 72]).checked.max_error < EQUAL


def test_an_image_that_ends_in_tiles_the_network_does_not_take_names_what_to_pad_it_to(tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    with pytest.raises(ProblemError, match=r"Pad the image to 204×100 px .*`--image 204,100`") as refused:
        ask(path, tile=64, image=[201, 100])
    assert refused.value.problem.errors[0].pointer == "/image"
    grid = ask(path, tile=64, image=[204, 100]).grid
    assert grid is not None
    assert all((stop - start) % 4 == 0 for axis in grid.tiles for start, stop in axis)
    plain = exported(nn.Conv2d(3, 2, 3, 2), (3, 32, 32), tmp_path / "plain.onnx", ["map"])
    assert ask(plain, tile=32, image=[101, 64]).grid is not None, "it runs on any size"


def test_an_image_of_a_spec_that_ends_in_odd_tiles_is_refused_before_anything_runs() -> None:
    """A decoder joins what was pooled: only multiples of the pooling fit together."""
    conv = {"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1}
    inner = [{"type": "max_pool", "kernel_size": 4}, conv, {"type": "upsample", "scale_factor": 4, "mode": "nearest"}]
    spec: dict[str, Any] = {
        "input": {"channels": 3, "size": [64, 64]},
        "layers": [conv, {"type": "parallel", "branches": [inner, [conv]], "merge": "concat"}],
    }
    stages: list[str] = []
    asked = TilesRequest.model_validate({"model": {"architecture": spec}, "tile": 64, "image": [102, 100]})
    with pytest.raises(ProblemError, match=r"Pad the image to 104×100 px"):
        tile(asked, progress=lambda stage, share: stages.append(stage))
    assert "verify" not in stages


REFUSED = {
    "image mean": (DeepLab(pooled=True), (3, 96, 96), 128, "statistics over the image"),
    "signal": (nn.Sequential(nn.Conv1d(1, 4, 3), nn.InstanceNorm1d(4)), (1, 64), 128, "statistics over the signal"),
    "instance norm": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4)), (3, 64, 64), 128, "statistics over"),
    "align_corners": (UNet(align=True), (3, 64, 64), 128, "align_corners"),
    "coordinates": (Coordinates(), (3, 64, 64), 64, "more than its receptive field"),
    "circular": (nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"), (3, 64, 64), 64, "from the other side"),
    "one size": (Placed(), (3, 32, 32), 64, "runs on an input of 3×32×32 but not"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut_is_refused_in_words(name: str, tmp_path: Path) -> None:
    network, shape, side, words = REFUSED[name]
    path = exported(
        network, shape, tmp_path / "net.onnx", ["first"] if name != "align_corners" else ["first", "second"]
    )
    with pytest.raises(ProblemError, match=words) as refused:
        ask(path, tile=side)
    assert refused.value.kind in ("unsupported-model", "shape-mismatch")


class Excited(nn.Module):
    """Two convolutions, squeeze-and-excite, a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.squeezed = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())
        self.last = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.first(image)
        scaled: torch.Tensor = self.last(found * self.squeezed(found))
        return scaled


def test_a_refusal_names_the_last_layer_that_can_be_cut(tmp_path: Path) -> None:
    path = exported(Excited(), (3, 64, 64), tmp_path / "net.onnx", ["mask"])
    with pytest.raises(
        ProblemError, match=r"squeeze-and-excite .* The last layer that can be cut is '(\S+)'"
    ) as refused:
        ask(path, tile=64)
    name = refused.value.problem.detail.partition("can be cut is '")[2].partition("'")[0]
    answer = ask(path, tile=64, layers=[name])
    assert (answer.layers[0].operator, answer.layers[0].trf_size) == ("Relu", [5, 5])
    assert answer.checked.max_error < EQUAL


def test_a_tile_that_is_too_small_names_one_that_is_not(tmp_path: Path) -> None:
    path = exported(DeepLab(), (3, 96, 96), tmp_path / "net.onnx", ["mask"])
    with pytest.raises(ProblemError, match="keeps nothing") as refused:
        ask(path, tile=64)
    least = refused.value.problem.context["smallest"]
    assert refused.value.problem.errors[0].pointer == "/tile"
    assert ask(path, tile=least).step == [4, 4]
    half = int(refused.value.problem.detail.partition(" keep half")[0].rpartition("(")[2])
    assert ask(path, tile=half).step == [half // 2] * 2
    with pytest.raises(ProblemError, match="keeps nothing"):
        ask(path, tile=least - 4)


@pytest.mark.parametrize(
    ("fields", "pointer"), [({"tile": [64, 64, 64]}, "/tile"), ({"tile": 64, "image": [100]}, "/image")]
)
def test_sizes_of_another_rank_are_refused(fields: dict[str, Any], pointer: str, tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    with pytest.raises(ProblemError, match="2 spatial axes") as refused:
        ask(path, **fields)
    assert refused.value.problem.errors[0].pointer == pointer
