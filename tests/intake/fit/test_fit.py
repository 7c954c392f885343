"""Fit: heads and levels are found where a person would point, measured as `measure` does, and judged by size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.intake.tiles.networks import Pyramid, UNet, exported
from torch import Tensor, nn

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.fit import Fit, FitRequest
from erfscope_contract.presets import preset
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions, ModelRef, Weights
from erfscope_intake.advice import advise
from erfscope_intake.answer import Sources, answer
from erfscope_intake.fit import fit
from erfscope_intake.levels import levels_of
from erfscope_intake.outputs import surveyed
from erfscope_intake.sizes import SizedModel

PYRAMID = Path(__file__).parents[3] / "examples/pyramid.json"
STORED = {"sha256": "0" * 64}
CONV = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}


class OneMask(UNet):
    """Of its outputs the mask alone."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x)[0]


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


def test_a_spec_has_a_head_for_each_layer_that_no_layer_takes() -> None:
    """examples/pyramid.json: three heads of a detector decide, each for its own range of sizes."""
    pyramid = json.loads(PYRAMID.read_text())
    asked = {"model": {"architecture": pyramid}, "objects": [12, 40, 130, 148], "samples": 8}
    answer = fit(FitRequest.model_validate(asked))
    heads = {level.name: level.stride for level in answer.levels if level.role == "head"}
    assert heads == {"small": [8, 8], "medium": [16, 16], "large": [32, 32]}
    assert answer.deciding == list(heads)
    assert [one.best for one in answer.objects] == [None, "small", "medium", "large"]
    alone = {**pyramid, "layers": [one for one in pyramid["layers"] if one.get("name") not in ("small", "medium")]}
    names = {level.name for level in fit(FitRequest.model_validate({**asked, "model": {"architecture": alone}})).levels}
    assert {"large", "p3"} <= names, "the merged map is an output where no head takes it"


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
            if (level.erf_size or 0) - 2 * (level.stderr or 0) >= 1.5 * one.size and one.size >= 2 * level.stride[0]
        }
        assert set(one.held_by) == holding


def test_drawn_weights_are_averaged_over_as_advice_does(tmp_path: Path) -> None:
    """Inputs alone would say nothing of how far one draw lies from another."""
    path = exported(Pyramid(), (3, 64, 64), tmp_path / "net.onnx", ["boxes"])
    shape = {"shape": [3, 64, 64]}
    result = ask(path, objects=[8], input=shape, samples=3, weights="kaiming_normal")
    for level in [one for one in result.levels if one.role == "head"]:
        asked = {"target": {"layer": level.name}, "average": {"inputs": 1, "weights": 3}, "input": shape}
        alone = answer(ErfRequest.model_validate({**asked, "weights": "kaiming_normal"}), Sources(path)).result
        assert (level.erf_size, level.stderr) == (alone.erf.size, alone.stderr["erf_size"])
        question = {
            "model": STORED,
            "want": 2,
            "samples": 3,
            "input": shape,
            "weights": "kaiming_normal",
            "layer": level.name,
        }
        assert advise(AdviceRequest.model_validate(question), path).erf_measured == level.erf_size


def test_a_spec_s_weights_are_drawn() -> None:
    spec = {"name": "one", "input": {"channels": 1, "size": [24, 24]}, "layers": [CONV, {"type": "relu"}, CONV]}
    (level,) = fit(FitRequest.model_validate({"model": {"architecture": spec}, "objects": [2], "samples": 3})).levels
    asked = {"model": {"architecture": spec}, "target": {"layer": level.name}, "average": {"inputs": 1, "weights": 3}}
    assert level.erf_size == answer(ErfRequest.model_validate(asked), Sources()).result.erf.size


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
    about = result.about
    assert about is not None
    assert (about.model, about.inputs, about.draws, about.seed) == ("0" * 64, 2, 1, 0)


def test_a_size_that_the_file_leaves_free_names_the_option(tmp_path: Path) -> None:
    path = exported(Pyramid(), (3, 64, 64), tmp_path / "net.onnx", ["boxes"])
    result = ask(path, objects=[8])
    assert result.input_shape == [3, 224, 224]
    told = "does not fix the size of the input along each axis; 224 px are taken. Fields end at the border"
    assert any(told in note for note in result.notes)


def test_levels_with_holes_in_their_maps_are_named() -> None:
    dilated = {**CONV, "dilation": 2, "padding": 2}
    spec = {"input": {"channels": 3, "size": [48, 48]}, "layers": [dilated, dilated, dilated]}
    asked = {"model": {"architecture": spec}, "objects": [4], "samples": 2}
    notes = fit(FitRequest.model_validate(asked)).notes
    assert any("Gridded (lattice above 0.1): conv_2. A unit there sees some pixels much better" in one for one in notes)
    even = fit(FitRequest.model_validate({**asked, "model": {"architecture": {**spec, "layers": [CONV] * 3}}}))
    assert not any("Gridded" in note for note in even.notes)


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


class Gathered(nn.Module):
    """A mask beside pixels of the input that are picked for it, as in a network that was made to be proven."""

    def __init__(self) -> None:
        super().__init__()
        self.pick, self.mask = nn.AvgPool2d(2), nn.Conv2d(3, 2, 3, stride=4, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.mask(x), self.pick(x).sum()


def test_what_has_no_weights_before_it_is_no_level(tmp_path: Path) -> None:
    path = exported(Gathered(), (3, 32, 32), tmp_path / "net.onnx", ["mask", "sum"])
    result = ask(path, objects=[4], input={"shape": [3, 32, 32]})
    assert [level.name for level in result.levels] == ["mask"]
    notes = "".join(result.notes)
    assert "Passed over, for no weights lie between the input and it: /pick/AveragePool_output_0" in notes


def test_a_network_without_weights_has_levels(tmp_path: Path) -> None:
    path = exported(nn.Sequential(nn.AvgPool2d(2), nn.AvgPool2d(2)), (3, 32, 32), tmp_path / "net.onnx", ["map"])
    result = ask(path, objects=[4], input={"shape": [3, 32, 32]})
    assert [level.stride for level in result.levels] == [[2, 2], [4, 4]]
    assert not any("Passed over" in note for note in result.notes)


def test_a_u_net_s_only_head_decides(tmp_path: Path) -> None:
    path = exported(OneMask(), (3, 64, 64), tmp_path / "net.onnx", ["mask"])
    result = ask(path, objects=[14], input={"shape": [3, 64, 64]}, samples=8, weights="kaiming_normal")
    assert result.deciding == ["mask"]
    named = [level.name for level in result.levels if level.role == "level"]
    assert ask(path, objects=[14], layers=[named[-1]], input={"shape": [3, 64, 64]}).deciding == []
    assert ask(path, objects=[14], layers=["mask"], input={"shape": [3, 64, 64]}).deciding == ["mask"]


def test_a_size_that_is_hardly_known_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    asked: dict[str, Any] = {"objects": [4], "input": {"shape": [3, 64, 64]}, "weights": "kaiming_normal"}
    assert not any("is known to ±" in note for note in ask(path, **asked).notes)
    monkeypatch.setattr("erfscope_engine.map_notes.UNCERTAIN", 0.01)
    result = ask(path, **asked)
    badly = [one.name for one in result.levels if one.erf_size and (one.stderr or 0) > 0.01 * one.erf_size]
    assert badly
    (note,) = [one for one in result.notes if "is known to ±" in one]
    assert f"size of {', '.join(badly)} is known" in note
    assert "Take more samples" in note


def test_a_peaked_level_is_noted_by_name_with_the_number_to_read() -> None:
    """A 1×1 path beside a wide one of small weights: the head's ERF is its peak alone."""
    wide = {**CONV, "name": "wide", "kernel_size": 31, "padding": 15}
    skip = {**CONV, "name": "skip", "kernel_size": 1, "padding": 0, "init": {"scheme": "normal", "std": 40}}
    layers = [wide, {**skip, "inputs": ["input"]}, {"type": "add", "name": "sum", "inputs": ["wide", "skip"]}]
    spec = {
        "name": "peaked",
        "input": {"channels": 1, "size": [64, 64]},
        "init": {"scheme": "normal", "std": 1},
        "layers": layers,
    }
    answer = fit(
        FitRequest.model_validate({"model": {"architecture": spec}, "objects": [4], "samples": 4, "layers": ["sum"]})
    )
    (level,) = answer.levels
    assert level.erf_size == 1 < (level.mass_50_side or 0)
    assert any(note.startswith("Peaked (") and ": sum: " in note for note in answer.notes)


def test_a_field_that_fills_the_input_is_a_bound() -> None:
    wide = {**CONV, "kernel_size": 7, "padding": 3}
    spec = {"name": "wide", "input": {"channels": 1, "size": [8, 8]}, "layers": [wide] * 6}
    asked = {"model": {"architecture": spec}, "objects": [4, 7], "samples": 2}
    (level,) = fit(FitRequest.model_validate(asked)).levels
    assert (level.limited, [one.verdict for one in level.objects]) == (True, ["holds", "unsure"])
    roomy = fit(FitRequest.model_validate({**asked, "input": {"shape": [1, 64, 64]}})).levels[0]
    assert (roomy.limited, [one.verdict for one in roomy.objects]) == (False, ["holds", "holds"])


def test_progress_counts_the_levels(tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    asked = FitRequest.model_validate({"model": STORED, "samples": 2, "objects": [8]})
    path = exported(UNet(), (3, 64, 64), tmp_path / "net.onnx", ["mask", "coarse"])
    found = fit(asked, path, lambda stage, share: heard.append((stage, share)))
    count = len(found.levels)
    counted = [stage for stage, _ in heard if stage.startswith("measure")]
    assert list(dict.fromkeys(counted)) == [f"measure {n} of {count}" for n in range(1, count + 1)]
    assert counted.count(counted[-1]) > 1, "heard within a level as well"
