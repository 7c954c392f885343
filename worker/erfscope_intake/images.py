"""Images as input samples: PNG, JPEG or WebP, a zip of them, or an npy array; resized keeping the aspect."""

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions

Array = NDArray[Any]
FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 25_000_000
MOST_IMAGES = 1_000
TOLERANCE = 0.2  # by which bicubic resizing overshoots 0 … 1
MOST_BYTES = 256 << 20  # of one member of a zip, unpacked


def load_images(path: Path, input_shape: tuple[int, ...], options: InputOptions) -> list[Array]:
    """Every image of the file as a float32 array of `input_shape` (channels first or last, as the network has it).

    Pixels are scaled to 0 … 1, resized to cover the input and cropped around the middle, then normalised by
    options.mean and options.std. Raises ProblemError: invalid-image, image-too-large, shape-mismatch.
    """
    if len(input_shape) != 3:
        raise ProblemError(
            "shape-mismatch", f"Images need an input of [C, H, W]; this network takes {list(input_shape)}."
        )
    last = input_shape[-1] <= 4 < input_shape[0]
    channels, height, width = (input_shape[2], *input_shape[:2]) if last else input_shape
    found = [_fitted(raw, channels, height, width, options) for raw in _decoded(path, input_shape)]
    if not found:
        raise ProblemError("invalid-image", "The file holds no PNG, JPEG or WebP image and no array.")
    return [np.ascontiguousarray(image.transpose(1, 2, 0)) if last else image for image in found]


def shown(sample: Array, options: InputOptions) -> NDArray[np.uint8]:
    """An image that `load_images` gave as people see it: RGB [H, W, 3], the normalisation taken back.

    Of numbers outside of 0 … 1 (an array) the least is black and the largest white; of channels that are neither grey
    nor RGB their mean is shown.
    """
    last = sample.shape[-1] <= 4 < sample.shape[0]
    planes = sample.transpose(2, 0, 1) if last else sample
    channels = len(planes)
    seen = planes * _per_channel(options.std, channels, 1.0, "std") + _per_channel(options.mean, channels, 0.0, "mean")
    rgb = seen if channels == 3 else np.repeat(seen.mean(0, keepdims=True), 3, 0)
    low, high = float(rgb.min()), float(rgb.max())
    if low >= -TOLERANCE and high <= 1 + TOLERANCE:
        low, high = 0.0, 1.0
    return np.asarray(np.rint(np.clip((rgb - low) / ((high - low) or 1.0), 0, 1) * 255), np.uint8).transpose(1, 2, 0)


def _decoded(path: Path, input_shape: tuple[int, ...]) -> Iterator[Array]:
    """Arrays of shape (H, W, C), values 0 … 1."""
    data = path.read_bytes()
    if data[:6] == b"\x93NUMPY":
        yield from _arrays(data, input_shape)
    elif zipfile.is_zipfile(io.BytesIO(data)):
        yield from _members(data)
    else:
        yield _picture(data, "The file")


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """What a decoder raises on broken bytes (zlib, struct and tokenize have errors of their own) is invalid-image."""
    try:
        yield
    except (ProblemError, MemoryError):  # memory is a matter of the job's limit
        raise
    except Image.DecompressionBombError as error:
        raise ProblemError(
            "image-too-large", f"{what} has too many pixels; at most {MOST_PIXELS:,} are taken."
        ) from error
    except Exception as error:
        raise ProblemError("invalid-image", f"{what} cannot be read as PNG, JPEG, WebP, zip or npy.") from error


def _arrays(data: bytes, input_shape: tuple[int, ...]) -> Iterator[Array]:
    """Images of any size with channels last; arrays of exactly the network's input as they are."""
    with _reading("The npy file"):
        array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise ProblemError(
            "invalid-image",
            f"The npy array is {array.dtype} of shape {list(array.shape)}; expected numbers of shape "
            f"[H, W], [H, W, C], [N, H, W, C], or the network's input, {list(input_shape)}, once or many times.",
        )
    if array.shape[-3:] == input_shape and input_shape[0] <= 4:
        array = np.moveaxis(array, -3, -1)
    batch = array if array.ndim == 4 else array[None] if array.ndim == 3 else array[None, :, :, None]
    top = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1
    yield from batch.astype(np.float32) / top


def _members(data: bytes) -> Iterator[Array]:
    with _reading("The zip"):
        archive = zipfile.ZipFile(io.BytesIO(data))
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) > MOST_IMAGES:
            raise ProblemError(
                "image-too-large", f"The zip holds {len(members)} files; at most {MOST_IMAGES} are taken."
            )
        for number, info in enumerate(sorted(members, key=lambda one: one.filename), 1):
            what = f"File {number} of the zip"
            if info.file_size > MOST_BYTES:
                raise ProblemError(
                    "image-too-large", f"{what} unpacks to {info.file_size:,} bytes; at most {MOST_BYTES:,} are taken."
                )
            with _reading(what):
                content = archive.read(info)
            yield _picture(content, what)


def _picture(data: bytes, what: str) -> Array:
    with _reading(what), warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        warnings.simplefilter("error")
        if image.width * image.height > MOST_PIXELS:
            raise ProblemError(
                "image-too-large",
                f"{what} has {image.width} x {image.height} pixels; at most {MOST_PIXELS:,} are taken.",
            )
        return _unit_range(ImageOps.exif_transpose(image))


def _unit_range(image: Image.Image) -> Array:
    if image.mode.startswith("I"):  # 16-bit grey
        return np.asarray(image, dtype=np.float32)[:, :, None] / 65_535
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


def _fitted(raw: Array, channels: int, height: int, width: int, options: InputOptions) -> Array:
    """Channels first, resized to cover height × width, cropped in the middle, normalised."""
    planes = _with_channels(raw, channels)
    scale = max(height / raw.shape[0], width / raw.shape[1])
    size = (max(round(raw.shape[1] * scale), width), max(round(raw.shape[0] * scale), height))
    resized = np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in planes])
    top, left = (resized.shape[1] - height) // 2, (resized.shape[2] - width) // 2
    cropped = resized[:, top : top + height, left : left + width]
    mean, std = (
        _per_channel(options.mean, channels, 0.0, "mean"),
        _per_channel(options.std, channels, 1.0, "std"),
    )
    return ((cropped - mean) / std).astype(np.float32)


def _with_channels(raw: Array, channels: int) -> Array:
    have = raw.shape[2]
    if channels == have:
        planes = raw
    elif channels == 1 and have == 3:  # ITU-R BT.601 luma
        planes = raw @ np.array([[0.299], [0.587], [0.114]], np.float32)
    elif have == 1:
        planes = np.repeat(raw, channels, axis=2)
    else:
        raise ProblemError("shape-mismatch", f"The image has {have} channels, the network's input {channels}.")
    return np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32)


def _per_channel(values: list[float] | None, channels: int, default: float, name: str) -> Array:
    if values is None:
        values = [default]
    if len(values) not in (1, channels):
        raise ProblemError(
            "invalid-request", f"input.{name} has {len(values)} values; the input has {channels} channels."
        )
    return np.array(values, np.float32).reshape(-1, 1, 1)
