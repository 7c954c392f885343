"""Tiles along one axis, as arithmetic: they cover the image, meet, start aligned, and have what they need."""

from hypothesis import given
from hypothesis import strategies as st

from erfscope_intake.tiles.layout import fitted, nearest, smallest

numbers = st.integers(1, 64), st.integers(0, 200), st.integers(0, 200)


@given(st.integers(1, 600), st.integers(1, 3000), *numbers)
def test_tiles_cover_an_image(side: int, image: int, alignment: int, lead: int, tail: int) -> None:
    axis = fitted(side, alignment, lead, side - tail)
    if axis is None:
        assert side < lead + tail + alignment
        return
    assert axis.crop == (lead, side - tail), "the halo is what is asked for, rounded to nothing"
    reads, keeps = axis.reads(image), axis.keeps(image)
    assert [edge for keep in keeps for edge in keep][1:-1:2] == [start for start, _ in keeps[1:]]
    assert (keeps[0][0], keeps[-1][1]) == (0, image)
    for number, ((start, stop), (low, high)) in enumerate(zip(reads, keeps, strict=True)):
        assert start % alignment == 0
        assert 0 <= start <= low < high <= stop <= image
        assert stop - start <= side
        right = axis.right((start, stop), image, axis.halo(1.0))
        assert right[0] <= low
        assert high <= right[1]
        if number > 0:
            assert low - start >= lead
        if stop < image:
            assert stop - start == side
            assert stop - high >= tail


@given(*numbers)
def test_the_smallest_tile_is_the_smallest(alignment: int, lead: int, tail: int) -> None:
    least = smallest(alignment, lead, tail)
    assert fitted(least, alignment, lead, least - tail) is not None
    assert least % alignment == 0
    assert fitted(least - alignment, alignment, lead, least - alignment - tail) is None


@given(st.integers(1, 600), st.integers(2, 64))
def test_the_nearest_sizes_are_multiples_on_both_sides(side: int, alignment: int) -> None:
    sizes = nearest(side, alignment)
    assert all(size > 0 and size % alignment == 0 and abs(size - side) <= alignment for size in sizes)
    assert max(sizes) > side
    assert min(sizes) <= side or side < alignment
