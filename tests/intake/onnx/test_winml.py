"""Operators of WinML's day, judged by onnxruntime; patches added up along any number of axes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

from erfscope_contract.request import ErfRequest
from erfscope_intake.answer import Sources, answer

Make = Callable[..., ModelProto]
Save = Callable[[ModelProto], Path]
node = helper.make_node
RNG = np.random.default_rng(8)
IMAGE = RNG.standard_normal((1, 3, 12, 16)).astype(np.float32)

WINML: dict[str, tuple[str, dict[str, Any]]] = {
    "pixels scaled, a bias for each channel": ("ImageScaler", {"bias": [1.0, -2.0, 3.0], "scale": 0.5}),
    "a border cut off": ("Crop", {"border": [1, 2, 3, 4]}),
    "a part of the image": ("Crop", {"border": [1, 2, 0, 0], "scale": [5, 4]}),
    "affine": ("Affine", {"alpha": 2.0, "beta": 3.0}),
    "scale": ("Scale", {"scale": 2.5}),
    "scaled tanh": ("ScaledTanh", {"alpha": 2.0, "beta": 0.5}),
    "parametric softplus": ("ParametricSoftplus", {"alpha": 2.0, "beta": 0.5}),
}


@pytest.mark.parametrize("name", WINML)
def test_operators_of_winml(name: str, make: Make, evaluate: Any, reference: Any) -> None:
    operator, attributes = WINML[name]
    model = make([node(operator, ["x"], ["y"], **attributes)], {"x": [1, 3, 12, 16]}, ["y"], opset=7)
    (theirs,) = reference(model, {"x": IMAGE})
    for follow in ([], ["x"]):
        (ours,) = evaluate(model, {"x": IMAGE}, follow=follow)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)


def test_a_network_as_winml_wrote_it(make: Make, saved: Save) -> None:
    """The unit's centre counts the pixels that are cut off in front."""
    kernel = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [node("ImageScaler", ["x"], ["s"], bias=[0.1, 0.2, 0.3], scale=2.0),
             node("Conv", ["s", "w"], ["c"]), node("Crop", ["c"], ["y"], border=[4, 2, 0, 0])]  # fmt: skip
    path = saved(make(nodes, {"x": [None, None, 24, 24]}, ["y"], {"w": kernel}, opset=8))
    request = ErfRequest.model_validate({"average": {"inputs": 1}, "target": {"unit": [0, 0]}})
    result = answer(request, Sources(model=path), device="cpu").result
    assert (result.input_shape, result.layer.name) == ([3, 24, 24], "y")
    assert result.trf.box == [(2, 5), (4, 7)]


PATCHES: dict[str, tuple[Sequence[int], Sequence[int], dict[str, Any]]] = {
    "a signal": ([12], [4], {"strides": [2]}),
    "a signal, padded": ([9], [3], {"strides": [3], "pads": [1, 2]}),
    "an image, padded unevenly": ([6, 7], [2, 3], {"pads": [0, 1, 1, 2]}),
    "a volume": ([4, 5, 6], [2, 3, 2], {"dilations": [1, 1, 2], "pads": [1, 0, 0, 0, 1, 1]}),
    "a stride that leaves pixels out": ([11], [3], {"strides": [3]}),
}


@pytest.mark.parametrize("name", PATCHES)
def test_patches_are_added_up_along_any_number_of_axes(name: str, make: Make, evaluate: Any) -> None:
    """By brute force: onnxruntime 1.32 is wrong for dilated patches of a volume."""
    size, block, attributes = PATCHES[name]
    rank = len(size)
    strides, dilations = attributes.get("strides", [1] * rank), attributes.get("dilations", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    places = [(n + pads[k] + pads[rank + k] - dilations[k] * (block[k] - 1) - 1) // strides[k] + 1
              for k, n in enumerate(size)]  # fmt: skip
    x = RNG.standard_normal((2, 2 * int(np.prod(block)), int(np.prod(places)))).astype(np.float32)
    expected, rows = np.zeros((2, 2, *size)), x.reshape(2, 2, *block, *places)
    for tap in np.ndindex(*block):
        for place in np.ndindex(*places):
            at = tuple(place[k] * strides[k] - pads[k] + tap[k] * dilations[k] for k in range(rank))
            if all(0 <= i < n for i, n in zip(at, size, strict=True)):
                expected[(..., *at)] += rows[(..., *tap, *place)]
    model = make([node("Col2Im", ["x", "size", "block"], ["y"], **attributes)], {"x": x.shape}, ["y"],
                 {"size": np.array(size), "block": np.array(block)}, opset=18)  # fmt: skip
    for follow in ([], ["x"]):
        (ours,) = evaluate(model, {"x": x}, follow=follow)
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5, atol=1e-5)
