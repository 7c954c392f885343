"""Batches to train on: those of an epoch, cut and mirrored by chance, or images picked for ever, unaltered."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope_reproduce.training.fit import Batch, Classes, Images
from erfscope_reproduce.training.pictures import Labelled

AnyArray = NDArray[Any]
PAD = 4  # pixels by which an image may move, each way
Alter = Callable[[Images, Classes, np.random.Generator], Batch]


def epoch_of(data: Labelled, batch: int, alter: Alter) -> Callable[[np.random.Generator], Iterator[Batch]]:
    """The batches of one epoch, altered, in the order that a generator draws; a rest is left out."""

    def batches(draw: np.random.Generator) -> Iterator[Batch]:
        order = draw.permutation(len(data.images))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            yield alter(data.images[chosen], data.classes[chosen], draw)

    return batches


def picked(data: Labelled, batch: int) -> Callable[[np.random.Generator], Iterator[Batch]]:
    """Batches for ever, of images that a generator picks, as they are."""

    def batches(draw: np.random.Generator) -> Iterator[Batch]:
        while True:
            chosen = draw.integers(0, len(data.images), batch)
            yield data.images[chosen], data.classes[chosen]

    return batches


def moved(images: Images, classes: Classes, draw: np.random.Generator) -> Batch:
    """Each image [C, H, W] of a batch cut from itself with a rim of PAD zeros (the mean), half of them mirrored."""
    padded = np.pad(images, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    (cut,) = _cut([padded], images.shape[2:], draw)
    return np.ascontiguousarray(cut), classes


def cropped(size: tuple[int, int]) -> Alter:
    """A part of this size of each image [C, H, W] and of its plane of classes [H, W], half of them mirrored."""

    def alter(images: Images, classes: Classes, draw: np.random.Generator) -> Batch:
        image_part, class_part = _cut([images, classes], size, draw)
        return np.ascontiguousarray(image_part), np.ascontiguousarray(class_part)

    return alter


def _cut(arrays: list[AnyArray], size: tuple[int, ...], draw: np.random.Generator) -> list[AnyArray]:
    """The same part of every array [N, …, H, W], another one for each n; half of them mirrored."""
    count = len(arrays[0])
    height, width = (arrays[0].shape[axis] - extent + 1 for axis, extent in zip((-2, -1), size, strict=True))
    tops, lefts = draw.integers(0, [[height], [width]], (2, count))
    mirrored = draw.random(count) < 0.5
    parts = []
    for array in arrays:
        part = np.stack(
            [one[..., y : y + size[0], x : x + size[1]] for one, y, x in zip(array, tops, lefts, strict=True)]
        )
        part[mirrored] = part[mirrored][..., ::-1]
        parts.append(part)
    return parts
