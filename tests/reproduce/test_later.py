"""S21 … S28: what came after the article, held against closed forms and against the engine's own counts."""

import numpy as np
import pytest

from erfscope_contract.presets import preset
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding, Verdict
from erfscope_reproduce.later import large_kernels, paths, saturation, seen, two_axes, unproductive
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


def test_s28_kurtosis_is_that_of_sums_of_boxes(bench: Bench) -> None:
    finding = _whole(large_kernels.broken_shape(bench), "S28")
    assert {row.verdict for row in finding.rows if "kurtosis" in row.claim} == {Verdict.CONFIRMED}
    line = np.convolve(np.ones(5), np.convolve(np.ones(5), np.ones(5)))
    assert large_kernels.kurtosis_along(line) == pytest.approx(large_kernels.box_kurtosis(5, 3))
    assert large_kernels.kurtosis_along(np.array([1.0, 0, 0, 1])) == pytest.approx(-2)
