"""Recurrent layers are unrolled only for what needs them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, helper

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_contract.result import ErfResult
from erfscope_intake.answer import Sources, answer, inspect_model
from erfscope_intake.converters import TABLE, Node
from erfscope_intake.converters.recurrent import stand_in
from erfscope_intake.onnx_graph import all_steps
from erfscope_intake.onnx_model import open_onnx

Make = Callable[..., ModelProto]
Save = Callable[[ModelProto], Path]
node = helper.make_node
CPU = torch.device("cpu")
RNG = np.random.default_rng(5)
WEIGHTS = {
    name: (RNG.standard_normal(shape) / 4).astype(np.float32)
    for name, shape in {"w": (8, 1, 16), "wl": (1, 24, 8), "rl": (1, 24, 6), "dense": (6, 3)}.items()
} | {"zero": np.array([0]), "one": np.array([1])}
FRONT = [node("Conv", ["x", "w"], ["a"], strides=[4], name="conv"), node("Transpose", ["a"], ["t"], perm=[2, 0, 1])]
LAST_STATE = [node("LSTM", ["t", "wl", "rl"], ["", "h"], hidden_size=6, name="lstm"),
              node("Squeeze", ["h", "zero"], ["s"]), node("MatMul", ["s", "dense"], ["y"])]  # fmt: skip
EVERY_STATE = [node("LSTM", ["t", "wl", "rl"], ["h"], hidden_size=6, name="lstm"),
               node("Squeeze", ["h", "one"], ["s"]), node("Transpose", ["s"], ["y"], perm=[1, 2, 0])]  # fmt: skip


def measured(path: Path, layer: str = "auto") -> ErfResult:
    request = ErfRequest.model_validate({"average": {"inputs": 2}, "target": {"layer": layer}})
    return answer(request, Sources(model=path), device="cpu").result


def operators(path: Path, layer: str | None) -> set[str]:
    """What is built for a layer."""
    opened = open_onnx(path, InputOptions(), dtype=torch.float32, device=CPU, layer=layer)
    return {step.node.operator for step in all_steps(opened.program)}


def test_recurrent_layers_behind_the_target_are_not_unrolled(make: Make, saved: Save) -> None:
    path = saved(make([*FRONT, *LAST_STATE], {"x": [1, 1, 160]}, ["y"], WEIGHTS))
    assert operators(path, None) == {"Conv", "Transpose", "LSTM", "Squeeze", "MatMul"}
    assert operators(path, "auto") == {"Conv", "Transpose"}
    assert operators(path, "conv") == {"Conv"}
    by_auto, by_name = measured(path), measured(path, "t")
    assert (by_auto.layer.name, by_auto.erf, by_auto.trf) == ("t", by_name.erf, by_name.trf)
    (note,) = by_auto.provenance.notes
    assert note == "LSTM (node 'lstm') is recurrent; auto takes nothing behind, so that is left out."
    assert by_name.provenance.notes == []


def test_what_auto_takes_behind_a_recurrent_layer_is_measured(make: Make, saved: Save) -> None:
    path = saved(make([*FRONT, *EVERY_STATE], {"x": [1, 1, 160]}, ["y"], WEIGHTS))
    assert "LSTM" in operators(path, "auto")
    result = measured(path)
    assert (result.layer.name, result.trf.box) == ("y", [(0, 18 * 4 + 16)])  # unit 18 of 37 reads steps 0 … 18
    assert any("LSTM (node 'lstm') is recurrent" in note for note in result.provenance.notes)


def test_a_sequence_that_is_too_long_refuses_only_what_is_behind(make: Make, saved: Save) -> None:
    path = saved(make([*FRONT, *EVERY_STATE], {"x": [1, 1, 10_000]}, ["y"], WEIGHTS))
    assert measured(path).layer.name == "t"
    assert [row.name for row in inspect_model(path, InputOptions()).layers] == ["a", "t"]
    with pytest.raises(ProblemError, match=r"2497 steps.* name a layer before it") as caught:
        measured(path, "y")
    assert (caught.value.kind, caught.value.problem.context["node"]) == ("model-too-complex", "lstm")


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("operator", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_stand_ins_have_the_shapes_and_read_the_steps(operator: str, gates: int, direction: str, layout: int) -> None:
    ways = 2 if direction == "bidirectional" else 1
    attributes: dict[str, Any] = {"direction": direction, "layout": layout, "hidden_size": 3}
    row = TABLE["", operator]
    w, r = torch.rand(ways, gates * 3, 4), torch.rand(ways, gates * 3, 3)
    x = torch.rand((2, 5, 4) if layout else (5, 2, 4), requires_grad=True)
    real, stood_in = (run(Node(operator, 22, attributes), x, w, r) for run in (row.function, stand_in))
    assert [one.shape for one in stood_in] == [one.shape for one in real]
    for one, other in zip(real, stood_in, strict=True):
        middle = one.shape[1 if layout else 0] // 2
        assert _reads(one, x, middle, layout) == _reads(other, x, middle, layout)


def _reads(y: torch.Tensor, x: torch.Tensor, step: int, layout: int) -> list[bool]:
    """Which steps of `x` one step of `y` depends on."""
    (gradient,) = torch.autograd.grad(y.select(1 if layout else 0, step).sum(), x, retain_graph=True)
    return [bool(part.any()) for part in gradient.unbind(1 if layout else 0)]
