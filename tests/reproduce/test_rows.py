"""Rows that cost little, measured for real, and the closed forms they are held against."""

import itertools
import math

import numpy as np
import pytest

from erfscope_contract.architecture import check
from erfscope_contract.presets import preset
from erfscope_reproduce import configuration, depth, exact, growth, natural, spectrogram
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding, Verdict
from erfscope_reproduce.nonlinearity import distance


def verdicts(finding: Finding) -> list[Verdict]:
    return [row.verdict for row in finding.rows]


def test_extended_binomial_counts_the_ways_to_a_sum() -> None:
    for kernel, layers in ((2, 5), (3, 4), (5, 3)):
        sums = [sum(steps) for steps in itertools.product(range(kernel), repeat=layers)]
        counts = np.bincount(sums)
        assert exact.extended_binomial(kernel, layers) == pytest.approx(counts / counts.max(), rel=1e-15)


@pytest.mark.parametrize(("rank", "kernel", "layers"), [(1, 2, 60), (1, 7, 60), (2, 3, 10)])
def test_s1_maps_are_the_closed_form(bench: Bench, rank: int, kernel: int, layers: int) -> None:
    assert exact._ones_error(bench, rank, kernel, layers) < 1e-12


def test_s1_would_see_a_wrong_pixel(bench: Bench) -> None:
    map, truth = exact._ones_shot(bench, 1, 3, 2).map, np.pad(exact.extended_binomial(3, 2), 1)
    assert exact.relative_error(map, truth) < 1e-15
    assert exact.relative_error(map * np.where(np.arange(len(map)) == 2, 1 + 1e-9, 1), truth) == pytest.approx(1e-9)
    assert exact.relative_error(map + 1e-30, truth) == math.inf
    assert exact.relative_error(map[1:], truth) == math.inf


def test_s3_sigma_is_the_formula(bench: Bench) -> None:
    assert set(verdicts(exact.non_uniform_kernels(bench))) == {Verdict.CONFIRMED}
    assert exact.axis_variances(np.array([[1.0, 0, 1], [0, 0, 0]])) == [0, 1]


def test_s10_closed_form_slopes_are_above_a_half_for_few_layers() -> None:
    growing, shrinking = growth._limit_rows((5, 10, 20, 40))
    assert 0.52 < growing.ours.value < 0.56
    assert growing.ours.value - shrinking.ours.value == pytest.approx(0.961, abs=1e-3)
    assert growth._limit_rows((200, 400, 800))[0].ours.value == pytest.approx(0.5, abs=0.01)


def test_s10_closed_form_is_where_many_channels_go(bench: Bench) -> None:
    shot = bench.measure("preset:plain-10-linear", method="analytic")
    sigma = np.sqrt(np.sum(np.arange(-10, 11) ** 2 * (row := growth.limit_map(10)[10])) / row.sum())
    assert shot.result.gaussian.sigma_axis == pytest.approx([sigma, sigma], rel=1e-4)


def test_s14_control_has_as_many_weights() -> None:
    sparse, dilated = (check(net) for net in (preset("luo-sparse"), configuration._dilated()))
    assert sum(row.parameters for row in sparse) == sum(row.parameters for row in dilated)


def test_s16_crops_are_photographs_and_always_the_same() -> None:
    crops = natural.photographs(3)
    assert crops.shape == (3, 122, 122, 3)
    assert crops.std() > 20
    assert np.array_equal(crops, natural.photographs(3))


def test_s19_axes_are_told_apart(bench: Bench) -> None:
    finding = spectrogram.axes_apart(bench)
    assert Verdict.REFUTED not in verdicts(finding)
    frequency, time = (row.ours.value for row in finding.rows[:2])
    assert time > 2 * frequency


def test_s20_profile_rises_and_names_idle_layers(bench: Bench) -> None:
    shot = bench.measure("preset:luo-conv", inputs=8, layers="all")
    rows = depth.convolutions(shot)
    assert [row.trf_size[0] for row in rows] == list(range(3, 32, 2))
    assert (rows[-1].erf_size or 0) > 2 * (rows[2].erf_size or 0)
    idle, last = depth._idle_row(shot, "luo-conv"), depth._gain_row(shot, "luo-conv")
    assert 0 <= idle.ours.value < 14
    assert 0.4 < last.ours.value < 0.8


def test_s20_advice_is_measured_against_what_is_wanted(bench: Bench) -> None:
    (row,) = depth._advice_rows(bench, "plain-5-linear", 14.0)
    assert row.ours.value > 10
    assert "plain-5-linear" in row.claim
    assert "expected" in row.note


def test_a_question_is_measured_once(bench: Bench) -> None:
    first = bench.measure("preset:plain-5-ones", inputs=1)
    assert bench.measure("preset:plain-5-ones", inputs=1) is first
    assert bench.measure("preset:plain-5-ones", inputs=2) is not first
    assert first.how == "preset:plain-5-ones, inputs=1"
    assert distance(first, first) == 0
