"""Advice on specs and ONNX models, start to end."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from erfscope_contract.advice import Advice, AdviceRequest, Interrupted
from erfscope_contract.architecture import Architecture
from erfscope_contract.holding import HOLD
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_intake.advice import advise
from erfscope_intake.advice.onnx_convolutions import convolutions, dilate
from erfscope_intake.answer import Sources, answer
from erfscope_intake.onnx_audit import read_model

CONV = {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": 1, "bias": False}
SPEC: dict[str, Any] = {
    "name": "small", "init": "kaiming_normal", "input": {"channels": 3, "size": [48, 48]},
    "layers": [*[CONV, {"type": "relu"}] * 3, {**CONV, "kernel_size": 1, "padding": 0}],
}  # fmt: skip


@pytest.fixture(scope="module")
def advice() -> Advice:
    torch.set_num_threads(1)
    asked = {"model": {"architecture": SPEC}, "want": 12, "verify": 4, "samples": 24}
    return advise(AdviceRequest.model_validate(asked))


def test_the_profile_says_what_each_layer_adds(advice: Advice) -> None:
    assert [row.trf_size for row in advice.layers] == [[3, 3], [3, 3], [5, 5], [5, 5], [7, 7], [7, 7], [7, 7]]
    convs = [row for row in advice.layers if row.operator == "conv"]
    assert [row.adds for row in convs[:2]] == pytest.approx([2.0, 2.0])
    assert advice.layers[-1].adds == pytest.approx(0, abs=1e-9)
    assert not any(row.idle for row in advice.layers), "a 1×1 convolution is not meant to add anything"
    assert advice.erf_analytic == convs[-1].erf_size
    assert advice.erf_measured == pytest.approx(advice.erf_analytic, abs=5 * max(advice.stderr or 0, 0.05))
    assert not advice.reaches
    weights = 9 * (3 * 8 + 8 * 8 + 8 * 8) + 64
    assert advice.parameters == weights
    assert advice.macs == weights * 48 * 48


def test_a_network_with_gaps_is_not_called_peaked() -> None:
    """Gaps make its ERF smaller than the box with half of the mass as well; the note on the gridding says so."""
    layers = [{**CONV, "dilation": 2, "padding": "same"}, {"type": "relu"}] * 3
    asked = {"model": {"architecture": {**SPEC, "layers": layers}}, "want": 15, "verify": 1, "samples": 8}
    result = advise(AdviceRequest.model_validate(asked))
    assert (result.erf_measured or 0) < (result.mass_50_side or 0)
    assert not [note for note in result.notes if note.startswith("Peaked") and "as it is" in note]
    assert any(note.startswith("The map is gridded") for note in result.notes)


def test_every_change_is_measured_and_says_what_it_costs(advice: Advice) -> None:
    changes = [change for change in advice.changes if change.kind != "input_scale"]
    assert 2 <= len(changes) <= 4
    for change in changes:
        assert change.stderr is not None
        assert change.erf_measured == pytest.approx(change.erf_analytic, rel=0.25)
        assert change.reaches
        assert (change.lattice or 0) <= 0.5
        assert change.added_memory >= 0
    assert len({change.kind for change in advice.changes}) > 1
    free = next(change for change in advice.changes if change.kind == "dilation")
    assert (free.added_macs, free.added_parameters, free.weights_kept, free.train_anew) == (0, 0, 1.0, [])
    assert any(change.pareto for change in advice.changes)


def test_the_first_three_have_their_maps(advice: Advice) -> None:
    assert advice.picture is not None
    assert max(map(max, advice.picture.cells)) == 255
    assert (len(advice.picture.cells), advice.picture.pixels) == (48, [1, 1])
    assert [change.picture is not None for change in advice.changes] == [True] * 3 + [False] * (len(advice.changes) - 3)


def test_a_changed_spec_is_what_it_says(advice: Advice) -> None:
    """Measured anew from the returned spec, the expected size and the TRF are those of the advice."""
    for change in advice.changes[:2]:
        assert isinstance(change.architecture, Architecture)
        request = ErfRequest.model_validate({
            "model": {"architecture": change.architecture.model_dump(mode="json")}, "method": "analytic",
            "input": {"shape": advice.input_shape},
        })  # fmt: skip
        again = answer(request, Sources(), device="cpu").result
        assert again.erf.size == pytest.approx(change.erf_analytic, rel=1e-6)
        assert again.trf.size == change.trf_size


def test_an_object_asks_for_a_larger_field() -> None:
    asked = {"model": {"architecture": SPEC}, "object_size": 10, "verify": 0, "latency": True}
    told = advise(AdviceRequest.model_validate(asked))
    assert (told.object_size, told.want) == (10, 10 * HOLD)
    assert any("is 1.5 times the object" in note for note in told.notes)
    assert told.ms is not None
    assert told.ms > 0
    with pytest.raises(ValueError, match="exactly one"):
        AdviceRequest.model_validate({**asked, "want": 12})


def test_a_layer_that_adds_nothing_is_named() -> None:
    """Behind a wide dilation that is averaged away nothing more is won: sizes by analysis alone, nothing verified."""
    wide = {**CONV, "kernel_size": 25, "padding": 12}
    asked = {"model": {"architecture": {**SPEC, "layers": [wide, wide, CONV]}}, "want": 5, "verify": 0}
    found = advise(AdviceRequest.model_validate(asked))
    assert [row.name for row in found.layers if row.idle] == ["conv_2"]
    assert found.reaches
    assert found.changes == []
    assert found.erf_measured is None


def test_equal_layers_of_a_line_add_about_the_same() -> None:
    """Sizes of a line are whole pixels, so a count of them stays and jumps by 2 in turn."""
    line = {**SPEC, "input": {"channels": 1, "size": [101]}, "layers": [{**CONV, "out_channels": 1}] * 24}
    found = advise(AdviceRequest.model_validate({"model": {"architecture": line}, "want": 20, "verify": 0}))
    adds = [row.adds for row in found.layers if row.adds is not None]
    assert not any(row.idle for row in found.layers)
    assert adds[:3] == pytest.approx([2.0] * 3)
    assert min(adds[12:]) > 0.6 * max(adds[12:])


def test_the_coarsest_level_and_what_was_measured_are_named() -> None:
    down, up = {**CONV, "stride": 2}, {"type": "upsample", "scale_factor": 2}
    layers = [CONV, down, {"type": "relu"}, up, CONV]
    stages: list[str] = []
    asked = {"model": {"architecture": {**SPEC, "layers": layers}}, "want": 30, "verify": 0, "seed": 5}
    found = advise(AdviceRequest.model_validate(asked), progress=lambda stage, share: stages.append(stage))
    assert found.coarsest == "relu_2"
    assert {f"search {n} tried" for n in range(1, found.tried + 1)} <= set(stages), "told after each change"
    assert found.about is not None
    assert (found.about.model, found.about.inputs, found.about.seed) == ("small", None, 5)
    plain = advise(AdviceRequest.model_validate({**asked, "model": {"architecture": SPEC}}))
    assert plain.coarsest is None


def test_an_input_that_is_made_larger_is_said() -> None:
    asked = {"model": {"architecture": SPEC}, "want": 12, "verify": 0}
    large = advise(AdviceRequest.model_validate(asked))
    assert large.input_shape == [3, 48, 48]
    assert not any("larger than the spec's own" in note for note in large.notes)
    small = {**SPEC, "input": {"channels": 3, "size": [21, 21]}}
    found = advise(AdviceRequest.model_validate({**asked, "model": {"architecture": small}}))
    assert found.input_shape == [3, 32, 32]
    assert any("32×32 here, larger than the spec's own 21×21" in note for note in found.notes)


def test_what_cannot_be_reached_says_so() -> None:
    asked = {"model": {"architecture": {**SPEC, "layers": [{**CONV, "padding": "valid"}]}}, "want": 400, "verify": 0}
    found = advise(AdviceRequest.model_validate(asked))
    assert not any(change.reaches for change in found.changes)
    assert any("No change reaches" in note for note in found.notes)


def test_a_network_that_may_be_large_enough_has_its_changes_as_well() -> None:
    """Of 6.93 ± 0.08 px."""
    asked = {"model": {"architecture": SPEC}, "want": 7, "verify": 1, "samples": 4}
    found = advise(AdviceRequest.model_validate(asked))
    assert (found.reaches, found.is_unsure, len(found.changes)) == (True, True, 2)
    sure = advise(AdviceRequest.model_validate({**asked, "want": 6.9}))
    assert (sure.reaches, sure.is_unsure, sure.changes) == (True, False, [])


def test_attention_is_refused_by_name() -> None:
    layers = [CONV, {"type": "attention", "num_heads": 2}]
    asked = {"model": {"architecture": {**SPEC, "layers": layers}}, "want": 20}
    with pytest.raises(ProblemError, match="attention_1") as error:
        advise(AdviceRequest.model_validate(asked))
    assert error.value.kind == "unsupported-feature"


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """Three convolutions 3×3 with ReLUs between; the last one pads by SAME."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for n in range(3):
        shape = (6, 3 if n == 0 else 6, 3, 3)
        weights.append(numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), f"w{n}"))
        padding: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if n == 2 else {"pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [f"y{n - 1}" if n else "x", f"w{n}"], [f"c{n}"], f"/conv{n}", **padding))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"y{n}"], f"/relu{n}"))
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 41, 41])],
        [helper.make_tensor_value_info("y2", TensorProto.FLOAT, [1, 6, 41, 41])],
        weights,
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_model_is_dilated_with_its_own_weights(onnx_file: Path) -> None:
    asked = {"model": {"sha256": "0" * 64}, "want": 10, "verify": 1, "samples": 32}
    found = advise(AdviceRequest.model_validate(asked), onnx_file)
    assert found.trf_size == [7, 7]
    best = found.changes[0]
    assert best.kind == "dilation"
    assert best.architecture is None
    assert best.layer_shape == found.layer_shape == [6, 41, 41]
    assert (best.added_macs, best.added_parameters, best.weights_kept) == (0, 0, 1.0)
    assert best.erf_measured == pytest.approx(best.erf_analytic, rel=0.3)
    assert all(edit.layer in ("c0", "c1", "c2") for edit in best.edits)
    assert any("keep its weights" in note for note in found.notes)


def test_only_what_a_named_layer_is_computed_from_is_changed(onnx_file: Path) -> None:
    """By the names of `layers`; a node's name means its tensor, also where a block is put behind it."""
    for name in ("y1", "/relu1"):
        asked = {"model": {"sha256": "0" * 64}, "want": 14, "samples": 4, "verify": 6, "layer": name}
        found = advise(AdviceRequest.model_validate(asked), onnx_file)
        assert found.layer == "y1"
        assert {edit.layer for change in found.changes for edit in change.edits} <= {
            "c0",
            "c1",
            "large_kernel",
            "input",
        }
        assert {change.kind for change in found.changes} >= {"dilation", "large_kernel"}
        assert all(change.size > (found.erf_measured or 0) for change in found.changes)


def test_a_layer_within_the_network_has_the_head_behind_it_named(onnx_file: Path) -> None:
    heads = {}
    for name in ("y1", "auto"):
        asked = {"model": {"sha256": "0" * 64}, "want": 10, "verify": 0, "layer": name}
        heads[name] = advise(AdviceRequest.model_validate(asked), onnx_file)
    assert heads["y1"].head == heads["auto"].layer
    assert heads["auto"].head is None


def test_changes_that_vanish_are_counted_and_random_weights_are_told(onnx_file: Path) -> None:
    asked = {"model": {"sha256": "0" * 64}, "want": 14, "samples": 4, "verify": 20, "weights": "kaiming_normal"}
    found = advise(AdviceRequest.model_validate(asked), onnx_file)
    (note,) = [note for note in found.notes if "were tried by their expected size" in note]
    assert note.startswith(f"{found.tried} changes were tried")
    assert len(found.changes) < 20
    assert any("before training" in note for note in found.notes)
    sides = [found.mass_50_side, *(one.mass_50_side for one in found.changes)]
    assert all((side or 0) > 0 for side in sides)


def test_the_method_s_assumptions_are_said_once_where_sizes_are_expected(onnx_file: Path) -> None:
    notes = {}
    for verify in (0, 1):
        asked = {"model": {"sha256": "0" * 64}, "want": 10, "samples": 4, "verify": verify}
        notes[verify] = advise(AdviceRequest.model_validate(asked), onnx_file).notes
    assert [sum("analytic" in note.lower() for note in notes[verify]) for verify in (0, 1)] == [1, 0]


@pytest.mark.parametrize("want", [9, 16, 30, 200])
def test_no_change_is_worse_than_none(onnx_file: Path, want: float) -> None:
    asked = {"model": {"sha256": "0" * 64}, "want": want, "verify": 0}
    found = advise(AdviceRequest.model_validate(asked), onnx_file)
    assert all((change.erf_analytic or 0) > (found.erf_analytic or 0) for change in found.changes)


def test_dilating_keeps_sizes_and_weights(onnx_file: Path) -> None:
    model = read_model(onnx_file).proto
    assert [conv.label for conv in convolutions(model)] == ["c0", "c1", "c2"]
    dilate(model, {"c1": [3, 2], "c2": [2, 2]})
    first, second, third = (node for node in model.graph.node if node.op_type == "Conv")
    assert not [a for a in first.attribute if a.name == "dilations"]
    found = {a.name: list(a.ints) for a in second.attribute}
    assert (found["dilations"], found["pads"]) == ([3, 2], [3, 2, 3, 2])
    assert {a.name for a in third.attribute} == {"auto_pad", "dilations"}
    assert onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[2].dim_value == 41


def test_an_interruption_gives_what_was_measured() -> None:
    """After the second change: those that were measured are in the answer, and a note counts them."""

    def interrupt(stage: str, share: float) -> None:
        if stage == "verify 3 of 4":
            raise KeyboardInterrupt

    asked = AdviceRequest.model_validate({"model": {"architecture": SPEC}, "want": 12, "verify": 4})
    with pytest.raises(Interrupted) as stopped:
        advise(asked, None, interrupt)
    answer = stopped.value.answer
    assert answer.notes[0] == "interrupted: 2 of 4 changes measured; sizes of the others are expected ones."
    assert sum(change.input_parts is None for change in answer.changes) <= 4
    assert sum(change.erf_measured is not None for change in answer.changes) == 2


@pytest.mark.parametrize(
    ("at", "note", "is_measured", "lists"),
    [
        ("measure", "interrupted before the network was measured: its ERF is the expected one.", False, False),
        ("search 1 tried", "interrupted: 0 of 4 changes measured.", True, False),
        ("verify 1 of 4", "interrupted: 0 of 4 changes measured; sizes of the others are expected ones.", True, True),
        ("profile", "interrupted: only what each layer adds is missing.", True, True),
    ],
)
def test_an_interruption_at_any_stage_gives_what_is_known(at: str, note: str, is_measured: bool, lists: bool) -> None:
    def interrupt(stage: str, share: float) -> None:
        if stage == at:
            raise KeyboardInterrupt

    asked = AdviceRequest.model_validate({"model": {"architecture": SPEC}, "want": 12, "verify": 4})
    with pytest.raises(Interrupted) as stopped:
        advise(asked, None, interrupt)
    answer = stopped.value.answer
    assert answer.notes[0] == note
    assert (answer.erf_measured is not None, bool(answer.changes)) == (is_measured, lists)
    assert (answer.trf_size, answer.layers) == ([7, 7], [])
    assert answer.erf_analytic
    assert sum(change.input_parts is None for change in answer.changes) <= 4


def test_an_interruption_before_anything_is_known_is_one() -> None:
    def interrupt(stage: str, share: float) -> None:
        if stage == "trace":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        advise(AdviceRequest.model_validate({"model": {"architecture": SPEC}, "want": 12}), None, interrupt)
    assert not isinstance(stopped.value, Interrupted)
