"""Batches of an epoch: every image once, moved and mirrored by chance."""

from collections.abc import Callable, Iterator

import numpy as np

from erfscope_reproduce.training.fit import Batch, Images
from erfscope_reproduce.training.pictures import Labelled

PAD = 4  # pixels by which an image may move, each way


def epoch_of(data: Labelled, batch: int) -> Callable[[np.random.Generator], Iterator[Batch]]:
    """The batches of one epoch, in the order and with the shifts that a generator draws; a rest is left out."""

    def batches(draw: np.random.Generator) -> Iterator[Batch]:
        order = draw.permutation(len(data.images))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            yield augmented(data.images[chosen], draw), data.classes[chosen]

    return batches


def augmented(images: Images, draw: np.random.Generator) -> Images:
    """Each image [C, H, W] of a batch cut from itself with a rim of PAD zeros (the mean), half of them mirrored."""
    count, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    tops, lefts = draw.integers(0, 2 * PAD + 1, (2, count))
    cut = windows[np.arange(count), :, tops, lefts]
    mirrored = draw.random(count) < 0.5
    cut[mirrored] = cut[mirrored, :, :, ::-1]
    return np.ascontiguousarray(cut)
