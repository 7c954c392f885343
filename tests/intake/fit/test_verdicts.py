"""Verdicts of fit: whether a level holds an object, and the sentence that says so."""

from math import log, pi, sqrt
from statistics import NormalDist

import pytest

from erfscope_contract.fit import FitLevel
from erfscope_contract.fit_words import beside, objects_of
from erfscope_contract.holding import HOLD
from erfscope_contract.judging import BOX
from erfscope_contract.lengths import Lengths
from erfscope_intake.fit.verdicts import Size, at_level, do_heads_decide

LEVEL = 0.0455  # of the projected centre's value, above which pixels count to Luo's ERF


@pytest.mark.parametrize(
    ("size", "erf", "stride", "verdict"),
    [
        (32.0, Size(48.0), [16.0, 16.0], "holds"),
        (32.0, Size(47.9), [16.0, 16.0], "small field"),
        (32.0, Size(90.0), [16.0, 17.0], "coarse grid"),
        (32.0, Size(90.0), [16.0, None], "coarse grid"),
        (101.0, Size(500.0), [1.0, 1.0], "outside input"),
        (100.0, Size(500.0), [1.0, 1.0], "holds"),
        (1.0, Size(None), [1.0, 1.0], "small field"),
        (20.0, Size(47.0, 39.0), [1.0, 1.0], "unsure"),
        (20.0, Size(28.0, 1.1), [1.0, 1.0], "unsure"),
        (20.0, Size(28.0, 0.9), [1.0, 1.0], "small field"),
        (20.0, Size(32.0, 0.9), [1.0, 1.0], "holds"),
        (20.0, Size(47.0, 39.0), [16.0, 16.0], "coarse grid"),
        (70.0, Size(99.0, 0.5, is_bound=True), [1.0, 1.0], "unsure"),
        (60.0, Size(99.0, 0.5, is_bound=True), [1.0, 1.0], "holds"),
    ],
)
def test_verdicts(size: float, erf: Size, stride: list[float | None], verdict: str) -> None:
    assert at_level(size, erf, stride, [120, 100]).verdict == verdict


def test_a_gaussian_map_has_one_verdict_by_either_size() -> None:
    """The ERF of a Gaussian over the side of the box with half of its mass, from both definitions."""
    reach, sides = sqrt(2 * log(1 / LEVEL)), {2: sqrt(pi), 3: (4 / 3 * pi) ** (1 / 3)}
    for rank, side in sides.items():
        box = 2 * sqrt(2) * NormalDist(0, sqrt(0.5)).inv_cdf((1 + 0.5 ** (1 / rank)) / 2)
        assert BOX[rank] == pytest.approx(HOLD * box / (side * reach), abs=0.005)


@pytest.mark.parametrize(
    ("box", "verdict", "words"),
    [
        (Size(30.0, 0.5), "holds", "head a holds it (50 % box 30 px, stride 1)."),
        (Size(28.0, 0.5), "unsure", "its 50 % box is 28.00 ± 0.50 px, and 28.8 px are needed. About 7 samples"),
        (Size(25.0, 0.5), "small field", "(50 % box 25 px of 28.8), and no level has a 50 % box of 0.72 × its size"),
    ],
)  # fmt: skip
def test_levels_are_judged_by_the_box_with_half_of_the_mass(box: Size, verdict: str, words: str) -> None:
    """28.8 px are needed for 40 px, whatever the ERF is, of which little is known."""
    one = at_level(40, box, [1, 1], [96, 96], "mass_50_side")
    assert one.verdict == verdict
    level = row("a", "head", 1, Size(34.0, 8.8), 90, objects=[]).model_copy(
        update={"objects": [one], "mass_50_side": box.value, "mass_50_stderr": box.error}
    )
    (told,) = objects_of([40], [level], ["a"], [96, 96], by="mass_50_side", samples=4)
    assert words in told.words


def row(name: str, role: str, stride: float, erf: Size, trf: int, *, objects: list[float]) -> FitLevel:
    """A level of a network on an input of 96×96."""
    verdicts = [at_level(one, erf, [stride, stride], [96, 96]) for one in objects]
    return FitLevel(
        name=name, operator="Conv", role="head" if role == "head" else "level", shape=[4, 96, 96],
        stride=[stride, stride], trf_size=[trf, trf], erf_size=erf.value, stderr=erf.error, limited=erf.is_bound,
        objects=verdicts, holds=[one.size for one in verdicts if one.verdict == "holds"],
    )  # fmt: skip


def words(size: float, rows: list[FitLevel], deciding: list[str], *, named: bool = False) -> tuple[str | None, str]:
    (told,) = objects_of([size], rows, deciding, [96, 96], named=named)
    return told.best, told.words


def test_of_named_layers_nothing_is_told_of_the_others() -> None:
    def rows(size: float) -> list[FitLevel]:
        return [row("a", "level", 2, Size(12), 44, objects=[size]), row("b", "level", 8, Size(31), 44, objects=[size])]

    assert words(24, rows(24)[:1], [], named=True)[1] == "24 px: the layer a does not hold it (ERF 12 px of 36)."
    assert words(10, rows(10)[1:], [], named=True)[1] == (
        "10 px: the layer b does not hold it (stride 8, the object is narrower than 2 units)."
    )
    assert words(24, rows(24), [], named=True)[1] == (
        "24 px: no named layer has an ERF of 1.5 × its size (36 px); the largest is that of b (ERF 31 px)."
    )
    assert words(80, rows(80)[:1], [], named=True)[1] == (
        "80 px: the layer a does not hold it (ERF 12 px of 120). A larger input does not help: the TRF is 44 px, and "
        "an ERF of 120 px is needed."
    )


def test_where_the_head_decides_its_row_counts() -> None:
    def unet(size: float, head: Size, level: Size, trf: int = 44) -> list[FitLevel]:
        return [
            row("relu_9", "level", 2, level, trf, objects=[size]), row("logits", "head", 1, head, trf, objects=[size])
        ]  # fmt: skip

    clear = unet(20, Size(17.7, 0.5), Size(31.9, 0.3))
    assert words(20, clear, ["logits"]) == (
        None,
        "20 px: the head logits does not hold it (ERF 17.7 px of 30); level relu_9 would (ERF 31.9 px, stride 2).",
    )
    assert words(20, clear, [])[0] == "relu_9", "in a backbone levels count"
    assert words(8, unet(8, Size(17.7), Size(31.9)), ["logits"]) == (
        "logits", "8 px: head logits holds it (ERF 17.7 px, stride 1).",
    )  # fmt: skip
    told = words(20, unet(20, Size(29.1, 1.5), Size(31.9)), ["logits"])
    assert told == (
        None,
        "20 px: whether head logits holds it is unsure: its ERF is 29.1 ± 1.5 px, and 30 px are needed. Take more "
        "samples (samples, --inputs).",
    )
    told = words(20, unet(20, Size(17.7, 0.5), Size(31.8, 0.95)), ["logits"])
    assert told[1].endswith("(ERF 17.7 px of 30); level relu_9 may (ERF 31.80 ± 0.95 px).")
    told = words(64, unet(64, Size(40), Size(95.96)), ["logits"])
    assert told[1] == (
        "64 px: the head logits does not hold it (ERF 40 px of 96), and no level has an ERF of 1.5 × its size (96 px); "
        "the largest is that of relu_9 (ERF 95.96 px)."
    )


def test_sentences_follow_the_unit() -> None:
    """Of sound at 8 samples a second: 16 samples are 2 s."""
    level = FitLevel(
        name="map", operator="Conv", role="level", shape=[4, 24], stride=[4], trf_size=[40], erf_size=20, stderr=0.0,
        objects=[at_level(16, Size(20), [4], [96]), at_level(4, Size(20), [4], [96])], holds=[],
    )  # fmt: skip
    told = objects_of([16, 4], [level], [], [96], Lengths((1 / 8,), "s"))
    assert [one.words for one in told] == [
        "2 s: no level has an ERF of 1.5 × its size (3 s); the largest is that of map (ERF 2.5 s).",
        "0.5 s: no level is fine enough with an ERF of 1.5 × its size (0.75 s); map has the ERF (ERF 2.5 s), but at "
        "stride 0.5 s the object is narrower than 2 units.",
    ]


def test_an_input_without_room_is_said() -> None:
    """96 px of input: an ERF of 120 has no room, and where the TRF is smaller than that no input helps."""
    large = [row("map", "head", 4, Size(90), 300, objects=[80])]
    assert words(80, large, []) == (
        None,
        "80 px: 1.5 × its size is 120 px, more than the input's 96 px: measure on a larger input (input.shape, "
        "--shape).",
    )
    small = [row("map", "head", 4, Size(40), 43, objects=[80])]
    assert words(80, small, [])[1].endswith(
        "(ERF 40 px). A larger input does not help: the TRF is 43 px, and an ERF of 120 px is needed."
    )
    outside = [row("map", "head", 4, Size(40), 43, objects=[97])]
    assert words(97, outside, []) == (
        None,
        "97 px: larger than the input, and a larger one alone does not help: the TRF is 43 px, and an ERF of 145.5 px "
        "is needed.",
    )  # fmt: skip
    full = [row("map", "head", 4, Size(93, 0.1, is_bound=True), 300, objects=[63])]
    assert "its ERF of 93.00 ± 0.10 px fills the input" in words(63, full, [])[1]
    assert "Measure on a larger input (input.shape, --shape)" in words(63, full, [])[1]


@pytest.mark.parametrize(("value", "text"), [(149.5, "149.5"), (27.26, "27.3"), (149.9999, "149.9999"), (150, "150")])
def test_a_number_is_on_its_side_of_the_bound(value: float, text: str) -> None:
    assert beside(value, 150.0) == text


@pytest.mark.parametrize(
    ("heads", "levels", "decide"),
    [
        ([1], [1, 2, 4, 1], True),  # behind a decoder
        ([4], [4, 8, 16, 32, 4], True),
        ([32], [2, 4, 8, 16, 32], False),  # a backbone
        ([1], [1, 1], True),  # one grid
        ([8, 16, 32], [2, 4, 8, 16, 32], True),  # a detector
        ([], [2, 4], False),
    ],
)
def test_which_heads_decide(heads: list[float], levels: list[float], *, decide: bool) -> None:
    assert do_heads_decide(heads, levels) is decide
