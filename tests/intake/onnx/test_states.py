"""Streaming models: caches go in and come back, and are not what is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_intake.answer import Sources, answer

Make = Callable[..., ModelProto]
Save = Callable[[ModelProto], Path]
Shapes = Mapping[str, Sequence[Any]]
node = helper.make_node


def draw(*shape: int) -> Any:
    """Weights that keep the numbers in range."""
    scale = np.sqrt(max(np.prod(shape[1:]), 1))
    return (np.random.default_rng(len(shape)).standard_normal(shape) / scale).astype(np.float32)


def join(cache: str, new: str, joined: str) -> Any:
    """The old values in front of the new ones."""
    return node("Concat", [cache, new], [joined], axis=2)


def newest(joined: str, cache: str, count: int) -> Any:
    """The last `count` values, which the next run takes."""
    return node("Slice", [joined, f"-{count}", "end", "two"], [cache])


ENDS = {"end": np.array([2**31 - 1]), "two": np.array([2])}


@dataclass(frozen=True)
class Streaming:
    """A model, and which of its inputs is the one to be measured."""

    nodes: Sequence[Any]
    weights: Mapping[str, Any]
    inputs: Shapes
    outputs: Shapes
    measured: str
    states: Mapping[str, str] = field(default_factory=dict)  # input → the output as which it comes back


def enhancer(*names: str) -> Streaming:
    """Speech enhancement: frame, cache of samples, cache of features (two layers, each with its own memory)."""
    frame, samples, features, enhanced, samples_out, features_out = names
    return Streaming(
        [join(samples, frame, "j"), newest("j", samples_out, 16),
         node("Conv", ["j", "w"], ["a"], strides=[16], name="encoder"), join(features, "a", "k"),
         newest("k", features_out, 8), node("Conv", ["k", "v"], ["b"], dilations=[4], name="context"),
         node("ConvTranspose", ["b", "u"], [enhanced], strides=[16], name="decoder")],
        {"w": draw(64, 1, 32), "v": draw(64, 64, 3), "u": draw(64, 1, 16), "-16": np.array([-16]),
         "-8": np.array([-8]), **ENDS},
        {samples: [1, 1, 16], features: [1, 64, 8], frame: [1, 1, 256]},
        {enhanced: [1, 1, 256], samples_out: [1, 1, 16], features_out: [1, 64, 8]},
        frame, {samples: samples_out, features: features_out},
    )  # fmt: skip


def gated() -> Streaming:
    """A recurrent cell written out: the state comes back by arithmetic, under another name."""
    return Streaming(
        [node("Conv", ["x", "w"], ["a"], pads=[1, 1]), node("Mul", ["hidden", "gate"], ["m"]),
         node("Add", ["a", "m"], ["s"]), node("Tanh", ["s"], ["z"]), node("Conv", ["z", "v"], ["y"])],
        {"w": draw(8, 2, 3), "gate": np.float32(0.5), "v": draw(2, 8, 1)},
        {"hidden": [1, 8, 400], "x": [1, 2, 400]}, {"y": [1, 2, 400], "z": [1, 8, 400]}, "x", {"hidden": "z"},
    )  # fmt: skip


def same_shapes() -> Streaming:
    """A frame as long as its cache, named first; the older values stand in front."""
    return Streaming(
        [join("b", "a", "j"), newest("j", "d", 64), node("Conv", ["j", "w"], ["c"])],
        {"w": draw(8, 4, 3), "-64": np.array([-64]), **ENDS},
        {"a": [1, 4, 64], "b": [1, 4, 64]}, {"c": [1, 8, 126], "d": [1, 4, 64]}, "a", {"b": "d"},
    )  # fmt: skip


def matting() -> Streaming:
    """An image that comes back as an image of its shape, and a state that a convolution reads alone."""
    return Streaming(
        [node("Conv", ["src", "w"], ["a"], pads=[1] * 4), node("Conv", ["state", "v"], ["h"], pads=[1] * 4),
         node("Add", ["a", "h"], ["s"]), node("Tanh", ["s"], ["state_out"]),
         node("Conv", ["state_out", "u"], ["fgr"], pads=[1] * 4)],
        {"w": draw(8, 3, 3, 3), "v": draw(8, 8, 3, 3), "u": draw(3, 8, 3, 3)},
        {"state": [1, 8, 24, 32], "src": [1, 3, 24, 32]}, {"fgr": [1, 3, 24, 32], "state_out": [1, 8, 24, 32]},
        "src", {"state": "state_out"},
    )  # fmt: skip


def diffusion() -> Streaming:
    """No state: the only output has the shape of the sample and its name."""
    return Streaming(
        [node("Conv", ["sample", "w"], ["a"], pads=[1] * 4), node("ReduceMean", ["text"], ["m"]),
         node("Add", ["a", "m"], ["out_sample"])],
        {"w": draw(4, 4, 3, 3)},
        {"text": [1, 77, 768], "sample": [1, 4, 32, 32]}, {"out_sample": [1, 4, 32, 32]}, "sample",
    )  # fmt: skip


STREAMING: dict[str, Streaming] = {
    "names that say so": enhancer("frame", "cache_0", "cache_1", "enhanced", "cache_0_out", "cache_1_out"),
    "names that say nothing": enhancer("a1", "a2", "a3", "b1", "b2", "b3"),
    "past and present": enhancer("x", "past.0.key", "past.1.key", "y", "present.0.key", "present.1.key"),
    "a cell written out": gated(),
    "a frame as long as its cache": same_shapes(),
    "an image and a state of its size": matting(),
    "a diffusion step": diffusion(),
}  # fmt: skip


def measured(path: Path) -> ErfResult:
    return answer(ErfRequest.model_validate({"average": {"inputs": 1}}), Sources(model=path), device="cpu").result


@pytest.mark.parametrize("name", STREAMING)
def test_states_are_not_measured(name: str, make: Make, saved: Save) -> None:
    model = STREAMING[name]
    file = make(model.nodes, model.inputs, [], model.weights)
    file.graph.output.extend(helper.make_tensor_value_info(n, 1, shape) for n, shape in model.outputs.items())
    taken = measured(saved(file)).input
    assert taken is not None
    assert taken.name == model.measured
    why = {one.name: one.why for one in taken.passed_over}
    assert set(why) == set(model.inputs) - {model.measured}
    for state, output in model.states.items():
        assert why[state] == f"it is a state: it comes back as output {output!r}"
    assert all(word in taken.why for word in (["is not a state"] if model.states else ["looks most like"]))


def test_what_a_state_becomes_is_not_what_auto_takes(make: Make, saved: Save) -> None:
    """The cache's new value is computed last, and is as large as the answer."""
    nodes = [join("b", "a", "j"), node("Conv", ["j", "w"], ["c"]), newest("j", "d", 64)]
    file = make(nodes, {"a": [1, 4, 64], "b": [1, 4, 64]}, [], {"w": draw(8, 4, 3), "-64": np.array([-64]), **ENDS})
    file.graph.output.extend(helper.make_tensor_value_info(n, 1, s) for n, s in (("c", [1, 8, 126]), ("d", [1, 4, 64])))
    request = ErfRequest.model_validate({"average": {"inputs": 1}, "target": {"unit": [100]}})
    result = answer(request, Sources(model=saved(file)), device="cpu").result
    assert (result.layer.name, result.trf.size) == ("c", [3])
    named = ErfRequest.model_validate({"average": {"inputs": 1}, "target": {"unit": [40], "layer": "d"}})
    assert answer(named, Sources(model=saved(file)), device="cpu").result.layer.name == "d"


def test_a_frame_at_a_time(make: Make, saved: Save) -> None:
    """Spectra with one frame and a cache of two: the joined frames are no layer, the answer to the frame is."""
    nodes = [node("Conv", ["mix", "w"], ["e"], pads=[0, 1, 0, 1]), node("Concat", ["cache", "e"], ["j"], axis=2),
             node("Slice", ["j", "first", "end", "two"], ["cache_out"]),
             node("Conv", ["j", "v"], ["c"], pads=[0, 1, 0, 1]), node("Sigmoid", ["c"], ["m"]),
             node("Mul", ["mix", "m"], ["enhanced"])]  # fmt: skip
    weights = {"w": draw(8, 1, 1, 3), "v": draw(1, 8, 3, 3), "first": np.array([-2]), **ENDS}
    shapes = {"enhanced": [1, 1, 1, 65], "cache_out": [1, 8, 2, 65]}
    file = make(nodes, {"cache": [1, 8, 2, 65], "mix": [1, 1, 1, 65]}, [], weights)
    file.graph.output.extend(helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    result = measured(saved(file))
    assert result.input is not None
    assert (result.input.name, result.layer.name, result.trf.size[-1]) == ("mix", "enhanced", 5)
