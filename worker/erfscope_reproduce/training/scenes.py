"""Segmented scenes: CamVid where a folder is given, shapes on a textured ground made on the fly otherwise."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import refuse
from erfscope_reproduce.training.pictures import Labelled

Size = tuple[int, int]
Scene = tuple[NDArray[np.float32], NDArray[np.int64]]  # an image [3, H, W] and its classes [H, W]
Plane = NDArray[np.bool_]
IGNORED = 11  # CamVid's void: the number of classes


def made_scenes(size: Size, train: int, test: int) -> Labelled:
    """So many made scenes to train on, and others to test."""
    return _labelled("made scenes", (made(k, size) for k in range(train)), (made(train + k, size) for k in range(test)))


def _labelled(name: str, train: Iterable[Scene], test: Iterable[Scene]) -> Labelled:
    (images, classes), (test_images, test_classes) = (map(np.stack, zip(*part, strict=True)) for part in (train, test))
    return Labelled(name, images, classes, test_images, test_classes)


def made(number: int, size: tuple[int, int]) -> Scene:
    """A scene of discs, squares, triangles and rings of any colour: what a pixel is shows only in the whole shape."""
    draw = np.random.default_rng([11, number])
    height, width = size
    image = _texture(draw, size) + draw.normal(0, 0.5, (3, 1, 1))
    classes = np.zeros(size, np.int64)
    ys, xs = np.mgrid[:height, :width]
    for _ in range(int(draw.integers(3, 7))):
        kind = int(draw.integers(len(SHAPES)))
        radius = draw.uniform(0.08, 0.25) * min(size)
        y, x = draw.uniform(0, height), draw.uniform(0, width)
        inside = SHAPES[kind]((ys - y) / radius, (xs - x) / radius)
        image[:, inside] = draw.normal(0, 1, (3, 1)) + 0.3 * draw.standard_normal((3, int(inside.sum())))
        classes[inside] = kind + 1
    return image.astype(np.float32), classes


def _texture(draw: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Noise of two scales."""
    coarse = draw.standard_normal((3, size[0] // 16 + 1, size[1] // 16 + 1)).repeat(16, axis=1).repeat(16, axis=2)
    texture: NDArray[np.float64] = 0.5 * coarse[:, : size[0], : size[1]] + 0.3 * draw.standard_normal((3, *size))
    return texture


SHAPES: tuple[Callable[[NDArray[np.float64], NDArray[np.float64]], Plane], ...] = (
    lambda y, x: y**2 + x**2 < 1,
    lambda y, x: (np.abs(y) < 0.9) & (np.abs(x) < 0.9),
    lambda y, x: (y < 0.8) & (y > 2 * np.abs(x) - 1),
    lambda y, x: (y**2 + x**2 < 1) & (y**2 + x**2 > 0.35),
)


def is_camvid(folder: Path) -> bool:
    """Whether a folder has the layout of CamVid."""
    return (folder / "trainannot").is_dir()


def camvid(folder: Path, size: Size) -> Labelled:
    """CamVid with 11 classes (Brostow 2008, in SegNet's layout): train/*.png and trainannot/*.png of the same names.

    The same for `test`. Images [3, H, W] and classes are resized; raises bad-request where the folder holds no such.
    """
    return _labelled("CamVid", _read_all(folder, "train", size), _read_all(folder, "test", size))


def _read_all(folder: Path, part: str, size: Size) -> list[Scene]:
    pairs = [(path, folder / f"{part}annot" / path.name) for path in sorted((folder / part).glob("*.png"))]
    if not pairs or not all(labels.is_file() for _, labels in pairs):
        raise refuse("bad-request", f"{folder} holds no CamVid: {part}/*.png with {part}annot/*.png of the same names")
    return [_read(picture, labels, size) for picture, labels in pairs]


def _read(picture: Path, labels: Path, size: tuple[int, int]) -> Scene:
    from PIL import Image

    with Image.open(picture) as opened:
        image = np.asarray(opened.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
    with Image.open(labels) as opened:
        classes = np.asarray(opened.resize(size[::-1], Image.Resampling.NEAREST), np.int64)
    if classes.ndim != 2 or classes.max() > IGNORED:
        raise refuse("bad-request", f"{labels} is no plane of classes 0 … {IGNORED}")
    scaled: NDArray[np.float32] = ((image.transpose(2, 0, 1) / 255 - 0.5) / 0.25).astype(np.float32)
    return scaled, classes
