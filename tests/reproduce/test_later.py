"""S21 … S28: what came after the article, held against closed forms and against the engine's own counts."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from erfscope_contract.presets import preset
from erfscope_intake.spec.blocks import SelfAttention
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding, Verdict
from erfscope_reproduce.later import (
    attention,
    large_kernels,
    paths,
    rates,
    replknet,
    saturation,
    seen,
    two_axes,
    unproductive,
)
from erfscope_reproduce.objects.experiment import FULL, RADII, SEEDS
from erfscope_reproduce.objects.networks import CONTENDERS
from erfscope_reproduce.objects.trials import Trial
from erfscope_reproduce.training import fit


def _whole(finding: Finding, id: str) -> Finding:
    assert {row.id for row in finding.rows} == {id}
    assert all(np.isfinite(row.ours.value) for row in finding.rows)
    assert all(picture.png.startswith(b"\x89PNG") for picture in finding.pictures)
    assert finding.remark
    return finding


def test_s21_counts_as_the_border_layer_does(bench: Bench) -> None:
    depth = unproductive.depth_of(bench, "mobilenet-v1")
    network = fit.drawn(preset("mobilenet-v1"), 0)
    assert len(depth.trf) == 27
    for image in (64, 96, 224):
        border = unproductive.border_at(network, image)
        assert len(border.layers) == 27
        assert border.longest == 27 - unproductive.behind(depth.trf, image)
    assert all(erf <= trf for erf, trf in zip(depth.erf, depth.trf, strict=True))
    assert unproductive.smallest_image(network, "longest") == depth.trf[-1] == 315


def test_s21_rows(bench: Bench) -> None:
    finding = _whole(unproductive.unproductive_layers(bench), "S21")
    shortest, longest = (row.ours.value for row in finding.rows if "smallest image" in row.claim)
    assert shortest < longest == 371  # 435 of the network, less its last layer's 64


def test_paths_are_counted_one_by_one() -> None:
    """One axis by hand: two layers of stride 2 with kernel 3 and padding 1 on 9 pixels."""
    counts = paths.counts_of(paths.linear_net("two", 9, seen.halving(3)[:2]))
    line = [0.0] * 9
    for out in range(3):
        for second in (-1, 0, 1):
            for first in (-1, 0, 1):
                between = 2 * out + second
                if 0 <= between < 5 and 0 <= 2 * between + first < 9:
                    line[2 * between + first] += 1
    assert counts == pytest.approx(np.outer(line, line))


def test_s22_residual_stacks_saturate(bench: Bench) -> None:
    finding = _whole(saturation.saturation(bench), "S22")
    assert {row.verdict for row in finding.rows} == {Verdict.CONFIRMED}
    slope = next(row for row in finding.rows if "slope" in row.claim)
    assert slope.ours.value < -0.15


def test_s23_rates_are_shares(bench: Bench) -> None:
    finding = _whole(rates.rates(bench), "S23")
    share = {row.claim.split()[0]: row.ours.value for row in finding.rows}
    assert set(share) == set(rates.SHOWN)
    assert all(0 < value <= 1 for value in share.values())
    assert share["one-far-31"] < share["skip-31"] < share["dilation-31"]
    assert "which was not done" in finding.remark


def test_s23_the_best_trf_is_read_from_the_trainings_of_s20b(tmp_path: Path) -> None:
    amounts = "-".join(str(value) for value in asdict(FULL).values())
    (tmp_path / "objects").mkdir()
    for number, one in enumerate(one for one in CONTENDERS if one.family == "dilation"):
        trf = 10.0 + 10 * number
        for radius in RADII:
            for seed in range(SEEDS):
                iou = 0.9 - abs(trf - 3 * radius) / 100
                trial = Trial(one.name, one.family, radius, seed, iou, trf, 9.0, 9.0, 9.0, 9.0, FULL.steps)
                place = tmp_path / "objects" / f"{one.name}-r{radius}-s{seed}-{amounts}.json"
                place.write_text(json.dumps(asdict(trial)))
    finding = rates.rates(Bench(quick=True, resume=tmp_path))
    assert rates.WITH in finding.remark
    best = [row.ours.value for row in finding.rows if "highest IoU" in row.claim]
    assert best == [10, 20, 40, 50]
    assert finding.rows[-1].verdict is Verdict.CONFIRMED
    (tmp_path / "objects" / f"dilation-6-r4-s0-{amounts}.json").unlink()
    assert rates.WITHOUT in rates.rates(Bench(quick=True, resume=tmp_path)).remark


def test_s24_padding_and_strides(bench: Bench) -> None:
    finding = _whole(seen.seen_pixels(bench), "S24")
    assert {row.verdict for row in finding.rows} == {Verdict.CONFIRMED}
    assert next(row.ours.value for row in finding.rows if "least seen" in row.claim) == pytest.approx(0.04)
    uneven = next(row.ours.value for row in finding.rows if "96 px" in row.claim)
    assert 0.5 < uneven < 1


def test_s25_limits_one_axis_alone(bench: Bench) -> None:
    finding = _whole(two_axes.frequency_apart(bench), "S25")
    assert Verdict.REFUTED not in {row.verdict for row in finding.rows}
    assert all("33 steps" in row.note for row in finding.rows)
    assert {row.note.split()[1] for row in finding.rows} == {"21", "9"}


def test_s26_a_vit_sees_far_at_once_and_a_resnet_does_not(bench: Bench) -> None:
    finding = _whole(attention.near_and_far(bench), "S26")
    assert [row.verdict for row in finding.rows[:2]] == [Verdict.CONFIRMED] * 2
    even = attention.distances_between(14).mean()
    last = finding.rows[-1].ours
    assert last.value == pytest.approx(even, rel=0.01), "untrained attention is nearly even"
    assert attention.distances_between(2)[0].tolist() == pytest.approx([0, 16, 16, 16 * 2**0.5])


def test_s26_distances_are_those_of_the_modules_own_attention() -> None:
    """Queries and keys that are the tokens themselves, enlarged: each token attends to itself alone."""
    module = SelfAttention(2, 1, False)
    with torch.no_grad():
        module.qkv.weight.copy_(100 * torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 1]]))
    corners = torch.tensor([[1.0, 0, 0, -1], [0, 1, -1, 0]]).reshape(1, 2, 2, 2)
    near = attention._mean_distance(module, corners, attention.distances_between(2))
    assert near.value == pytest.approx(0, abs=1e-6), "each token is most like itself"


def test_s27_has_theirs_beside_ours(bench: Bench) -> None:
    finding = _whole(replknet.area_ratios(bench), "S27")
    ratios = [row.ours.value for row in finding.rows if ": r at" in row.claim]
    assert ratios == sorted(ratios)
    assert all(0 < ratio <= 100 for ratio in ratios)
    assert "Not comparable, because" in finding.remark


def test_s28_kurtosis_is_that_of_sums_of_boxes(bench: Bench) -> None:
    finding = _whole(large_kernels.broken_shape(bench), "S28")
    assert {row.verdict for row in finding.rows if "kurtosis" in row.claim} == {Verdict.CONFIRMED}
    line = np.convolve(np.ones(5), np.convolve(np.ones(5), np.ones(5)))
    assert large_kernels.kurtosis_along(line) == pytest.approx(large_kernels.box_kurtosis(5, 3))
    assert large_kernels.kurtosis_along(np.array([1.0, 0, 0, 1])) == pytest.approx(-2)
