"""Scenes whose needed context is known: outlined discs of one radius among open arcs of the same radius."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]
SIDE = 64  # of a scene, pixels
LINE = 1.0  # half width of an outline, pixels
POOL = 320  # scenes that a training draws on, over and over: making one costs a third of a step
GAP = (1.2, 2.4)  # opening of an arc, radians
NOISE = 0.3
COVER = 0.45  # share of the scene that the squares around the shapes cover, about


@lru_cache(maxsize=2 * POOL)  # every network is trained on the same ones
def scene(number: int, radius: float, side: int = SIDE) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """An image [1, side, side] and its classes [side, side]: 1 inside a closed outline, 0 elsewhere.

    Inside and outside look alike at each pixel: only an outline that closes around it tells, and an arc has a gap.
    `number` is the scene's seed; scenes of other radii are other scenes.
    """
    draw = np.random.default_rng([20, number, round(100 * radius)])
    image = draw.normal(0, NOISE, (side, side))
    classes = np.zeros((side, side), np.int64)
    ys, xs = np.mgrid[:side, :side]
    for count, (y, x) in enumerate(_centres(draw, radius, side)):
        distance = np.hypot(ys - y, xs - x)
        line = np.abs(distance - radius) < LINE
        if (count + number) % 2:
            classes[distance < radius - LINE] = 1
        else:
            line &= ~_gap(draw, ys - y, xs - x)
        image[line] += 1.0
    return image[None].astype(np.float32), classes


def _gap(draw: np.random.Generator, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    start, width = draw.uniform(0, 2 * np.pi), draw.uniform(*GAP)
    gap: NDArray[np.bool_] = (np.arctan2(y, x) - start) % (2 * np.pi) < width
    return gap


def _centres(draw: np.random.Generator, radius: float, side: int) -> list[tuple[float, float]]:
    """Places at which shapes do not touch; large ones may stick out of the scene."""
    most = max(2, round(COVER * (side / (2 * radius)) ** 2))
    places: list[tuple[float, float]] = []
    for _ in range(30 * most):
        y, x = draw.uniform(0.5 * radius, side - 0.5 * radius, 2)
        if all(np.hypot(y - a, x - b) > 2 * (radius + LINE) + 1 for a, b in places):
            places.append((y, x))
        if len(places) == most:
            break
    return places


def batches(radius: float, batch: int, first: int) -> Iterator[Batch]:
    """Stacked scenes [B, 1, H, W] and classes [B, H, W] from `POOL` scenes that begin at number `first`, for ever."""
    start = 0
    while True:
        numbers = [first + (start + k) % POOL for k in range(batch)]
        images, classes = zip(*(scene(number, radius) for number in numbers), strict=True)
        yield np.stack(images), np.stack(classes)
        start += batch
