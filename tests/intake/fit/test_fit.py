"""Fit: heads and levels are found where a person would point, measured as `measure` does, and judged by size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.intake.tiles.networks import Pyramid, UNet, exported
from torch import nn

from erfscope_contract.fit import Fit, FitRequest
from erfscope_contract.presets import preset
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions, ModelRef, Weights
from erfscope_intake.answer import Sources, answer
from erfscope_intake.fit import fit
from erfscope_intake.fit.verdicts import at_level
from erfscope_intake.levels import levels_of
from erfscope_intake.outputs import surveyed
from erfscope_intake.sizes import SizedModel

STORED = {"sha256": "0" * 64}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def ask(path: Path, **fields: Any) -> Fit:
    return fit(FitRequest.model_validate({"model": STORED, "samples": 2, **fields}), path)


def stages_of(name: str, shape: list[int]) -> list[tuple[str, bool]]:
    """Levels of a preset, and whether each is a head."""
    options = InputOptions(shape=shape)
    model = SizedModel(ModelRef(architecture=preset(name)), options, Weights.GIVEN, torch.device("cpu"))
    survey = surveyed(model.network())
    return [(level.layer.name, level.is_head) for level in levels_of(survey.traced, survey.outputs)]


def test_the_levels_of_a_residual_network_are_its_stages() -> None:
    """Not the first convolution of the next block, which has the stage's stride still."""
    names = stages_of("resnet18", [3, 128, 128])
    assert [is_head for _, is_head in names] == [False] * 4 + [True]
    assert [name.split(".")[0] for name, _ in names[1:]] == ["layer1", "layer2", "layer3", "layer4"]
    assert all(name.count(".") == names[1][0].count(".") for name, _ in names[1:]), "the same place in each stage"


def test_the_levels_of_a_chain_are_what_comes_before_its_pools() -> None:
    names = [name for name, _ in stages_of("vgg16", [3, 64, 64])]
    assert [name.rpartition("_")[0] for name in names] == ["relu"] * 5 + ["max_pool"]


def test_a_u_net_has_levels_on_both_sides_and_its_outputs_as_heads(tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    result = ask(path, objects=[4], input={"shape": [3, 64, 64]})
    levels = [(level.stride[0], level.role) for level in result.levels]
    assert sorted(stride for stride, role in levels if role == "head") == [1, 2]
    assert {level.name for level in result.levels if level.role == "head"} == {"mask", "coarse"}
    assert [stride for stride, role in levels if role == "level"][:3] == [1, 2, 4]


def test_each_level_is_measured_as_measure_does(tmp_path: Path) -> None:
    path = exported(Pyramid(), (3, 64, 64), tmp_path / "net.onnx", ["boxes"])
    shape = {"shape": [3, 96, 96]}
    result = ask(path, objects=[8, 40], input=shape, samples=3, seed=4)
    heads = [level for level in result.levels if level.role == "head"]
    assert [level.stride for level in heads] == [[4, 4], [8, 8], [16, 16]]
    assert [level.shape for level in heads] == [[5, 24, 24], [5, 12, 12], [5, 6, 6]]
    for level in heads:
        asked = {"target": {"layer": level.name}, "average": {"inputs": 3, "seed": 4}, "input": shape}
        alone = answer(ErfRequest.model_validate(asked), Sources(path)).result
        assert (level.erf_size, level.erf_ratio) == (alone.erf.size, alone.erf.ratio)
        assert (level.trf_size, level.clipped) == (alone.trf.size, alone.trf.clipped)
    for one in result.objects:
        holding = {
            level.name
            for level in result.levels
            if (level.erf_size or 0) >= 1.5 * one.size and one.size >= 2 * level.stride[0]
        }
        assert set(one.held_by) == holding


def test_levels_are_measured_on_images_where_there_are_any(tmp_path: Path) -> None:
    path = exported(Pyramid(), (3, 64, 64), tmp_path / "net.onnx", ["boxes"])
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((2, 3, 64, 64)).astype(np.float32))
    options = {"shape": [3, 64, 64], "source": "images", "images": "1" * 64, "mean": [0.4, 0.5, 0.6]}
    asked = FitRequest.model_validate({"model": STORED, "objects": [8], "samples": 2, "input": options})
    levels = fit(asked, path, images=tmp_path / "images.npy").levels
    for level in [one for one in levels if one.role == "head"]:
        alone = ErfRequest.model_validate({"target": {"layer": level.name}, "average": {"inputs": 2}, "input": options})
        result = answer(alone, Sources(path, images=tmp_path / "images.npy")).result
        assert (level.erf_size, level.stderr) == (result.erf.size, result.stderr["erf_size"])
    noise = ask(path, objects=[8], input={"shape": [3, 64, 64]}).levels
    assert [level.erf_size for level in noise] != [level.erf_size for level in levels]
    with pytest.raises(ProblemError, match="no images came"):
        fit(asked, path)


def test_the_best_is_the_head_with_the_smallest_field_that_holds_it(tmp_path: Path) -> None:
    path = exported(Pyramid(), (3, 64, 64), tmp_path / "net.onnx", ["boxes"])
    result = ask(path, objects=[10, 97], input={"shape": [3, 96, 96]})
    sizes = {level.name: level.erf_size for level in result.levels if level.role == "head" and 10 in level.holds}
    small, large = result.objects
    assert small.best is not None
    assert sizes[small.best] == min(size for size in sizes.values() if size is not None)
    assert f"head {small.best} holds it" in small.words
    assert (large.best, large.held_by) == (None, [])
    assert "larger than the input" in large.words


def test_named_layers_are_looked_at_alone(tmp_path: Path) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    result = ask(path, objects=[200], layers=["coarse", "mask"], input={"shape": [3, 64, 64]})
    assert [level.name for level in result.levels] == ["coarse", "mask"]
    with pytest.raises(ProblemError, match="Did you mean 'coarse'"):
        ask(path, objects=[4], layers=["coars"])


def test_a_layer_without_a_gradient_has_a_row_and_a_reason(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 5, padding=2), nn.ReLU(), nn.Conv2d(2, 2, 3, stride=2, padding=1))
    path = exported(net, (3, 32, 32), tmp_path / "net.onnx", ["map"])
    with torch.no_grad():
        net[2].weight.zero_()
    path = exported_as_is(net, path)
    result = ask(path, objects=[2], input={"shape": [3, 32, 32]})
    dead = result.levels[-1]
    assert dead.stride == [2.0, 2.0]
    assert (dead.name, dead.erf_size, dead.holds, dead.objects[0].verdict) == ("map", None, [], "small field")
    assert any("'map' has no ERF" in note for note in result.notes)
    assert result.objects[0].best == result.levels[0].name


def exported_as_is(net: nn.Module, path: Path) -> Path:
    """With the weights that it has now."""
    import warnings

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(net, (torch.zeros(1, 3, 32, 32),), str(path), dynamo=False, output_names=["map"])
    return path


@pytest.mark.parametrize(
    ("size", "erf", "stride", "verdict"),
    [
        (32.0, 48.0, [16.0, 16.0], "holds"),
        (32.0, 47.9, [16.0, 16.0], "small field"),
        (32.0, 90.0, [16.0, 17.0], "coarse grid"),
        (32.0, 90.0, [16.0, None], "coarse grid"),
        (101.0, 500.0, [1.0, 1.0], "outside input"),
        (100.0, 500.0, [1.0, 1.0], "holds"),
        (1.0, None, [1.0, 1.0], "small field"),
    ],
)
def test_verdicts(size: float, erf: float | None, stride: list[float | None], verdict: str) -> None:
    assert at_level(size, erf, stride, [120, 100]).verdict == verdict
