"""Pictures in the making are bounded by their number and by their pixels."""

import asyncio
from collections.abc import Sequence

import pytest

from erfscope_service.drawing import Easel


async def together(easel: Easel, sizes: Sequence[int]) -> tuple[int, int, list[int]]:
    """Most pictures and most pixels at a time, and in which order pictures of those sizes were begun."""
    now: list[int] = []
    peaks, begun = [(0, 0)], list[int]()

    async def draw(size: int) -> None:
        async with easel.drawing(size):
            now.append(size)
            begun.append(size)
            peaks.append((len(now), sum(now)))
            await asyncio.sleep(0.01)
            now.remove(size)

    await asyncio.gather(*map(draw, sizes))
    return max(count for count, _ in peaks), max(pixels for _, pixels in peaks), begun


@pytest.mark.parametrize(
    ("sizes", "most"),
    [([1] * 6, (2, 2)), ([60, 60, 60], (1, 60)), ([60, 30, 30], (2, 90)), ([500, 1], (1, 500)), ([1, 500], (1, 500))],
)
def test_number_and_pixels_are_bounded(sizes: list[int], most: tuple[int, int]) -> None:
    pictures, pixels, begun = asyncio.run(together(Easel(pictures=2, pixels=100), sizes))
    assert (pictures, pixels) == most
    assert sorted(begun) == sorted(sizes)  # each has its turn, also what is larger than all of the room


def test_a_picture_that_fails_gives_its_place_back() -> None:
    async def story() -> None:
        easel = Easel(pictures=1, pixels=1)
        with pytest.raises(ValueError, match="no picture"):
            async with easel.drawing(1):
                raise ValueError("no picture")
        async with asyncio.timeout(5), easel.drawing(1):
            pass

    asyncio.run(story())
