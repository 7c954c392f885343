"""S13's race: networks of both starts, when they arrive, and how the race is judged."""

import pytest

from erfscope_contract.architecture.base import Init
from erfscope_reproduce.finding import Verdict
from erfscope_reproduce.objects.scenes import batches
from erfscope_reproduce.training import fit, speed

LESSON = speed.Lesson(radius=4, level=0.5, steps=20, tests=[next(batches(4, 2, first=0))])


def test_a_score_is_reached_between_two_looks() -> None:
    curve = ([0, 10, 20, 30], [0.1, 0.3, 0.7, 0.2])
    assert speed.reached(curve, 0.5) == pytest.approx(15)
    assert speed.reached(curve, 0.7) == 20
    assert speed.reached(curve, 0.8) is None


def _curves(*arrivals: int | None) -> list[speed.Curve]:
    """Curves that jump from 0 to 1 in the step before the arrival; None: they stay at 0."""
    return [([0, 9, 10], [0.0, 0.0, 0.0]) if at is None else ([0, at - 1, at + 1], [0.0, 0.0, 1.0]) for at in arrivals]


def test_the_race_is_judged_by_pairs() -> None:
    slow, fast = _curves(10, 20, 16), _curves(5, 11, 8)
    row = speed.row_of(LESSON, {"Kaiming": slow, "low centre": fast})
    assert row.ours.value == pytest.approx((10 / 5 * 20 / 11 * 16 / 8) ** (-1 / 3))
    assert row.verdict is Verdict.CONFIRMED
    assert speed.row_of(LESSON, {"Kaiming": fast, "low centre": slow}).verdict is Verdict.REFUTED


def test_a_network_that_does_not_arrive_counts_with_all_its_steps() -> None:
    row = speed.row_of(LESSON, {"Kaiming": _curves(10, None), "low centre": _curves(10, 10)})
    assert row.ours.value == pytest.approx(2**-0.5)
    assert ">20" in row.note
    assert speed.row_of(LESSON, {"Kaiming": _curves(None), "low centre": _curves(5)}).verdict is Verdict.UNDECIDED


def test_a_pair_of_which_neither_arrives_is_left_out() -> None:
    curves = {"Kaiming": _curves(10, 16, 8, None), "low centre": _curves(5, 8, 4, None)}
    row = speed.row_of(LESSON, curves)
    assert row.ours.value == pytest.approx(0.5)
    assert row.verdict is Verdict.CONFIRMED
    none = speed.row_of(LESSON, {"Kaiming": _curves(None, None), "low centre": _curves(None, None)})
    assert none.ours.value == 1
    assert none.verdict is Verdict.UNDECIDED


def test_both_starts_differ_in_the_taps_alone_and_a_network_learns() -> None:
    plain, low = (fit.modules(fit.drawn(speed.network_of(init), 3)) for init in (Init.KAIMING_NORMAL, Init.LOW_CENTER))
    ratio = (next(low[0].parameters()) / next(plain[0].parameters())).detach()
    assert ratio.std(dim=(0, 1)).max() < 1e-5, "the same numbers are drawn, and scaled tap by tap"
    assert ratio[0, 0, 1, 1] < 0.2 * ratio[0, 0, 0, 0]
    steps, scores = speed.learnt(LESSON, Init.LOW_CENTER, 0)
    assert steps == [0, 10, 20]
    assert all(0 <= score <= 1 for score in scores)
    assert speed.learnt(LESSON, Init.LOW_CENTER, 0) == (steps, scores)
    assert speed.learnt(LESSON, Init.KAIMING_NORMAL, 0)[1] != scores
