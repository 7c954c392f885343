"""Labelled images, 32×32, scaled: CIFAR-10 where a copy is given, scikit-learn's handwritten digits otherwise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import refuse

SIDE = 32
CIFAR_RECORD = 1 + 3 * SIDE * SIDE  # a label and three planes
TEST_SHARE = 0.2
SEED = 5


@dataclass(frozen=True)
class Labelled:
    """Images [N, 3, H, W] float32, their classes [N] or [N, H, W], the same for a test, and where they come from."""

    name: str
    images: NDArray[np.float32]
    classes: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_classes: NDArray[np.int64]


def labelled(folder: Path | None) -> Labelled:
    """The data to train on; raises bad-request where a folder holds no binary CIFAR-10."""
    return digits() if folder is None else cifar10(folder)


def is_cifar10(folder: Path) -> bool:
    """Whether a folder, or one below it, has the files of the binary version of CIFAR-10."""
    return any(folder.rglob("data_batch_*.bin")) and any(folder.rglob("test_batch.bin"))


def pickles_hint(folder: Path) -> str:
    """Words on the Python version of CIFAR-10 where a folder holds that one, with a space before them."""
    return " (its Python version is pickles, which are not loaded)" if any(folder.rglob("data_batch_*")) else ""


def cifar10(folder: Path) -> Labelled:
    """The binary version of CIFAR-10 (Krizhevsky 2009), in the folder or one below it.

    The Python version is a set of pickles, which could run anything; it is not read.
    """
    if not is_cifar10(folder):
        raise refuse(
            "bad-request",
            f"{folder} holds no data_batch_*.bin and test_batch.bin: give the binary version of CIFAR-10, "
            f"cifar-10-binary.tar.gz unpacked{pickles_hint(folder)}, or leave out --data",
        )
    batches = sorted(folder.rglob("data_batch_*.bin"))
    tests = sorted(folder.rglob("test_batch.bin"))
    images, classes = _records(batches)
    test_images, test_classes = _records(tests)
    return _scaled("CIFAR-10", (images, classes), (test_images, test_classes))


def _records(paths: list[Path]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    raw = np.concatenate([_read(path) for path in paths])
    classes = raw[:, 0].astype(np.int64)
    planes = raw[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return (planes / 255).astype(np.float32), classes


def _read(path: Path) -> NDArray[np.uint8]:
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % CIFAR_RECORD or data[::CIFAR_RECORD].max() > 9:
        raise refuse(
            "bad-request", f"{path} is not a batch of CIFAR-10: it holds {len(data)} bytes, records have {CIFAR_RECORD}"
        )
    return data.reshape(-1, CIFAR_RECORD)


def digits() -> Labelled:
    """The 1,797 handwritten digits that scikit-learn ships, 8×8, enlarged to 32×32 and repeated in three channels."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bundle = load_digits()
    large = [
        Image.fromarray((plane * 16).clip(0, 255).astype(np.uint8)).resize((SIDE, SIDE), 3) for plane in bundle.images
    ]
    planes = np.stack([np.asarray(image) for image in large])
    images = np.repeat(planes[:, None] / 255, 3, axis=1).astype(np.float32)
    order = np.random.default_rng(SEED).permutation(len(images))
    cut = round(TEST_SHARE * len(images))
    classes = bundle.target.astype(np.int64)
    kept, tests = order[cut:], order[:cut]
    return _scaled("scikit-learn's digits", (images[kept], classes[kept]), (images[tests], classes[tests]))


def _scaled(
    name: str,
    train: tuple[NDArray[np.float32], NDArray[np.int64]],
    test: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> Labelled:
    mean, std = train[0].mean(), train[0].std()
    return Labelled(name, (train[0] - mean) / std, train[1], (test[0] - mean) / std, test[1])
