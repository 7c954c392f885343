"""How option texts are read, and the units of metrics."""

import re
from contextlib import suppress
from math import ceil
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from erfscope import errors
from erfscope.cli import values
from erfscope.cli.measure import read
from erfscope_contract.lengths import Lengths, lengths_of
from erfscope_contract.meanings import unit_of
from erfscope_contract.numbers import digits


def test_option_texts() -> None:
    assert values.unit("center") == "center"
    assert values.unit("7, 7") == [7, 7]
    assert values.unit("grid:3x4") == {"grid": [3, 4]}
    assert values.index("3, 7, 7") == {"index": [3, 7, 7]}
    assert values.channels("random") == "random"
    assert values.channels("0,5") == [0, 5]
    assert read({"seed": None, "mean": "0.5,0.25", "layers": "all"}) == {"mean": [0.5, 0.25], "layers": "all"}
    assert read({"index": "3,7,7", "unit": None, "seed": 1}) == {"unit": {"index": [3, 7, 7]}, "seed": 1}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("erf_size", "px"),
        ("mass_50_side", "px"),
        ("mass_50_ratio", ""),
        ("mass_50_pixels", "pixels"),
        ("theta", "rad"),
        ("r2", ""),
    ],
)
def test_units(name: str, unit: str) -> None:
    assert unit_of(name) == unit


@pytest.mark.parametrize(
    ("text", "rate", "spacing", "expected"),
    [
        ("32,96", None, None, [32, 96]),
        ("0.5s, 2s", 16_000.0, None, [8000, 32_000]),
        ("100,.25s", 8000.0, None, [100, 2000]),
        ("20ms, 0.5min, 125us", 16_000.0, None, [320, 480_000, 2]),
        ("8mm", None, "4,1,2", [4]),  # the geometric mean of the steps is 2 mm
        ("1.2cm, 1200um, 0.012m", None, "0.5", [24, 2.4, 24]),
        ("12 mm", None, "0.5", [24]),
    ],
)
def test_sizes_of_objects(text: str, rate: float | None, spacing: str | None, expected: list[float]) -> None:
    assert values.sizes(text, rate, spacing) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "rate", "words"),
    [
        ("0.5", 16_000.0, "less than one pixel or sample; with a unit it is 0.5s"),
        ("0.5s", None, "is a time; give --rate"),
        ("3mm", None, "is a length; give --spacing"),
        ("32,big", None, "'big' is not sizes in pixels such as 32,96"),
        ("", None, "'' is not sizes"),
    ],
)
def test_sizes_that_are_none(text: str, rate: float | None, words: str) -> None:
    with pytest.raises(errors.BadRequest, match=re.escape(words)):
        values.sizes(text, rate, None)


@given(st.text("0123456789", min_size=1, max_size=6000), st.sampled_from(["", "x", ",3", "s"]))
@example("9" * 5000, "")
@example("9" * 5000, ",3")
def test_whole_numbers_of_any_length_are_read_or_refused(digits: str, rest: str) -> None:
    shape = None
    with suppress(errors.BadRequest):
        shape = values.integers(digits + rest, "--shape")
    assert (shape is not None) == (len(digits) <= 18 and rest in ("", ",3"))
    with suppress(errors.BadRequest):
        values.sides(digits + rest, "--tile", 16_000.0, None)


def test_a_spacing_as_text_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="spacing '2px' must be a size above 0"):
        lengths_of(None, "2px", 2)


@pytest.mark.parametrize(
    ("spacing", "steps", "unit"),
    [
        ("0.3m", (0.3, 0.3), "m"), ("2,0.5", (2, 0.5), "mm"), ("2mm,0.5", (2, 0.5), "mm"), ("1cm,5mm", (1, 0.5), "cm"),
        (0.7, (0.7, 0.7), "mm"), ([2, "0.5um"], (2, 0.5), "um"), ("1e-3m", (0.001, 0.001), "m"),
    ],
)  # fmt: skip
def test_a_spacing_may_have_a_unit(spacing: Any, steps: tuple[float, float], unit: str) -> None:
    assert lengths_of(None, spacing, 2) == Lengths(steps, unit)
    assert "metres" in Lengths(steps, unit).long


def test_a_size_in_metres_is_so_many_pixels_of_a_ground_resolution() -> None:
    assert values.sizes("7.2m,90cm,12", None, "0.3m") == [24, 3, 12]
    assert values.typed(24, Lengths((0.3, 0.3), "m")) == "7.2m"
    assert values.times("0.3m", 3) == "0.9m"


def test_small_steps_have_a_mean() -> None:
    assert values.sizes("12mm", None, "2e-127,2e-127,4e-127")[0] == pytest.approx(12 / 2e-127 / 2 ** (1 / 3))


@pytest.mark.parametrize(
    ("text", "rate", "spacing", "expected"),
    [
        ("512", None, "2,1,1", 512),
        (" 512, 384x3 ", None, None, [512, 384, 3]),
        ("1s", 16_000.0, None, 16_000),
        ("0.3ms", 8000.0, None, 3),
        ("21mm", None, "2", 11),
        ("21mm", None, "2,0.7,0.7", [11, 30, 30]),
        ("20mm,64,6.3mm", None, "2,0.7,0.7", [10, 64, 9]),
    ],
)
def test_sizes_of_tiles(text: str, rate: float | None, spacing: str | None, expected: int | list[int]) -> None:
    assert values.sides(text, "--tile", rate, spacing, ceil) == expected


@pytest.mark.parametrize(
    ("text", "rate", "spacing", "words"),
    [
        ("0.5", 16_000.0, None, "'0.5' is not a whole number of pixels, samples or voxels such as 512"),
        ("1s", None, None, "--tile 1s is a time; give --rate"),
        ("8mm,9mm", None, "2,0.7,0.7", "--tile 8mm,9mm has 2 sizes, and --spacing 2,0.7,0.7 has 3"),
        ("9" * 400 + "s", 16_000.0, None, "is too large"),
    ],
)
def test_sizes_of_tiles_that_are_none(text: str, rate: float | None, spacing: str | None, words: str) -> None:
    with pytest.raises(errors.BadRequest, match=re.escape(words)):
        values.sides(text, "--tile", rate, spacing)


@pytest.mark.parametrize(
    ("number", "text"), [(16000.0, "16000"), (6.25e-05, "0.0000625"), (1234567.0, "1234567"), (1 / 3, "0.333333")]
)
def test_lengths_have_no_powers_of_ten(number: float, text: str) -> None:
    assert digits(number) == text


@given(
    st.sampled_from(["0.5s", "12mm", "32", "9" * 400]),
    st.none() | st.floats(),
    st.none() | st.lists(st.floats(), min_size=1, max_size=3).map(lambda steps: ",".join(map(str, steps))),
)
def test_any_rate_and_spacing_give_a_size_or_a_refusal(text: str, rate: float | None, spacing: str | None) -> None:
    with suppress(errors.BadRequest):
        assert values.sizes(text, rate, spacing)[0] >= 0
