"""Tiles as the answer says to cut them, run by onnxruntime and put together; what the tests of tiles share."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from erfscope_contract.tiles import TiledLayer, Tiles, TilesRequest
from erfscope_intake.tiles import tile

Array = NDArray[np.float32]
STORED = {"sha256": "0" * 64}
EQUAL = 1e-5  # of the largest value


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
