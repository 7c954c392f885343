"""Tiles as the answer says to cut them, run by onnxruntime: together they are what it gives on the whole image."""

from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.intake.tiles.networks import TCN, DeepLab, Pyramid, UNet, exported
from tests.intake.tiles.stitching import EQUAL, Array, Stitcher, ask, noise, starts
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_contract.tiles import TiledLayer, TilesRequest
from erfscope_intake.tiles import tile

CASES = {
    "u-net": (UNet(), (3, 64, 64), ["mask", "coarse"], 64, (3, 148, 180)),
    "u-net-oblong": (UNet(), (3, 64, 64), ["mask", "coarse"], [72, 60], (3, 160, 120)),
    "u-net-unaligned": (UNet(), (3, 64, 64), ["mask", "coarse"], 68, (3, 144, 144)),
    "deeplab": (DeepLab(), (3, 96, 96), ["mask"], 128, (3, 272, 260)),
    "tcn": (TCN(), (2, 100), ["series"], 100, (2, 1003)),
    "valid": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 5, 2)),
              (3, 40, 40), ["map"], 50, (3, 99, 120)),
    "finer": (nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 2, 5, padding=2)),
              (3, 40, 40), ["map"], 33, (3, 70, 90)),
    "volume": (nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.MaxPool3d(2), nn.Conv3d(2, 2, 3, padding=1)),
               (1, 16, 16, 16), ["map"], 20, (1, 36, 40, 44)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_tiles_give_what_the_whole_image_gives(name: str, tmp_path: Path) -> None:
    network, shape, outputs, side, image = CASES[name]
    path = exported(network, shape, tmp_path / "net.onnx", outputs)
    answer = ask(path, tile=side)
    assert answer.tile == ([side] * (len(shape) - 1) if isinstance(side, int) else side)
    assert [layer.name for layer in answer.layers] == outputs
    assert answer.checked.max_error < EQUAL
    run = Stitcher(path, answer)
    for layer in answer.layers:
        assert run.error(noise(*image), layer) < EQUAL


@pytest.mark.parametrize("name", ["u-net", "deeplab", "finer"])
def test_a_wider_crop_is_wrong(name: str, tmp_path: Path) -> None:
    """Else the comparison above could not fail."""
    network, shape, outputs, side, image = CASES[name]
    path = exported(network, shape, tmp_path / "net.onnx", outputs)
    answer = ask(path, tile=side)
    layer = answer.layers[0]
    spread = round(answer.alignment[0] / layer.stride[0]) + 1
    assert Stitcher(path, answer).error(noise(*image), layer, spread=spread) > 100 * EQUAL
    assert answer.checked.outside is not None
    assert answer.checked.outside > 100 * EQUAL


@pytest.mark.parametrize("name", CASES)
def test_the_halo_is_where_what_lies_beyond_the_tile_is_last_felt(name: str, tmp_path: Path) -> None:
    """Exactly, per axis and side: of two images, the second one brighter everywhere but in the tile.

    All weights are positive, so that every path lets a brighter pixel through.
    """
    network, shape, outputs, side, _ = CASES[name]
    path = exported(network, shape, tmp_path / "net.onnx", outputs, positive=True)
    answer = ask(path, tile=side)
    run = Stitcher(path, answer)
    for axis, (length, alignment) in enumerate(zip(answer.tile, answer.alignment, strict=True)):
        start = -(-length // alignment) * alignment
        sizes = [3 * start if k == axis else n for k, n in enumerate(answer.tile)]
        image = np.abs(noise(shape[0], *sizes))
        brighter = image + 5
        window = (slice(None),) * (axis + 2) + (slice(start, start + length),)
        brighter[window] = image[window]
        edges = [felt(run, layer, axis, (image, brighter), range(start, start + length)) for layer in answer.layers]
        first, stop = max(low for low, _ in edges), min(high for _, high in edges)
        assert answer.halo[axis] == (first - start, max(start + length - stop, 0))


def felt(run: Stitcher, layer: TiledLayer, axis: int, images: tuple[Array, Array], pixels: range) -> tuple[int, int]:
    """The pixels between which units do not tell two images apart that are the same in a range."""
    one, other = (run.whole(image, layer.name) for image in images)
    along = layer.spatial_axes[axis] + 1
    difference = np.abs(one - other).max(axis=tuple(k for k in range(one.ndim) if k != along))
    stride = layer.stride[axis]
    same = [k for k in np.flatnonzero(difference == 0) if k * stride in pixels or (k + 1) * stride - 1 in pixels]
    return ceil(same[0] * stride), floor((same[-1] + 1) * stride)


def test_a_causal_network_needs_nothing_behind(tmp_path: Path) -> None:
    answer = ask(exported(TCN(), (2, 100), tmp_path / "net.onnx", ["series"]), tile=100, image=[1003])
    field = 1 + 2 * (1 + 2 + 4 + 8)
    assert (answer.halo, answer.alignment, answer.crop, answer.step) == ([(field - 1, 0)], [1], [(30, 100)], [70])
    assert (answer.layers[0].causal, answer.layers[0].trf_size) == (True, [field])
    assert answer.grid is not None
    assert [start for start, _ in answer.grid.tiles[0]] == starts(1003, 100, 70, 1)
    assert answer.grid.tiles[0][-1] == (903, 1003)
    edges = [edge for keep in answer.grid.keeps[0] for edge in keep]
    assert (edges[0], edges[-1]) == (0, 1003)
    assert edges[1:-1:2] == edges[2::2], "they meet"


def test_the_numbers_of_two_convolutions_by_hand(tmp_path: Path) -> None:
    """5×5 and 3×3 after a stride of 2: reach 2 + 2 · 1 on each side, tiles start at even pixels."""
    net = nn.Sequential(nn.Conv2d(3, 2, 5, 2, padding=2), nn.Conv2d(2, 2, 3, padding=1))
    answer = ask(exported(net, (3, 32, 32), tmp_path / "net.onnx", ["map"]), tile=[64, 40])
    assert answer.reach.before == answer.reach.after == [4.0, 4.0]
    assert answer.alignment == [2, 2]
    assert answer.halo == [(4, 4), (4, 4)]  # unit 31 of the 32 on a tile sits at pixel 62 and reads up to 66
    assert answer.crop == [(4, 60), (4, 36)]
    assert answer.layers[0].crop == [(2, 30), (2, 18)]
    assert answer.layers[0].shape == [2, 32, 20]
    assert answer.efficiency == pytest.approx(56 * 32 / (64 * 40))


def test_a_file_of_fixed_size_is_cut_where_its_operators_take_any(tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"], free=False)
    answer = ask(path, tile=128)
    assert (answer.input_shape, answer.checked.max_error < EQUAL) == ([3, 64, 64], True)


def test_heads_are_cut_where_outputs_are_no_grid(tmp_path: Path) -> None:
    path = exported(Pyramid(), (3, 64, 64), tmp_path / "net.onnx", ["boxes"])
    answer = ask(path, tile=256)
    assert [layer.stride for layer in answer.layers] == [[4.0, 4.0], [8.0, 8.0], [16.0, 16.0]]
    assert [layer.shape for layer in answer.layers] == [[5, 64, 64], [5, 32, 32], [5, 16, 16]]
    assert answer.alignment == [16, 16]
    assert any("'boxes' are no even grid" in note for note in answer.notes)
    one = ask(path, tile=256, layers=[answer.layers[2].name])
    assert [layer.name for layer in one.layers] == [answer.layers[2].name]


def test_the_feature_map_of_a_classifier_is_cut_although_its_head_takes_one_size(tmp_path: Path) -> None:
    maps = nn.Sequential(nn.Conv2d(3, 4, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, padding=1), nn.ReLU())
    net = nn.Sequential(maps, nn.Flatten(), nn.Linear(4 * 8 * 8, 10))
    path = exported(net, (3, 32, 32), tmp_path / "net.onnx", ["logits"], free=False)
    with pytest.raises(ProblemError, match="do not lie along"):
        ask(path, tile=64, layers=["logits"])
    answer = ask(path, tile=64)
    assert (answer.layers[0].operator, answer.layers[0].stride, answer.alignment) == ("Relu", [4.0, 4.0], [4, 4])
    assert answer.checked.max_error < EQUAL


def test_a_small_input_does_not_hide_a_coarse_grid(tmp_path: Path) -> None:
    """On 16 pixels the deepest map has one unit, whose stride cannot be seen."""
    spec: dict[str, Any] = {
        "name": "deep", "input": {"channels": 3, "size": [16, 16]},
        "layers": [{"type": "conv", "out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1}] * 4
        + [{"type": "upsample", "scale_factor": 16, "mode": "nearest"}],
    }  # fmt: skip
    answer = tile(TilesRequest.model_validate({"model": {"architecture": spec}, "tile": 128}))
    assert answer.alignment == [16, 16]
    assert answer.checked.max_error < EQUAL


def test_a_long_signal_is_cut_and_one_of_too_many_tiles_is_refused(tmp_path: Path) -> None:
    path = exported(TCN(), (2, 100), tmp_path / "net.onnx", ["series"])
    grid = ask(path, tile=4000, image=[160_000]).grid
    assert grid is not None
    assert (grid.keeps[0][0][0], grid.keeps[0][-1][1]) == (0, 160_000)
    with pytest.raises(ProblemError, match="tiles along its axes; at most 20,000 can be listed"):
        ask(path, tile=100, image=[1 << 24])


def test_along_an_axis_where_the_image_is_no_larger_than_a_tile_it_is_not_cut(tmp_path: Path) -> None:
    """A spectrogram: 20 bands, which its strides do not divide, and cut along time."""
    net = nn.Sequential(nn.Conv2d(1, 4, (5, 3), (3, 2), padding=(2, 1)), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    path = exported(net, (1, 20, 64), tmp_path / "net.onnx", ["map"])
    answer = ask(path, tile=[64, 48], image=[20, 140])
    assert (answer.tile, answer.halo[0], answer.crop[0], answer.step[0]) == ([20, 48], (0, 0), (0, 20), 20)
    assert answer.layers[0].crop[0] == (0, 7)
    assert answer.grid is not None
    assert (answer.grid.tiles[0], answer.grid.count) == ([(0, 20)], len(answer.grid.tiles[1]))
    assert any("not larger than a tile along y:" in note for note in answer.notes)
    assert (answer.checked.image[0], answer.checked.tiles) == (20, 3)
    assert Stitcher(path, answer).error(noise(1, 20, 140), answer.layers[0]) < EQUAL


def test_the_check_runs_on_images_where_there_are_any(tmp_path: Path) -> None:
    path = exported(nn.Conv2d(3, 4, 5, padding=2), (3, 32, 32), tmp_path / "net.onnx", ["y"])
    images = tmp_path / "images.npy"
    np.save(images, np.zeros((2, 40, 40, 3), np.float32))
    options = {"source": "images", "images": "1" * 64, "shape": [3, 32, 32]}
    fields = {"model": {"sha256": "0" * 64}, "tile": 32, "samples": 2, "input": options}
    answer = tile(TilesRequest.model_validate(fields), path, images=images)
    assert answer.checked.tiles == 10
    assert answer.checked.outside is not None
    assert answer.checked.outside == pytest.approx(0, abs=1e-6), "black images are like the padding"
