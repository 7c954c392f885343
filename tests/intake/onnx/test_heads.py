"""Heads that `auto` does not take: those whose gradient is zero, and the input itself in another form."""

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
RNG = np.random.default_rng(4)
WEIGHTS = {
    "w": (RNG.standard_normal((8, 3, 3, 3)) / 5).astype(np.float32),
    "v": (RNG.standard_normal((6, 8, 1, 1)) / 3).astype(np.float32),
    "one": (RNG.standard_normal((1, 8, 1, 1)) / 3).astype(np.float32),
    "low": np.full(6, -1e3, np.float32), "high": np.full(6, 1e3, np.float32),
    "0": np.float32(0), "1": np.float32(1),
}  # fmt: skip
ZERO = "its gradient is exactly zero (dead, or saturated)"

HEADS: dict[str, tuple[Sequence[Any], str]] = {
    "dead": ([node("Conv", ["a", "v", "low"], ["h"]), node("Relu", ["h"], ["y"])], ZERO),
    "a saturated sigmoid": ([node("Conv", ["a", "v", "high"], ["h"]), node("Sigmoid", ["h"], ["y"])], ZERO),
    "a saturated clip": ([node("Conv", ["a", "v", "high"], ["h"]), node("Clip", ["h", "0", "1"], ["y"])], ZERO),
    "a softmax over one channel": (
        [node("Conv", ["a", "one"], ["h"]), node("Softmax", ["h"], ["y"], axis=1)], ZERO,
    ),
    "rounded": ([node("Conv", ["a", "v"], ["h"]), node("Round", ["h"], ["y"])], ZERO),
    "the input, its pixels moved to channels": (
        [node("Conv", ["a", "v"], ["h"]), node("SpaceToDepth", ["x"], ["y"], blocksize=2)],
        "it is the input itself, moved or scaled",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_auto_takes_the_layer_before_and_says_why(name: str, make: Make, saved: Save) -> None:
    nodes, why = HEADS[name]
    front = node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1] * 4)
    path = saved(make([front, *nodes], {"x": [1, 3, 32, 32]}, ["y", "h"], WEIGHTS))
    request = ErfRequest.model_validate({"average": {"inputs": 2}})
    result = answer(request, Sources(model=path), device="cpu").result
    assert (result.layer.name, result.trf.size) == ("h", [3, 3])
    assert [(one.name, one.why) for one in result.layer.passed_over] == [("y", why)]
