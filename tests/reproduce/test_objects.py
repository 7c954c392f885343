"""S20b: scenes whose context is known, networks of equal weights, and the rule that is read from trials."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from erfscope_contract.architecture import check
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Verdict
from erfscope_reproduce.objects import experiment, rule
from erfscope_reproduce.objects.networks import CONTENDERS
from erfscope_reproduce.objects.scenes import SIDE, batches, scene
from erfscope_reproduce.objects.trials import Effort, Trial, trial

TRIAL = Trial("a", "dilation", 8, 0, 0.9, 31.0, 24.0, 12.0, 10.0, 25.0, 10)


@pytest.mark.parametrize("radius", [4, 8, 12])
def test_what_is_inside_is_closed_in_by_an_outline(radius: int) -> None:
    """Each labelled region is a disc of the radius, cut at the border at most; arcs have no label."""
    image, classes = scene(3, radius)
    assert image.shape == (1, SIDE, SIDE)
    regions, count = ndimage.label(classes)
    assert count >= 1
    for number in range(1, count + 1):
        rim = ndimage.binary_dilation(regions == number, iterations=2) & (regions != number)
        assert image[0][rim].mean() > 0.5, "an outline all around"
        assert (regions == number).sum() <= np.pi * radius**2
    outlines = image[0] > 0.6
    assert outlines.sum() > ndimage.binary_dilation(classes == 1, iterations=2).sum() - classes.sum(), "arcs besides"


def test_scenes_are_always_the_same() -> None:
    first, again = (next(batches(8, 3, first=5)) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], next(batches(8, 3, first=6))[0])


def test_networks_have_nearly_equal_weights_and_different_fields() -> None:
    counts = {one.name: sum(row.parameters for row in check(one.architecture())) for one in CONTENDERS}
    assert max(counts.values()) < 1.13 * min(counts.values())
    assert all(check(one.architecture())[-1].shape == (2, SIDE, SIDE) for one in CONTENDERS)


def _trials() -> list[Trial]:
    """Accuracy that rises with ERF over object, from 0.2 at 0 to 0.9 at 1.5, whatever the TRF."""
    rows = []
    for number, size in enumerate(np.geomspace(5, 60, 12)):
        for radius in (4, 8, 12):
            iou = 0.2 + 0.7 * min(size / (2 * radius) / 1.5, 1.0)
            trf = 20 + 40 * ((number * 7) % 5)
            rows.append(replace(TRIAL, network=f"n{number}", radius=radius, iou=iou, erf_size=size, trf=trf))
    return rows


def test_the_rule_is_found_where_there_is_one() -> None:
    need = rule.needed(_trials())
    assert need.value == pytest.approx(1.4, abs=0.2)
    assert need.error is not None
    assert 0 < need.error < 0.3


def test_the_size_that_decides_predicts_best() -> None:
    trials = _trials()
    assert rule.misfit(trials, "erf_size").value < 0.05
    assert rule.misfit(trials, "trf").value > 0.1


def test_shares_and_differences() -> None:
    trials = [replace(TRIAL, iou=0.9), replace(TRIAL, network="b", iou=0.45, erf_size=8.0)]
    low = rule.share_between(trials, 0.0, 1.0)
    assert low is not None
    assert low.value == pytest.approx(0.5)
    assert rule.share_between(trials, 5.0, 9.0) is None
    less = rule.difference(trials, "a", "b", (8,))
    assert less is not None
    assert less.value == pytest.approx(0.45)
    assert rule.difference(trials, "a", "b", (4,)) is None


def test_a_trial_is_read_again_from_the_folder_of_finished_ones(tmp_path: Path) -> None:
    bench = Bench(quick=True, resume=tmp_path)
    effort = Effort(steps=2, batch=2, tests=2, inputs=2)
    first = trial(bench, CONTENDERS[0], 4, 0, effort)
    assert (first.trf, first.radius) == (13, 4)
    assert 3 < first.erf_size <= 13
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace('"steps": 2', '"steps": 77'))
    assert trial(bench, CONTENDERS[0], 4, 0, effort).steps == 77
    assert trial(Bench(quick=True), CONTENDERS[0], 4, 0, effort) == first, "the same training, the same numbers"


def test_the_experiment_runs_small() -> None:
    finding = experiment.objects(Bench(quick=True))
    assert {row.id for row in finding.rows} == {"S20b"}
    assert not any(row.verdict is Verdict.CRASHED for row in finding.rows)
    assert "What to take away" in finding.remark
    assert finding.pictures[0].png.startswith(b"\x89PNG")
