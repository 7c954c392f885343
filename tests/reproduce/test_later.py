"""S21 … S28: what came after the article, held against closed forms and against the engine's own counts."""

import numpy as np
import pytest

from erfscope_contract.presets import preset
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding, Verdict
from erfscope_reproduce.later import large_kernels, two_axes, unproductive
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
