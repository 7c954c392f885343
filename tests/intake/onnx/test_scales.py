"""Networks that answer at several scales: the note names the one that is measured, and it is that one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_intake.answer import Sources, answer

Make = Callable[..., ModelProto]
Save = Callable[[ModelProto], Path]
node = helper.make_node
RNG = np.random.default_rng(2)
IMAGE = {"x": [1, 3, 32, 32]}


def draw(*shape: int) -> Any:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


WEIGHTS = {"w": draw(8, 3, 3, 3), "v": draw(8, 8, 3, 3), "boxes": draw(4, 8, 1, 1), "classes": draw(5, 8, 1, 1),
           "row": np.array([0, 9, -1]), "four": np.array([4, 5])}  # fmt: skip


def conv(source: str, weight: str, target: str, stride: int = 1) -> Any:
    pads = [1 if weight in "wv" else 0] * 4
    return node("Conv", [source, weight], [target], strides=[stride] * 2, pads=pads)


def heads(scale: str, source: str) -> list[Any]:
    """Boxes and classes of one scale, on each other."""
    return [conv(source, "boxes", f"{scale}b"), conv(source, "classes", f"{scale}c"),
            node("Concat", [f"{scale}b", f"{scale}c"], [scale], axis=1)]  # fmt: skip


DETECTOR = [conv("x", "w", "a", 2), conv("a", "v", "b", 2), *heads("p3", "a"), *heads("p4", "b")]
# As detectors end: the scales in one row, classes through a sigmoid, boxes and classes on each other again.
ROW = [node("Reshape", ["p3", "row"], ["r3"]), node("Reshape", ["p4", "row"], ["r4"]),
       node("Concat", ["r3", "r4"], ["all"], axis=2), node("Split", ["all", "four"], ["box", "logit"], axis=1),
       node("Sigmoid", ["logit"], ["class"]), node("Concat", ["box", "class"], ["out"], axis=1),
       node("Transpose", ["out"], ["y"], perm=[0, 2, 1])]  # fmt: skip


def measured(path: Path, layer: str = "auto") -> ErfResult:
    request = ErfRequest.model_validate({"average": {"inputs": 1}, "target": {"layer": layer}})
    return answer(request, Sources(model=path), device="cpu").result


def test_of_several_outputs_the_one_that_auto_took_is_named(make: Make, saved: Save) -> None:
    path = saved(make(DETECTOR, IMAGE, ["p3", "p4"], WEIGHTS))
    result = measured(path)
    assert (result.layer.name, result.trf.size) == ("p4", [7, 7])
    assert result.provenance.notes == [
        "The network answers at several scales: 'p3' [9, 16, 16] and 'p4' [9, 8, 8]; auto took 'p4'. Name another to "
        "measure that."
    ]
    assert measured(path, "p3").provenance.notes == []  # what was asked for by name needs no note


def test_of_scales_in_one_row_the_one_of_the_unit_is_named(make: Make, saved: Save) -> None:
    path = saved(make([*DETECTOR, *ROW], IMAGE, ["y"], WEIGHTS))
    for layer in ("auto", "all"):
        result = measured(path, layer)
        (note,) = result.provenance.notes
        assert note.startswith(
            f"Layer {result.layer.name!r} joins maps of several scales: 'p3' [9, 16, 16] and 'p4' [9, "
        )
        assert "the unit is counted on that of 'p3'" in note
        assert (result.trf.size, result.trf.center) == ([3, 3], measured(path, "p3").trf.center)


def test_maps_of_one_scale_on_each_other_are_no_scales(make: Make, saved: Save) -> None:
    nodes = [conv("x", "w", "a"), conv("a", "v", "b"), node("Concat", ["a", "b"], ["c"], axis=1),
             node("Flatten", ["c"], ["f"], axis=2), node("Reshape", ["a", "flat"], ["g"]),
             node("Reshape", ["b", "flat"], ["h"]), node("Concat", ["g", "h"], ["y"], axis=1)]  # fmt: skip
    path = saved(make(nodes, IMAGE, ["y"], {**WEIGHTS, "flat": np.array([0, 8, -1])}))
    assert measured(path).provenance.notes == []
