"""Tiles as the answer says to cut them, run by onnxruntime: together they are what it gives on the whole image."""

from itertools import pairwise, product
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from tests.intake.tiles.networks import TCN, Coordinates, DeepLab, Placed, Pyramid, UNet, exported
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_contract.tiles import TiledLayer, Tiles, TilesRequest
from erfscope_intake.tiles import tile

Array = NDArray[np.float32]
STORED = {"sha256": "0" * 64}
EQUAL = 1e-5  # of the largest value


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def ask(path: Path, **fields: Any) -> Tiles:
    return tile(TilesRequest.model_validate({"model": STORED, **fields}), path)


def starts(size: int, side: int, step: int, alignment: int) -> list[int]:
    """Where the guide says that tiles start: every `step` pixels, and the last one so that it ends with the image."""
    places = [0]
    while places[-1] + side < size:
        last = -(-(size - side) // alignment) * alignment
        places.append(min(places[-1] + step, last))
    return places


class Stitcher:
    """A file run in tiles by what the answer says, and by nothing else of ours."""

    def __init__(self, path: Path, answer: Tiles) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.answer = answer

    def whole(self, image: Array, name: str) -> Array:
        result: Array = self.session.run([name], {"input": image})[0]
        return result

    def tiled(self, image: Array, layer: TiledLayer, *, spread: int = 0) -> Array:
        """Each tile's crop, `spread` units wider on each side than it should be, put where it belongs."""
        answer, result = self.answer, np.full_like(self.whole(image, layer.name), np.nan)
        sizes = image.shape[2:]
        rows = [starts(n, answer.tile[k], answer.step[k], answer.alignment[k]) for k, n in enumerate(sizes)]
        for place in product(*rows):
            window = tuple(slice(p, p + answer.tile[k]) for k, p in enumerate(place))
            part = self.whole(image[(slice(None), slice(None), *window)], layer.name)
            source, target = [slice(None)] * part.ndim, [slice(None)] * part.ndim
            for k, p in enumerate(place):
                axis = layer.spatial_axes[k] + 1
                low, high = layer.crop[k]
                low = 0 if p == 0 else low - spread
                high = part.shape[axis] if p == rows[k][-1] else high + spread
                first = round(p / layer.stride[k])
                source[axis], target[axis] = slice(low, high), slice(first + low, first + high)
            result[tuple(target)] = part[tuple(source)]
        return result

    def error(self, image: Array, layer: TiledLayer, *, spread: int = 0) -> float:
        """Largest difference, of the largest value; nan where a unit comes out of no tile."""
        whole = self.whole(image, layer.name)
        return float(np.abs(self.tiled(image, layer, spread=spread) - whole).max() / np.abs(whole).max())


def noise(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)


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


def test_a_long_signal_is_cut_and_one_of_too_many_tiles_is_refused(tmp_path: Path) -> None:
    path = exported(TCN(), (2, 100), tmp_path / "net.onnx", ["series"])
    grid = ask(path, tile=4000, image=[160_000]).grid
    assert grid is not None
    assert (grid.keeps[0][0][0], grid.keeps[0][-1][1]) == (0, 160_000)
    with pytest.raises(ProblemError, match="tiles along its axes; at most 20,000 can be listed"):
        ask(path, tile=100, image=[1 << 24])


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
    with pytest.raises(ProblemError, match="keeps nothing"):
        ask(path, tile=least - 4)


def test_along_an_axis_where_the_image_is_no_larger_than_a_tile_it_is_not_cut(tmp_path: Path) -> None:
    """A spectrogram: 20 bands, which its strides do not divide, and cut along time."""
    net = nn.Sequential(nn.Conv2d(1, 4, (5, 3), (3, 2), padding=(2, 1)), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    path = exported(net, (1, 20, 64), tmp_path / "net.onnx", ["map"])
    answer = ask(path, tile=[64, 48], image=[20, 140])
    assert (answer.tile, answer.halo[0], answer.crop[0], answer.step[0]) == ([20, 48], (0, 0), (0, 20), 20)
    assert answer.layers[0].crop[0] == (0, 7)
    assert answer.grid is not None
    assert (answer.grid.tiles[0], answer.grid.count) == ([(0, 20)], len(answer.grid.tiles[1]))
    assert any("not larger than a tile along spatial axis 0" in note for note in answer.notes)
    assert (answer.checked.image[0], answer.checked.tiles) == (20, 3)
    assert Stitcher(path, answer).error(noise(1, 20, 140), answer.layers[0]) < EQUAL


@pytest.mark.parametrize(
    ("fields", "pointer"), [({"tile": [64, 64, 64]}, "/tile"), ({"tile": 64, "image": [100]}, "/image")]
)
def test_sizes_of_another_rank_are_refused(fields: dict[str, Any], pointer: str, tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    with pytest.raises(ProblemError, match="2 spatial axes") as refused:
        ask(path, **fields)
    assert refused.value.problem.errors[0].pointer == pointer


def test_the_error_is_told_for_smaller_halos(tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    answer = ask(path, tile=64, input={"shape": [3, 64, 64]})
    rows, check = answer.checked.by_halo, answer.checked
    shares = (0, 0.25, 0.5, 0.75, 1)
    assert [row.halo for row in rows] == [
        [(ceil(share * before), ceil(share * after)) for before, after in answer.halo] for share in shares
    ]
    assert check.outside is not None
    assert rows[0].max_error == max(check.outside, check.max_error)
    assert rows[-1].max_error == check.max_error
    assert rows[0].relative_error > rows[2].relative_error > 1000 * rows[-1].relative_error
    assert all(one.max_error >= other.max_error for one, other in pairwise(rows))


def test_a_smaller_halo_is_as_wrong_as_told(tmp_path: Path) -> None:
    """Against tiles that onnxruntime runs on an image of ones' own."""
    path = exported(
        nn.Sequential(*(nn.Conv2d(n, 4, 5, padding=2) for n in (3, 4, 4))), (3, 32, 32), tmp_path / "c.onnx", ["y"]
    )
    answer = ask(path, tile=32)
    assert answer.halo == [(6, 6)] * 2
    stitcher, layer = Stitcher(path, answer), answer.layers[0]
    image = np.random.default_rng(0).standard_normal((1, 3, *answer.checked.image), dtype=np.float32)
    whole = stitcher.whole(image, layer.name)
    apart = stitcher.tiled(image, layer, spread=3) - whole
    told = answer.checked.by_halo[2]
    assert told.halo == [(3, 3)] * 2
    assert np.abs(apart).max() / np.abs(whole).max() == pytest.approx(told.max_error, rel=0.7)
    assert (
        0.2 * told.relative_error < np.sqrt(np.square(apart).mean() / np.square(whole).mean()) < 2 * told.relative_error
    )


def test_without_a_halo_there_is_no_table(tmp_path: Path) -> None:
    path = exported(nn.Conv2d(3, 4, 3), (3, 32, 32), tmp_path / "net.onnx", ["y"])
    assert ask(path, tile=32).checked.by_halo == []


def test_a_halo_that_is_asked_for_cuts_and_has_its_error(tmp_path: Path) -> None:
    """Against tiles that onnxruntime runs: as wrong as told, and the grid is that of the halo."""
    net = nn.Sequential(*(nn.Conv2d(n, 4, 5, padding=2) for n in (3, 4, 4)))
    path = exported(net, (3, 32, 32), tmp_path / "c.onnx", ["y"])
    answer = ask(path, tile=32, halo=2, samples=2, image=[80, 80])
    assert (answer.halo, answer.exact_halo) == ([(2, 2)] * 2, [(6, 6)] * 2)
    assert (answer.step, answer.crop, answer.checked.tiles) == ([28, 28], [(2, 30)] * 2, 10)
    asked = answer.checked.asked
    assert asked is not None
    assert (asked.halo, asked.step) == ([(2, 2)] * 2, [28, 28])
    assert asked in answer.checked.by_halo
    assert answer.checked.max_error < 1e-5 < asked.max_error
    stitcher, layer = Stitcher(path, answer), answer.layers[0]
    image = np.random.default_rng(0).standard_normal((1, 3, *answer.checked.image), dtype=np.float32)
    whole = stitcher.whole(image, layer.name)
    apart = stitcher.tiled(image, layer) - whole
    assert np.abs(apart).max() / np.abs(whole).max() == pytest.approx(asked.max_error, rel=0.7)
    with pytest.raises(ProblemError, match="leaves nothing of a tile of 32") as refused:
        ask(path, tile=32, halo=16)
    assert refused.value.problem.errors[0].pointer == "/halo"


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
