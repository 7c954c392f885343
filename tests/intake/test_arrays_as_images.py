"""Arrays as images: of any size with channels last, or exactly the network's input."""

from pathlib import Path

import numpy as np
import pytest

from erfscope_contract.request import InputOptions
from erfscope_intake.images import load_images

OPTIONS = InputOptions.model_validate({"source": "images", "images": "0" * 64})
SHAPE = (3, 10, 12)


@pytest.mark.parametrize(
    ("axes", "count"), [((0, 1, 2, 3), 4), ((0, 2, 3, 1), 4)], ids=["as the input", "channels last"]
)
def test_both_layouts_are_the_same_samples(tmp_path: Path, axes: tuple[int, ...], count: int) -> None:
    array = np.random.default_rng(0).random((count, *SHAPE), dtype=np.float32)
    np.save(tmp_path / "images.npy", array.transpose(axes))
    found = load_images(tmp_path / "images.npy", SHAPE, OPTIONS)
    np.testing.assert_allclose(np.stack(found), array, rtol=1e-6)


def test_one_array_of_the_input(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros(SHAPE, np.float32))
    (found,) = load_images(tmp_path / "image.npy", SHAPE, OPTIONS)
    assert found.shape == SHAPE
