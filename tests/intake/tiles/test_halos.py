"""Errors of tiles with less than the exact halo, and tiles that are cut with it."""

from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from tests.intake.tiles.networks import TCN, UNet, exported
from tests.intake.tiles.stitching import Stitcher, ask
from torch import nn

from erfscope_contract.problem import ProblemError


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


def test_a_causal_network_is_cut_with_no_halo_behind(tmp_path: Path) -> None:
    answer = ask(exported(TCN(), (2, 100), tmp_path / "net.onnx", ["series"]), tile=100, halo=10)
    assert (answer.halo, answer.step, answer.exact_halo) == ([(10, 0)], [90], [(30, 0)])


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
